"""One alarm out of several signs: near in place and time, each kind once, over restarts, and none without cause."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.config.schema import Camera
from agent.records import Body, Detail, EventBody, EventKind, Phase, Severity
from agent.scene import Scene
from agent.scene.rule import Setting
from agent.scene.values import LIVE, AssetLook, Likeness, Link, View
from agent.scene.vandalism import MOST_PLACES, MOST_SIGNS, Fusion
from agent.values import Tracks
from tests.fakes.walkers import SIZE, instant

CABINET = [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]
COVERED = View(("covered",), blind=True, cause="covered", share=1.0)


def camera(**parts: Any) -> Camera:
    region = {"name": "box", "what": "cabinet", "polygon": CABINET, "settle_s": 10}
    return Camera.model_validate({"name": "gate", "source": "x", "protected": [region], **parts})


def sign(
    kind: EventKind,
    event: str,
    since_s: float = 0.0,
    *,
    phase: Phase = "start",
    place: tuple[float, float] | None = (0.5, 0.5),
    change: str = "defaced",
    severity: Severity = "warning",
) -> EventBody:
    details: dict[str, Detail] = {} if place is None else {"place": {"x": place[0], "y": place[1]}}
    if kind == "asset_changed":
        details["change"] = change
    where = {"asset_changed": "box", "loitering": "square"}.get(kind)
    since = instant(since_s).utc_s
    return EventBody(
        kind=kind,
        phase=phase,
        event=event,
        where=where,
        severity=severity,
        confidence=0.6,
        since=since,
        details=details,
    )


class Alarms:
    """The fusion of one camera, told events at moments."""

    def __init__(self, state: dict[str, Any] | None = None, **parts: Any) -> None:
        self.fusion = Fusion(Setting("box", camera(**parts)), state or {})

    def at(self, seconds: float, *bodies: Body) -> list[EventBody]:
        told = self.fusion.fuse(bodies, instant(seconds))
        return [body for body in told if isinstance(body, EventBody) and body.kind == "vandalism"]


def signs_of(body: EventBody) -> list[Any]:
    signs = body.details["signs"]
    assert isinstance(signs, list)
    return signs


def test_given_a_thing_that_changed_then_it_alone_is_an_alarm_that_names_it() -> None:
    (alarm,) = Alarms().at(30, sign("asset_changed", "e1", 5))
    assert (alarm.phase, alarm.where, alarm.severity) == ("start", "box", "warning")
    assert alarm.since == instant(5).utc_s
    assert [(each["kind"], each["event"], each["over"]) for each in signs_of(alarm)] == [("asset_changed", "e1", False)]


def test_given_weak_signs_alone_then_there_is_no_alarm() -> None:
    for kind in ("aggression", "loitering", "camera_lost"):
        assert Alarms().at(30, sign(kind, "e1")) == []  # type: ignore[arg-type]
    assert Alarms().at(30, sign("asset_changed", "e1", change="added")) == []


def test_given_weak_signs_together_then_they_are_an_alarm_and_a_grave_one() -> None:
    alarms = Alarms()
    assert alarms.at(10, sign("loitering", "e1", 0)) == []
    (alarm,) = alarms.at(60, sign("aggression", "e2", 55, place=(0.6, 0.6)))
    assert (alarm.severity, alarm.details["kinds"], alarm.details["score"]) == ("alarm", ["aggression", "loitering"], 1)
    assert alarm.since == instant(0).utc_s


def test_given_the_same_kind_twice_then_it_counts_once() -> None:
    assert Alarms().at(10, sign("aggression", "e1"), sign("aggression", "e2")) == []


def test_given_signs_far_from_each_other_in_place_or_time_then_there_is_no_alarm() -> None:
    assert Alarms().at(60, sign("loitering", "e1"), sign("aggression", "e2", 55, place=(0.9, 0.9))) == []
    apart = Alarms()
    apart.at(10, sign("loitering", "e1"))
    apart.at(20, sign("loitering", "e1", phase="end"))
    assert apart.at(400, sign("aggression", "e2", 398)) == []


def test_given_a_fight_that_moves_on_then_it_is_near_what_it_left_behind_and_told_where_it_is() -> None:
    alarms = Alarms(aggression={})
    for second, x in enumerate([0.5, 0.6, 0.7, 0.8, 0.9]):
        assert alarms.at(second, sign("aggression", "e1", 0, place=(x, 0.6))) == []
    kept = json.loads(json.dumps(alarms.fusion.state()))
    (alarm,) = Alarms(kept, aggression={}).at(30, sign("asset_changed", "e2", 5, place=(0.5, 0.6)))
    assert alarm.details["kinds"] == ["aggression", "asset_changed"]
    assert alarm.details["place"] == {"x": 0.9, "y": 0.6}


def test_given_a_sign_that_comes_nearer_then_it_joins_the_alarm_that_is_there() -> None:
    alarms = Alarms()
    alarms.at(0, sign("asset_changed", "e1", 0, place=(0.2, 0.6)))
    alarms.at(10, sign("aggression", "e2", 10, place=(0.9, 0.6)))
    (update,) = alarms.at(20, sign("aggression", "e2", 10, place=(0.3, 0.6)))
    assert update.details["kinds"] == ["aggression", "asset_changed"]
    assert "loose" not in alarms.fusion.state()


def test_given_a_fight_that_goes_on_elsewhere_after_somebody_stopped_waiting_then_the_alarm_is_where_it_goes_on() -> (
    None
):
    alarms = Alarms()
    alarms.at(0, sign("loitering", "e1", 0, place=(0.5, 0.6)))
    alarms.at(10, sign("aggression", "e2", 10, place=(0.6, 0.6)))
    (update,) = alarms.at(20, sign("loitering", "e1", phase="end"), sign("aggression", "e2", 10, place=(0.8, 0.6)))
    assert update.details["place"] == {"x": 0.8, "y": 0.6}


def test_given_a_fight_that_wanders_for_very_long_then_what_is_remembered_of_it_is_bounded() -> None:
    alarms = Alarms()
    for second in range(200):
        alarms.at(second, sign("aggression", "e1", 0, place=(round(second / 200, 3), 0.6)))
    (been,) = (each["been"] for each in alarms.fusion.state()["loose"])
    assert len(been) == MOST_PLACES - 1
    assert been[0][:2] == (0.0, 0.6)


@pytest.mark.parametrize(("left_s", "joins"), [(200, True), (3590, False)])
def test_given_a_fight_that_was_here_then_what_is_found_here_soon_after_belongs_to_it_and_not_an_hour_later(
    left_s: float,
    joins: bool,  # noqa: FBT001 - a row of the table
) -> None:
    alarms = Alarms()
    alarms.at(0, sign("aggression", "e1", 0, place=(0.1, 0.6)))
    alarms.at(60, sign("aggression", "e1", 0, place=(0.9, 0.6)))
    told = alarms.at(left_s, sign("asset_changed", "e2", left_s, place=(0.1, 0.6), change="added"))
    assert bool(told) == joins


def test_given_somebody_who_waits_far_from_everything_protected_then_that_is_no_sign() -> None:
    alarms = Alarms()
    alarms.at(10, sign("loitering", "e1", place=(0.05, 0.9)))
    assert alarms.at(20, sign("aggression", "e2", 15, place=(0.1, 0.9))) == []


def test_given_another_sign_while_the_alarm_goes_on_then_it_is_updated_and_not_started_again() -> None:
    alarms = Alarms()
    (start,) = alarms.at(30, sign("asset_changed", "e1"))
    (update,) = alarms.at(40, sign("aggression", "e2", 38, severity="alarm"))
    assert (update.phase, update.event, update.severity) == ("update", start.event, "alarm")
    assert len(signs_of(update)) == 2
    assert alarms.at(41, sign("aggression", "e2", 38, phase="update", severity="alarm")) == []


def test_given_all_signs_are_over_then_the_alarm_ends_after_a_while_and_not_before() -> None:
    alarms = Alarms()
    (start,) = alarms.at(30, sign("asset_changed", "e1"))
    assert alarms.at(100, sign("asset_changed", "e1", phase="end")) == []
    assert alarms.at(120) == []
    (end,) = alarms.at(131)
    assert (end.phase, end.event) == ("end", start.event)
    assert alarms.fusion.state() == {}


def test_given_two_places_then_there_are_two_alarms() -> None:
    alarms = Alarms()
    (first,) = alarms.at(30, sign("asset_changed", "e1", place=(0.1, 0.1)))
    (second,) = alarms.at(31, sign("asset_changed", "e2", 1, place=(0.9, 0.9)))
    assert (second.phase, second.event != first.event) == ("start", True)


def test_given_an_attack_on_the_camera_then_it_belongs_to_what_goes_on_anywhere_in_its_view() -> None:
    alarms = Alarms()
    (start,) = alarms.at(30, sign("asset_changed", "e1", place=(0.1, 0.1)))
    (update,) = alarms.at(40, sign("camera_tampered", "e2", 39, place=None))
    assert (update.event, update.details["kinds"]) == (start.event, ["asset_changed", "camera_tampered"])


def test_given_a_restart_then_the_alarm_goes_on_and_ends_under_its_id() -> None:
    before = Alarms()
    (start,) = before.at(30, sign("asset_changed", "e1"))
    before.at(31, sign("loitering", "e9", 31, place=(0.95, 0.5)))
    after = Alarms(before.fusion.state())
    assert after.fusion.state() == before.fusion.state()
    assert after.at(40) == []
    after.at(50, sign("asset_changed", "e1", phase="end"))
    (end,) = after.at(90)
    assert (end.phase, end.event) == ("end", start.event)


def test_given_a_place_that_is_gone_from_the_configuration_then_its_alarm_is_left_to_the_ledger() -> None:
    before = Alarms()
    before.at(30, sign("asset_changed", "e1"))
    other = {"name": "bench", "what": "bench", "polygon": CABINET}
    assert Alarms(before.fusion.state(), protected=[other]).fusion.state() == {}


def test_given_hundreds_of_signs_then_an_alarm_remembers_only_so_many() -> None:
    alarms = Alarms()
    alarms.at(30, sign("asset_changed", "e1"))
    for number in range(200):
        alarms.at(31 + number, sign("aggression", f"a{number}", 30 + number))
    state = alarms.fusion.state()
    assert len(state["alarms"][0]["signs"]) <= MOST_SIGNS
    assert len(state.get("loose", ())) <= 40


def test_given_signs_that_are_not_wanted_alone_then_only_the_alarm_is_sent() -> None:
    fusion = Fusion(Setting("box", camera(vandalism={"alone": ["camera_tampered"]})), {})
    told = fusion.fuse([sign("asset_changed", "e1"), sign("camera_tampered", "e2", place=None)], instant(30))
    assert [body.kind for body in told if isinstance(body, EventBody)] == ["camera_tampered", "vandalism"]


def test_given_nothing_to_protect_or_no_wish_then_events_pass_as_they_are() -> None:
    bodies = [sign("camera_tampered", "e1", place=None)]
    for parts in ({"protected": []}, {"vandalism": {"enabled": False, "alone": []}}):
        assert Fusion(Setting("box", camera(**parts)), {}).fuse(bodies, instant(0)) == bodies


def looks(scene: Scene, from_s: int, look: AssetLook, view: View | None = None) -> list[EventBody]:
    told: list[Any] = []
    for second in range(from_s, from_s + 20):
        at = instant(second)
        told += [record.body for record in scene.update(Tracks.empty(), at, SIZE, view, assets=(look,))]
    return [body for body in told if isinstance(body, EventBody)]


def test_given_a_whole_scene_then_signs_and_alarm_come_in_one_order_twice_the_same() -> None:
    taken = AssetLook("box", "day", known=True, seen=1.0, settled=0.7, gone=0.9, lost=0.7, place=(0.5, 0.5))

    def play() -> list[tuple[str, str, str]]:
        scene = Scene(camera(), device="box", model=None)
        told = looks(scene, 0, taken)
        told += [
            record.body
            for record in scene.update(Tracks.empty(), instant(21), SIZE, COVERED)  # type: ignore[misc]
        ]
        told += [record.body for record in scene.tick(instant(25), Link("lost"))]  # type: ignore[misc]
        scene.tick(instant(26), LIVE)
        return [(body.kind, body.phase, body.event) for body in told]

    first = play()
    assert first == play()
    assert [(kind, phase) for kind, phase, _ in first[:4]] == [
        ("asset_changed", "start"),
        ("vandalism", "start"),
        ("camera_tampered", "start"),
        ("vandalism", "update"),
    ]


def test_given_fusion_is_switched_off_while_an_alarm_is_open_then_the_alarm_is_ended() -> None:
    taken = AssetLook("box", "day", known=True, seen=1.0, settled=0.7, gone=0.9, lost=0.7, place=(0.5, 0.5))
    scene = Scene(camera(), device="box", model=None)
    looks(scene, 0, taken)
    off = Scene(camera(vandalism={"enabled": False}), device="box", model=None, state=scene.snapshot())
    told = [record.body for record in off.update(Tracks.empty(), instant(30), SIZE)]
    assert [(body.kind, body.phase) for body in told if isinstance(body, EventBody)] == [("vandalism", "end")]


def brawl(scene: Scene, from_s: int, value: float | None, seconds: int = 10) -> list[EventBody]:
    """What a scene tells while people look so much like fighting; ``None`` where nobody judges it."""
    told: list[Any] = []
    fight = None if value is None else Likeness(value, (7, 9), (0.5, 0.5))
    for half in range(2 * seconds):
        at = instant(from_s + half / 2)
        told += [record.body for record in scene.update(Tracks.empty(), at, SIZE, None, fight)]
    return [body for body in told if isinstance(body, EventBody)]


def told_of(bodies: list[EventBody]) -> list[tuple[str, str]]:
    return [(body.kind, body.phase) for body in bodies]


def test_given_a_sign_that_was_sent_when_it_is_not_wanted_alone_any_more_then_its_end_is_sent_all_the_same() -> None:
    before = Scene(camera(aggression={}), device="box", model=None)
    (start,) = brawl(before, 0, 0.95)
    quiet = camera(aggression={}, vandalism={"alone": []})
    after = Scene(quiet, device="box", model=None, state=before.snapshot())
    assert brawl(after, 10, 0.99) == [], "changes of a sign that is not wanted alone"
    (end,) = brawl(after, 20, 0.0)
    assert (end.kind, end.phase, end.event) == ("aggression", "end", start.event)
    assert brawl(after, 30, 0.95) + brawl(after, 40, 0.0) == [], "a new sign, which nobody was told of"


def test_given_a_rule_that_is_removed_while_its_sign_is_not_wanted_alone_any_more_then_the_sign_is_ended() -> None:
    before = Scene(camera(aggression={}), device="box", model=None)
    (start,) = brawl(before, 0, 0.95)
    after = Scene(camera(vandalism={"alone": []}), device="box", model=None, state=before.snapshot())
    (end,) = brawl(after, 10, None)
    assert (end.kind, end.phase, end.event) == ("aggression", "end", start.event)


def test_given_tampering_is_no_longer_watched_for_when_it_goes_on_then_its_event_is_ended() -> None:
    before = Scene(camera(), device="box", model=None)
    before.update(Tracks.empty(), instant(0), SIZE, COVERED)
    after = Scene(camera(tamper={"enabled": False}), device="box", model=None, state=before.snapshot())
    assert told_of(brawl(after, 10, None, seconds=60)) == [("camera_tampered", "end"), ("vandalism", "end")]


def test_given_a_hidden_sign_whose_rule_is_removed_then_it_makes_no_alarm_that_can_not_end() -> None:
    hidden: dict[str, Any] = {"vandalism": {"alone": []}}
    before = Alarms(aggression={}, **hidden)
    assert before.at(10, sign("aggression", "e1", 5)) == []
    after = Alarms(before.fusion.state(), **hidden)
    after.at(20)
    (kept,) = after.fusion.state()["loose"]
    assert kept["ended_s"] == instant(20).utc_s
    (start,) = after.at(30, sign("asset_changed", "e2", 25))
    after.at(40, sign("asset_changed", "e2", phase="end"))
    (end,) = after.at(80)
    assert (start.phase, end.phase, end.event) == ("start", "end", start.event)


def test_given_an_alarm_when_the_zone_of_its_hidden_sign_is_removed_then_it_can_end() -> None:
    hidden: dict[str, Any] = {"vandalism": {"alone": []}}
    square = {"name": "square", "polygon": CABINET, "rules": {"loitering": {"seconds": 60}}}
    before = Alarms(zones=[square], **hidden)
    (start,) = before.at(10, sign("loitering", "e1", 5), sign("asset_changed", "e2", 6))
    after = Alarms(before.fusion.state(), **hidden)
    after.at(20, sign("asset_changed", "e2", phase="end"))
    after.at(21)
    (end,) = after.at(60)
    assert (end.phase, end.event) == ("end", start.event)


def test_given_the_clip_model_is_refused_after_a_restart_then_aggression_ends_with_a_reason() -> None:
    wished = camera(aggression={})
    before = Scene(wished, device="box", model=None)
    looks(before, 0, AssetLook("box", "day", known=True, seen=1.0, settled=0.7, gone=0.9, place=(0.5, 0.5)))
    start, alarm = brawl(before, 30, 0.95)
    assert told_of([start, alarm]) == [("aggression", "start"), ("vandalism", "update")]
    before.stop(instant(41))
    after = Scene(wished, device="box", model=None, state=before.snapshot())
    assert brawl(after, 50, None, seconds=4) == []
    ends = {body.kind: body for body in brawl(after, 54, None)}
    assert (ends["aggression"].phase, ends["aggression"].event) == ("end", start.event)
    assert "clip model" in str(ends["aggression"].details["ended"])
    assert "since_s" not in json.loads(after.snapshot())["rules"]["aggression"]
    assert [each["over"] for each in signs_of(ends["vandalism"])] == [False, True]


def test_given_moments_without_frames_or_a_stop_then_aggression_stays_open() -> None:
    scene = Scene(camera(aggression={"leave_s": 0.1}), device="box", model=None)
    brawl(scene, 0, 0.95)
    told = [record for second in range(10, 30) for record in scene.tick(instant(second), Link("lost"))]
    told += scene.stop(instant(31))
    assert [record for record in told if isinstance(record.body, EventBody) and record.body.kind == "aggression"] == []
