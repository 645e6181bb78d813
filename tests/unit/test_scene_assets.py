"""A protected thing that changed, as an event: what it is called, who was near, when it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.config.schema import Asset, Camera
from agent.records import EventBody, Record
from agent.scene import Scene
from agent.scene.assets import WHOLE_S, change_of
from agent.scene.values import LIVE, AssetLook, View
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, instant, tracks

AS_IT_WAS = AssetLook("box", "day", known=True, seen=1.0, place=(0.5, 0.5))
PAINTED = replace(AS_IT_WAS, changed=0.3, settled=0.3, new=0.9, coloured=0.5, stood_s=30.0)
TAKEN = replace(AS_IT_WAS, changed=0.8, settled=0.7, gone=0.9, lost=0.6, coloured=0.8, stood_s=30.0)


class Street:
    """A cabinet in the middle of the picture, looked at once a second."""

    def __init__(self, what: Asset = "cabinet", state: str | None = None) -> None:
        corners = [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]
        self.camera = Camera.model_validate(
            {
                "name": "gate",
                "source": "x",
                "vandalism": {"enabled": False},
                "protected": [{"name": "box", "what": what, "polygon": corners, "settle_s": 10}],
            }
        )
        self.scene = Scene(self.camera, device="box", model=None, state=state)
        self.now_s = 0.0

    def see(self, look: AssetLook | None, seconds: int = 1, people: tuple[Body, ...] = ()) -> list[EventBody]:
        told: list[Record] = []
        for _ in range(seconds):
            looks = () if look is None else (look,)
            told += self.scene.update(tracks(people), instant(self.now_s), SIZE, assets=looks)
            self.now_s += 1
        return [record.body for record in told if isinstance(record.body, EventBody)]


@pytest.mark.parametrize(
    ("what", "look", "change", "certain"),
    [
        ("cabinet", TAKEN, "removed", True),
        ("sign", replace(TAKEN, gone=0.6), "removed", False),
        ("cabinet", PAINTED, "defaced", True),
        ("cabinet", replace(TAKEN, settled=0.4, new=0.9), "defaced", False),
        ("bench", PAINTED, "added", True),
        ("cabinet", replace(AS_IT_WAS, settled=0.2, lost=0.8), "damaged", True),
        ("cabinet", replace(AS_IT_WAS, settled=0.2, lost=0.2), "damaged", False),
        ("wall", replace(TAKEN, coloured=0.1), "damaged", True),
        ("wall", replace(PAINTED, new=0.2), "defaced", False),
        ("floor", PAINTED, "added", True),
        ("floor", replace(PAINTED, new=0.2), "added", False),
        ("floor", replace(AS_IT_WAS, settled=0.3, lost=0.9), "removed", True),
    ],
)
def test_a_change_is_called_by_what_it_is_of_and_how_it_looks(
    what: Asset,
    look: AssetLook,
    change: str,
    certain: bool,  # noqa: FBT001 - a case
) -> None:
    assert change_of(what, look, 0.04) == (change, certain)


def test_given_less_than_the_least_share_then_nothing_has_changed() -> None:
    assert change_of("cabinet", replace(PAINTED, settled=0.03), 0.04) is None
    assert change_of("wall", replace(AS_IT_WAS, gone=1.0), 0.04) is None, "a shadow may leave a wall"


def test_given_bands_of_new_structure_alone_then_twice_as_much_is_asked_as_of_what_has_colour_too() -> None:
    band = replace(AS_IT_WAS, settled=0.06, new=1.0)
    assert change_of("wall", band, 0.04) is None, "the edge of a shadow that stands"
    assert change_of("wall", replace(band, settled=0.09), 0.04) == ("defaced", True)
    assert change_of("wall", replace(band, coloured=0.2), 0.04) == ("defaced", True)
    assert change_of("wall", replace(band, new=0.6, lost=0.4), 0.04) == ("defaced", True)


def test_given_a_thing_taken_then_one_event_starts_with_since_when_and_ends_when_it_is_back() -> None:
    street = Street()
    assert street.see(AS_IT_WAS, 60) == []
    (start,) = street.see(TAKEN, 40)
    assert (start.kind, start.phase, start.where, start.severity) == ("asset_changed", "start", "box", "alarm")
    assert start.details["change"] == "removed"
    assert start.since == pytest.approx(instant(60 + WHOLE_S - 30).utc_s, abs=1)
    (end,) = street.see(AS_IT_WAS, 10)
    assert (end.phase, end.event) == ("end", start.event)


def test_given_a_change_for_a_moment_only_then_nothing_is_said() -> None:
    street = Street()
    assert street.see(PAINTED, int(WHOLE_S) - 1) == []
    assert street.see(AS_IT_WAS, 2) == []
    assert street.see(PAINTED, int(WHOLE_S) - 1) == []


def test_given_somebody_was_near_before_then_they_are_named_by_track_and_dwell_and_passers_far_away_are_not() -> None:
    street = Street()
    thief = Body(7, (320, 300), 40, 90, kind=RoadUser.PERSON)
    van = Body(9, (200, 300), 120, 90, kind=RoadUser.TRUCK)
    far = Body(8, (60, 460), 40, 90, kind=RoadUser.PERSON)
    street.see(AS_IT_WAS, 5, (thief, far, van))
    street.see(AS_IT_WAS, 15, (thief, far))
    street.see(AS_IT_WAS, 40, (far,))
    (start,) = street.see(TAKEN, 10)
    near: Any = start.details["near"]
    assert [(who["track"], who["class"], who["dwell_s"]) for who in near] == [(7, "person", 19.0), (9, "truck", 4.0)]


def test_given_somebody_long_before_then_nobody_is_named() -> None:
    street = Street()
    street.see(AS_IT_WAS, 5, (Body(7, (320, 300), 40, 90, kind=RoadUser.PERSON),))
    street.see(AS_IT_WAS, 300)
    (start,) = street.see(TAKEN, 10)
    assert start.details["near"] == []


def test_given_the_region_is_hidden_or_its_light_unknown_then_the_open_event_is_not_over() -> None:
    street = Street()
    street.see(TAKEN, 10)
    assert street.see(replace(AS_IT_WAS, seen=0.2), 30) == []
    assert street.see(replace(AS_IT_WAS, known=False), 30) == []
    assert street.see(replace(AS_IT_WAS, light="night"), 30) == []
    assert [body.phase for body in street.see(AS_IT_WAS, 10)] == ["end"]


def test_given_more_is_found_gone_later_then_the_event_says_removed_and_keeps_it() -> None:
    street = Street()
    (start,) = street.see(replace(PAINTED, settled=0.1), 10)
    assert start.details["change"] == "defaced"
    (update,) = street.see(TAKEN, 20)
    assert (update.event, update.details["change"], update.severity) == (start.event, "removed", "alarm")
    assert all(body.details["change"] == "removed" for body in street.see(PAINTED, 20))


def test_given_edges_that_flicker_then_the_event_is_not_told_again_and_with_much_more_it_is() -> None:
    street = Street("wall")
    street.see(PAINTED, 10)
    for number in range(40):
        assert street.see(replace(PAINTED, settled=0.28 + 0.04 * (number % 2), place=(0.5 + number / 900, 0.5))) == []
    (update,) = street.see(replace(PAINTED, settled=0.6), 20)
    assert (update.phase, update.details["share"]) == ("update", 0.6)


def test_given_a_restart_then_the_event_goes_on_and_ends_only_when_it_is_known_to_be_over() -> None:
    street = Street()
    (start,) = street.see(TAKEN, 10)
    after = Street(state=street.scene.snapshot())
    after.now_s = 20.0
    assert after.see(AS_IT_WAS, 10) == [], "what differs has to settle again first"
    assert after.see(TAKEN, 30) == []
    (end,) = after.see(AS_IT_WAS, 10)
    assert (end.event, end.phase) == (start.event, "end")


def test_given_it_was_accepted_then_the_event_ends_and_says_why() -> None:
    street = Street()
    street.see(TAKEN, 10)
    (end,) = street.see(replace(AS_IT_WAS, known=False, accepted=True))
    assert end.phase == "end"
    assert "how it looks now" in str(end.details["ended"])


def test_given_the_region_is_no_longer_configured_then_its_event_is_ended() -> None:
    street = Street()
    street.see(TAKEN, 10)
    bare = Camera(name="gate", source="x")
    scene = Scene(bare, device="box", model=None, state=street.scene.snapshot())
    (end,) = [record.body for record in scene.update(tracks([]), instant(30), SIZE)]
    assert isinstance(end, EventBody)
    assert (end.phase, end.details["why"]) == ("end", "no longer watched")


@pytest.mark.parametrize("once", ["accepted", "relearnt"])
def test_given_a_region_that_is_accepted_while_a_line_is_out_of_the_picture_then_its_event_ends_all_the_same(
    once: str,
) -> None:
    street = Street()
    street.see(AS_IT_WAS, 60)
    street.see(TAKEN, 40)
    street.scene.tick(instant(street.now_s), LIVE, View(("covered",), blind=True, cause="covered"))
    assert street.see(TAKEN, 5) == [], "blind"
    (end,) = [body for body in street.see(replace(AS_IT_WAS, **{once: True})) if body.kind == "asset_changed"]
    assert end.phase == "end"
    assert "ended" in end.details
