"""What the scene makes of finished clips: their events are told once more, and name them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.records import EventBody
from agent.scene.attest import MOST_EVENTS, Attest
from tests.fakes.clock import ManualClock
from tests.fakes.evidence import Make, event_of, key_pair, witnessed_box


@pytest.fixture
def owner(tmp_path: Path) -> tuple[str, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def make(tmp_path: Path, owner: tuple[str, Path]) -> Make:
    return partial(witnessed_box, tmp_path / "state", owner[0])


def _started(attest: Attest, clock: ManualClock, event: str = "one", **changes: Any) -> EventBody:
    body = event_of(clock, event, **changes).body
    (amended,) = attest.amend([body])
    assert isinstance(amended, EventBody)
    return amended


def test_an_open_event_is_told_again_with_its_clip_and_every_later_message_names_it(make: Make) -> None:
    box, attest = make(), Attest({}, watched=True)
    _started(attest, box.clock, "e" * 8)
    box.film(5)
    box.tell()
    box.film(8)
    (told,) = attest.attest(box.finished)
    assert isinstance(told, EventBody)
    assert told.phase == "update"
    (named,) = told.details["evidence"]  # type: ignore[misc]
    assert isinstance(named, dict)
    assert named["sha256"] == box.finished[0].clip.sha256
    assert set(named) == {"clip", "sha256", "bytes", "from", "to"}
    assert attest.attest(box.finished) == [], "told once"
    again = Attest(attest.state(), watched=True)
    assert again.attest(box.finished) == [], "over a restart too"
    end = _started(again, box.clock, "e" * 8, phase="end")
    assert end.details["evidence"] == [named]
    assert end.details["likeness"] == 0.9


def test_an_event_that_is_over_is_told_again_as_over(make: Make) -> None:
    box, attest = make(), Attest({}, watched=True)
    _started(attest, box.clock, "e" * 8)
    box.film(5)
    box.tell()
    box.film(8)
    _started(attest, box.clock, "e" * 8, phase="end")
    (told,) = attest.attest(box.finished)
    assert isinstance(told, EventBody)
    assert told.phase == "end"


def test_a_clip_of_an_event_that_nobody_remembers_is_told_as_it_was_kept(make: Make) -> None:
    box = make()
    box.film(5)
    box.tell()
    box.film(8)
    (told,) = Attest({}, watched=True).attest(box.finished)
    assert isinstance(told, EventBody)
    assert (told.phase, told.event) == ("update", "e" * 8)


def test_memory_of_events_is_bounded_and_empty_where_nothing_is_kept() -> None:
    clock, attest = ManualClock(), Attest({}, watched=True)
    for number in range(100):
        _started(attest, clock, f"event-{number}")
    assert len(attest.state()["last"]) == MOST_EVENTS
    plain = Attest(attest.state(), watched=False)
    _started(plain, clock)
    assert plain.state() == {}
