"""The security report: figures know whether they are good enough, and the report says it in one table."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.config.rules import Aggression
from agent.values import Detections
from tests.fakes.bright_street import write_bright_clip, write_bright_model
from tests.security.bench import Bench
from tests.security.films import STEP_S, alarms
from tests.security.pieces import Pieces, stamp_of
from tests.security.section import Figure, Picture, Section
from tests.security.table import MEASURES, keep_section, kept_sections, write_report


@pytest.mark.parametrize(
    ("value", "small_is_good", "reached"),
    [
        (0.96, False, "floor"),
        (1.0, False, "aim"),
        (0.94, False, "missed"),
        (math.nan, False, "missed"),
        (0.96, True, "floor"),
        (0.95, True, "floor"),
        (1.1, True, "missed"),
    ],
)
def test_a_figure_says_what_it_reaches(value: float, small_is_good: bool, reached: str) -> None:  # noqa: FBT001 - a case
    aim, floor = (0.9, 1.0) if small_is_good else (1.0, 0.95)
    assert Figure("x", value, floor, aim, small_is_good=small_is_good).reached == reached


def test_the_report_holds_every_figure_and_marks_pictures_that_are_private(tmp_path: Path) -> None:
    section = Section(
        "Fog",
        (Figure("fog found", 0.9, 0.95, 1.0, "{:.0%}"),),
        text="By eye.",
        details=(("clip", "found"), ("a", "9")),
        pictures=(Picture("fog.png", "Fog", private=True),),
        data={"moments": 10},
    )
    text = write_report(tmp_path, {"fog": section}, quick=True)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text
    assert "| fog found | 90% | ≥ 95% | ≥ 100% | missed |" in text
    assert "| clip | found |\n|---|---|\n| a | 9 |" in text
    assert "no proof" in text
    assert "not for publishing" in text
    plain = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert plain["fog"] == {"figures": {"fog found": {"value": 0.9, "reached": "missed"}}, "moments": 10}


def test_given_a_run_that_was_cut_short_then_the_next_does_only_what_is_left(tmp_path: Path) -> None:
    done: list[str] = []

    def piece(name: str) -> Callable[[], list[str]]:
        return lambda: done.append(name) or [name]  # type: ignore[func-returns-value]

    def cut_short() -> None:
        raise KeyboardInterrupt

    first = {"a": piece("a"), "b": cut_short}
    with pytest.raises(KeyboardInterrupt):
        Pieces(tmp_path, io.StringIO()).each("fog", first)
    told = io.StringIO()
    found = Pieces(tmp_path, told).each("fog", {"a": piece("a"), "b": piece("b")})
    assert (found, done) == ({"a": ["a"], "b": ["b"]}, ["a", "b"])
    assert "2/2" in told.getvalue()
    assert Pieces(tmp_path / "other code", told).each("fog", {"a": piece("a")}) == {"a": ["a"]}
    assert done == ["a", "b", "a"]


def test_given_another_program_then_what_was_measured_holds_unless_it_ran_through_what_changed(tmp_path: Path) -> None:
    sources = {
        "bench/__init__.py": "",
        "bench/fog.py": "from agent import light\n",
        "agent/__init__.py": "",
        "agent/light.py": "import agent.lamp\n",
        "agent/lamp.py": "WATTS = 40\nif TYPE_CHECKING:\n    import agent.types\n",
        "agent/types.py": "",
        "agent/mail.py": "STAMPS = 3\n",
    }
    model = tmp_path / "model.onnx"
    model.write_bytes(b"model")
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    def after(name: str, text: str) -> bool:
        """Whether a change of a file makes other results."""
        before = stamp_of("bench.fog", [model], tmp_path)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return stamp_of("bench.fog", [model], tmp_path) != before

    assert not after("agent/mail.py", "STAMPS = 4\n")
    assert not after("agent/types.py", "Watts = int\n")
    assert not after("agent/lamp.py", "WATTS = 40  # as before\nif TYPE_CHECKING:\n    import agent.types\n")
    assert after("agent/lamp.py", "WATTS = 60\n")
    assert after("agent/__init__.py", "from agent import mail\n")
    assert after("agent/mail.py", "STAMPS = 5\n")
    assert after("model.onnx", "another")


def test_given_sections_measured_one_by_one_then_the_report_holds_them_all_and_names_the_others(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"model")
    bench = Bench(tmp_path, tmp_path / "model.onnx")
    section = Section("Fog", (Figure("fog found", 0.96, 0.95, 1.0),), details=(("a",),), pictures=(Picture("p", "P"),))
    keep_section(bench, "crowd", section)
    assert kept_sections(Bench(tmp_path, tmp_path / "model.onnx")) == {"crowd": section}
    assert "Not measured with this code: cost, tampering" in write_report(tmp_path, kept_sections(bench))
    assert kept_sections(Bench(tmp_path, tmp_path / "model.onnx", quick=True)) == {}, "a sample is no report"
    (tmp_path / "model.onnx").write_bytes(b"another")
    assert kept_sections(Bench(tmp_path, tmp_path / "model.onnx")) == {}


@pytest.mark.parametrize(
    ("likeness", "count"),
    [([0.0] * 9 + [0.95] * 9, 1), ([0.95, 0.95, 0.95, 0.0] * 5, 0), (([0.95] * 9 + [0.0] * 60) * 2, 2)],
)
def test_alarms_of_a_film_are_those_of_the_agents_rule(likeness: list[float], count: int) -> None:
    assert alarms([(likeness, STEP_S)], Aggression(likeness=0.9)) == count


def test_every_row_of_the_table_has_a_measurement() -> None:
    assert {"tampering", "crowd", "aggression", "cost"} <= set(MEASURES)


def test_what_the_detector_saw_is_kept_and_read_again_the_same(tmp_path: Path) -> None:
    write_bright_model(tmp_path / "bright.onnx")
    clip = write_bright_clip(tmp_path / "street.avi", 3.0)
    bench = Bench(tmp_path, tmp_path / "bright.onnx")
    first, again = bench.seen(clip), bench.seen(clip)
    assert len(list((tmp_path / "seen").iterdir())) == 1
    assert sum(len(each) for each in first) > 0
    assert [_columns(each) for each in first] == [_columns(each) for each in again]


def _columns(seen: Detections) -> tuple[list[object], ...]:
    return tuple(np.asarray(column).tolist() for column in (seen.boxes, seen.scores, seen.classes))
