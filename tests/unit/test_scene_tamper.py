"""Tampering as events: one from the first sign to the last, over restarts, and none where nobody did anything."""

from __future__ import annotations

import json
from typing import Any

from agent.config.rules import Tamper
from agent.config.schema import Camera
from agent.records import EventBody, Record
from agent.scene import Link, Scene
from agent.scene.values import CLEAR, LIVE, View
from agent.values import Tracks
from agent.viewing import view_of
from agent.vision.tampering import Judgement
from tests.fakes.walkers import SIZE, instant

COVERED = View(("covered",), blind=True, cause="covered", share=1.0)


def scene(tamper: Tamper | None = None, state: str | None = None) -> Scene:
    camera = Camera(name="gate", source="rtsp://camera/1", tamper=tamper or Tamper())
    return Scene(camera, device="box", model=None, state=state)


def events(records: list[Record]) -> list[tuple[str, Any]]:
    bodies = [record.body for record in records]
    return [
        (body.phase, body.details.get("cause"))
        for body in bodies
        if isinstance(body, EventBody) and body.kind == "camera_tampered"
    ]


def test_given_a_covered_view_then_one_event_starts_and_ends_when_it_is_clear_for_a_while() -> None:
    watched = scene()
    assert events(watched.update(Tracks.empty(), instant(0), SIZE, COVERED)) == [("start", "covered")]
    assert events(watched.update(Tracks.empty(), instant(1), SIZE)) == []
    assert events(watched.update(Tracks.empty(), instant(2), SIZE, CLEAR)) == []
    assert events(watched.update(Tracks.empty(), instant(5.1), SIZE, CLEAR)) == [("end", "covered")]


def test_given_another_sign_while_one_is_open_then_the_same_event_is_updated() -> None:
    watched = scene()
    first = watched.update(Tracks.empty(), instant(0), SIZE, COVERED)
    second = watched.update(Tracks.empty(), instant(2), SIZE, View(("dark",), blind=True, cause="dark", share=1.0))
    assert events(second) == [("update", "dark")]
    assert first[0].body.event == second[0].body.event  # type: ignore[union-attr]


def test_given_a_frozen_picture_then_it_is_tampering_where_the_configuration_says_so() -> None:
    assert events(scene().tick(instant(0), Link("frozen", "camera_frozen"))) == []
    watched = scene(Tamper(frozen=True))
    assert events(watched.tick(instant(0), Link("frozen", "camera_frozen"))) == [("start", "frozen")]
    assert events(watched.tick(instant(1), LIVE)) == []
    assert events(watched.tick(instant(4.5), LIVE)) == [("end", "frozen")]


def test_given_a_lost_camera_then_it_is_tampering_only_where_the_configuration_says_so() -> None:
    usual, strict = scene(), scene(Tamper(unplugged=True, unplugged_after_s=5))
    for second in range(5):
        assert events(usual.tick(instant(second), Link("lost"))) == []
        assert events(strict.tick(instant(second), Link("lost"))) == []
    assert events(strict.tick(instant(5), Link("lost"))) == [("start", "unplugged")]
    assert events(usual.tick(instant(5), Link("lost"))) == []


def test_given_a_loss_while_covered_then_the_event_stays_open() -> None:
    watched = scene()
    watched.update(Tracks.empty(), instant(0), SIZE, COVERED)
    assert events(watched.tick(instant(60), Link("lost"))) == []


def test_given_a_loss_or_a_frozen_picture_after_an_attack_on_the_view_then_it_belongs_to_the_attack() -> None:
    watched = scene()
    watched.update(Tracks.empty(), instant(0), SIZE, COVERED)
    assert events(watched.tick(instant(2), Link("frozen", "camera_frozen"))) == [("update", "frozen")]
    assert events(watched.tick(instant(10), Link("lost"))) == []
    assert events(watched.tick(instant(20), Link("lost"))) == [("update", "unplugged")]
    watched.update(Tracks.empty(), instant(30), SIZE, CLEAR)
    assert events(watched.update(Tracks.empty(), instant(34), SIZE, CLEAR)) == [("end", "unplugged")]
    assert events(watched.tick(instant(60), Link("lost"))) == [], "alone it is no tampering"


def test_given_a_restart_while_covered_then_the_event_goes_on_under_its_id() -> None:
    before = scene()
    start = before.update(Tracks.empty(), instant(0), SIZE, COVERED)[0].body
    after = scene(state=json.loads(json.dumps(before.snapshot())))
    assert events(after.update(Tracks.empty(), instant(9), SIZE, COVERED)) == []
    after.update(Tracks.empty(), instant(10), SIZE, CLEAR)
    ended = after.update(Tracks.empty(), instant(14), SIZE, CLEAR)
    assert events(ended) == [("end", "covered")]
    assert ended[0].body.event == start.event  # type: ignore[union-attr]


def test_given_a_restart_while_covered_then_the_event_waits_until_the_view_is_known_again() -> None:
    before = scene()
    before.update(Tracks.empty(), instant(0), SIZE, COVERED)
    for uncovered, expected in ((False, []), (True, [("end", "covered")])):
        after = scene(state=before.snapshot())
        said = [events(after.update(Tracks.empty(), instant(20 + second), SIZE, CLEAR)) for second in range(5)]
        assert said == [[]] * 5
        view = CLEAR if uncovered else COVERED
        later = [
            event
            for second in range(12)
            for event in events(after.update(Tracks.empty(), instant(25 + second), SIZE, view))
        ]
        assert later == expected


def test_given_tampering_is_switched_off_then_nothing_is_said() -> None:
    assert events(scene(Tamper(enabled=False)).update(Tracks.empty(), instant(0), SIZE, COVERED)) == []


def test_given_nightfall_then_the_view_is_dark_and_nobody_did_it() -> None:
    assert view_of(Judgement(night=True)) == View(("dark",), blind=True)
    assert view_of(Judgement("defocused", 1.0)) == View(("blurred",), cause="defocused", share=1.0)
    assert view_of(Judgement()) is CLEAR
