"""What an update means as events: told once, in order, over any restart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.records import ModelRef
from agent.update.news import Told, event_of, news_of, told_before
from agent.update.status import ShadowReport, UpdateStatus

OLD, NEW = (ModelRef(name="street", version=version, sha256=version * 64) for version in "12")
IDLE = UpdateStatus(slot="street", state="idle")
TRIAL = UpdateStatus(slot="street", state="trial", since=50.0, candidate=NEW, candidate_serial=7)
SHADOW = replace(
    TRIAL,
    state="shadow",
    since=60.0,
    shadow=ShadowReport(watched_s=9, frames=20, in_charge=40, candidate=41, matched=39),
)
WATCHED = UpdateStatus(slot="street", state="committed", since=70.0, model=NEW, serial=7, watching=True)
PROVEN = replace(WATCHED, watching=False)
BACK = replace(TRIAL, state="rolled_back", since=80.0, reason="rate_low", detail="it is slow")
BLOCKED = replace(TRIAL, state="blocked", since=55.0, reason="too_slow", detail="it is slow")


def told_of(*statuses: UpdateStatus) -> list[tuple[str, str]]:
    """State and phase of every event, each status seen twice and what was told stored as text in between."""
    text: str | None = None
    events = []
    for status in (one for one in statuses for _ in range(2)):
        news = news_of(status, told_before(text))
        if news is not None:
            text = news.told.text()
            events += [(status.state, phase) for phase in news.phases]
    return events


def test_good_update_begins_goes_on_and_ends() -> None:
    assert told_of(IDLE, TRIAL, SHADOW, WATCHED, PROVEN) == [
        ("trial", "start"),
        ("shadow", "update"),
        ("committed", "update"),
        ("committed", "end"),
    ]


@pytest.mark.parametrize("end", [BACK, BLOCKED])
def test_bad_update_ends_with_a_warning_and_its_reason(end: UpdateStatus) -> None:
    assert told_of(IDLE, TRIAL, end) == [("trial", "start"), (end.state, "end")]
    news = news_of(end, Told("x", 50.0, 7))
    assert news is not None
    body = event_of(end, news, "end", "model_update", "e1")
    assert (body.severity, body.since, body.details["reason"]) == ("warning", 50.0, end.reason)
    assert body.details["candidate"] == {"name": "street", "version": "2", "sha256": "2" * 64}


def test_update_that_is_refused_before_its_trial_begins_and_ends_at_once() -> None:
    assert told_of(IDLE, BLOCKED) == [("blocked", "start"), ("blocked", "end")]


def test_update_that_the_network_loses_ends_without_a_warning() -> None:
    lost = replace(IDLE, reason="vanished", detail="it is gone", since=90.0)
    assert told_of(IDLE, TRIAL, lost) == [("trial", "start"), ("idle", "end")]


def test_way_back_at_the_start_of_the_agent_ends_what_was_told_before() -> None:
    assert told_of(TRIAL, SHADOW, WATCHED, BACK)[-1] == ("rolled_back", "end")


def test_reason_that_changes_is_no_event() -> None:
    assert told_of(PROVEN, replace(PROVEN, reason="unreachable", detail="no network")) == []


def test_box_with_a_proven_model_that_never_told_anything_tells_nothing() -> None:
    assert told_of(PROVEN) == []


def test_all_phases_of_one_update_have_one_beginning_and_carry_the_comparison() -> None:
    first = news_of(TRIAL, Told())
    assert first is not None
    later = news_of(SHADOW, first.told)
    assert later is not None
    assert (first.since_s, first.serial) == (later.since_s, later.serial) == (50.0, 7)
    shadow = event_of(SHADOW, later, "update", "model_update", "e1").details["shadow"]
    assert isinstance(shadow, dict)
    assert shadow["matched"] == 39


def test_what_was_stored_and_can_not_be_read_counts_as_nothing() -> None:
    assert told_before("{") is None
    assert told_before(None) is None
