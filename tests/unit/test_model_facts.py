"""A model's facts as people read them: one short line each, however they lie in each other."""

from __future__ import annotations

from agent.ops.model_facts import lines_of


def test_given_plans_within_facts_then_each_fact_has_a_line_and_each_stage_one_for_all_of_its_numbers() -> None:
    stages = [{"height": 192, "width": 320}, {"height": 256, "people": [1.0, 2.0]}]
    plans = [{"why": "too small", "config": {"rate": 0.002, "stages": stages}}, {}]
    assert list(lines_of({"plans": plans, "labels": ["car", "bus"], "sizes": [[1, 2], [3, 4]], "none": []})) == [
        "plans[1].why     too small",
        "plans[1].config.rate 0.002",
        "plans[1].config.stages[1] height 192, width 320",
        "plans[1].config.stages[2].height 256",
        "plans[1].config.stages[2].people [1.0, 2.0]",
        "plans[2]         {}",
        "labels           car, bus",
        "sizes[1]         [1, 2]",
        "sizes[2]         [3, 4]",
        "none             ",
    ]


def test_given_names_in_a_list_that_steer_a_terminal_then_they_are_written_out() -> None:
    assert list(lines_of({"by": [{"a\x1b[2J": "b\x9b2J"}]})) == ['by[1]            a\\u001b[2J "b\\u009b2J"']
