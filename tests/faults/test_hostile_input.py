"""A sample of the nonsense of the faults report: no uncaught exception, one sentence each, no secret repeated."""

from __future__ import annotations

import logging
import random

import pytest

from agent.config.load import parse_config
from agent.mqtt.topics import BOX_LEAVES, CAMERA_LEAVES, parse
from tests.fakes.messages import DEVICE
from tests.faults import hostile

TOPIC_LEVELS = (
    "kentongan", "v1", "v2", "", "#", "+", DEVICE, "junction-3", *BOX_LEAVES, *CAMERA_LEAVES, "..", "x" * 500, "\u0000",
)  # fmt: skip
NUMBER = {"messages": 2000, "acks": 1000, "commands": 1000, "configurations": 200, "model files": 300}


def test_the_configuration_that_is_broken_is_good_to_begin_with() -> None:
    assert parse_config(hostile.GOOD_CONFIG, "box.yaml").device == "box-1"


@pytest.mark.parametrize("door", hostile.DOORS)
def test_given_nonsense_then_each_is_taken_or_refused_with_one_sentence(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "agent")
    finding = hostile.attack(door, NUMBER[door], 7)
    assert finding.missed == (), finding
    assert finding.figures["tried"] == NUMBER[door]


def test_given_a_refusal_that_tells_too_much_or_another_exception_then_the_tally_says_so() -> None:
    tally = hostile.Tally()

    def stumble() -> None:
        raise KeyError(hostile.SECRET)

    tally.meet(stumble)
    tally.meet(lambda: f"never repeat {hostile.SECRET}")
    tally.meet(lambda: "two\nlines")
    assert (len(tally.uncaught), tally.leaked, tally.rude) == (1, 1, 1)


def test_given_hostile_topics_then_each_is_taken_or_refused() -> None:
    choose, tally = random.Random(9), hostile.Tally()
    taken = 0
    for _ in range(1000):
        known = choose.choice([(), ("kentongan", "v1", DEVICE)])
        topic = "/".join((*known, *(choose.choice(TOPIC_LEVELS) for _ in range(choose.randint(0, 5)))))
        try:
            assert str(parse(topic)).startswith("kentongan/v1/")
            taken += 1
        except ValueError as error:
            text = str(error)
            tally.meet(lambda text=text: text)  # type: ignore[misc]
    assert taken > 0
    assert (tally.leaked, tally.rude) == (0, 0)
