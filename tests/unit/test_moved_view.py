"""A camera that is moved: counting stops, lines are carried over or wait for a person, and none of it is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import KentonganError
from agent.pipeline import CameraPipeline, anchor_name
from agent.records import CountBody, EventBody, Record
from agent.values import Detections, Frame, Image
from agent.vision.anchor import Anchor
from tests.fakes.records import MODEL
from tests.fakes.streets import HEIGHT, WIDTH, moved, noisy, street

COVERED = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
LINE = {"name": "near", "points": [[0.3, 0.6], [0.7, 0.6]], "interval_s": 10}


class Pole:
    """A camera on a pole, and the pipeline that watches it; a second is a picture."""

    def __init__(
        self, states: dict[str, str] | None = None, start_s: int = 0, machine: str = "one", **more: Any
    ) -> None:
        camera = Camera.model_validate({"name": "gate", "source": "x", "lines": [LINE], **more})
        self.pipeline = CameraPipeline(camera, device="d", model=MODEL, state=states, machine=machine)
        self.second = start_s
        self.records: list[Record] = []

    def show(self, picture: Image, seconds: int) -> list[Record]:
        made: list[Record] = []
        for _ in range(seconds):
            self.second += 1
            frame = Frame("gate", self.second, noisy(picture, self.second), self.at())
            made += self.pipeline.see(frame, Detections.empty()).records
        return made

    def at(self) -> Instant:
        return Instant(100.0 + self.second, 1.8e9 + self.second)

    def line(self) -> Any:
        return self.pipeline.shown.lines[0].points


def tampered(records: Iterable[Record]) -> list[EventBody]:
    bodies = [record.body for record in records]
    return [body for body in bodies if isinstance(body, EventBody) and body.kind == "camera_tampered"]


def intervals(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """The reasons of each interval in one direction that have to do with the view."""
    bodies = [record.body for record in records]
    counts = [body for body in bodies if isinstance(body, CountBody) and body.direction == "a_to_b"]
    return [tuple(reason for reason in body.quality.reasons if reason == "moved") for body in counts]


def test_given_a_knocked_camera_then_its_lines_are_carried_over_and_both_are_told() -> None:
    pole = Pole()
    assert not tampered(pole.show(street(), 20))
    records = pole.show(moved(street(), right=0.08), 40)
    start, end = tampered(records)
    assert (start.phase, start.details["cause"]) == ("start", "turned")
    assert (end.phase, end.event, end.details["settled"]) == ("end", start.event, "reanchored")
    assert end.details["shift_x"] == pytest.approx(0.08, abs=0.003)
    assert pole.line()[0] == pytest.approx((0.38, 0.6), abs=0.005)
    reasons = intervals(records)
    assert ("moved",) in reasons[:2]
    assert reasons[2:] == [()] * len(reasons[2:])


def test_given_a_camera_that_is_turned_back_then_the_lines_lie_as_they_were_drawn() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.1, turn_deg=3), 20)
    assert pole.line() != ((0.3, 0.6), (0.7, 0.6))
    pole.show(street(), 30)
    assert pole.line() == ((0.3, 0.6), (0.7, 0.6))


def test_given_a_camera_turned_away_then_nothing_is_counted_for_days_until_it_is_turned_back() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(street(8), 20)
    pole.second += 2 * 86_400
    records = pole.show(street(8), 30)
    assert not tampered(records)
    assert intervals(records)[1:] == [("moved",)] * len(intervals(records)[1:])
    back = pole.show(street(), 40)
    assert [body.phase for body in tampered(back)] == ["end"]
    assert intervals(back)[-1] == ()


def test_given_a_line_that_left_the_picture_then_counting_stays_stopped() -> None:
    pole = Pole(lines=[{**LINE, "points": [[0.02, 0.6], [0.3, 0.6]]}])
    pole.show(street(), 20)
    records = pole.show(moved(street(), right=-0.1), 40)
    assert [body.phase for body in tampered(records)] == ["start"]
    assert intervals(records)[-1] == ("moved",)
    assert intervals(pole.show(street(), 40))[-1] == ()


def test_given_a_configuration_without_reanchoring_then_a_knocked_camera_stays_stopped() -> None:
    pole = Pole(tamper={"reanchor": False})
    pole.show(street(), 20)
    records = pole.show(moved(street(), right=0.08), 40)
    assert [body.phase for body in tampered(records)] == ["start"]
    assert anchor_name("gate") not in pole.pipeline.states()
    assert pole.line() == ((0.3, 0.6), (0.7, 0.6))


def test_given_a_person_who_accepts_the_new_view_then_counting_goes_on_with_the_lines_as_drawn() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(street(8), 20)
    was, records = pole.pipeline.accept_view(pole.at())
    assert was == "turned"
    (end,) = tampered(records)
    assert (end.phase, end.details["settled"]) == ("end", "accepted")
    after = pole.show(street(8), 40)
    assert not tampered(after)
    assert intervals(after)[-1] == ()
    assert pole.line() == ((0.3, 0.6), (0.7, 0.6))


def test_given_an_accepted_view_then_moves_are_measured_from_it() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(street(8), 20)
    pole.pipeline.accept_view(pole.at())
    pole.show(street(8), 20)
    pole.show(moved(street(8), right=0.08), 20)
    assert pole.line()[0] == pytest.approx((0.38, 0.6), abs=0.005)


def test_given_a_wrong_shift_then_a_person_can_say_that_the_lines_hold_as_drawn() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 20)
    was, records = pole.pipeline.accept_view(pole.at())
    assert (was, tampered(records)) == ("clear", [])
    pole.show(moved(street(), right=0.08), 30)
    assert pole.line() == ((0.3, 0.6), (0.7, 0.6))


@pytest.mark.parametrize(("picture", "said"), [(COVERED, "covered"), (np.zeros_like(COVERED), "dark")])
def test_given_a_picture_that_shows_nothing_then_it_is_not_accepted(picture: Image, said: str) -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(picture, 12)
    with pytest.raises(KentonganError, match=f"gate: its picture shows nothing now \\({said}\\)"):
        pole.pipeline.accept_view(pole.at())


def test_given_a_view_that_nobody_watches_then_there_is_nothing_to_accept() -> None:
    with pytest.raises(KentonganError, match="its view is not watched"):
        Pole(tamper={"enabled": False}).pipeline.accept_view(Pole().at())


@pytest.mark.parametrize("away_s", [5, 3 * 3600])
def test_given_a_restart_then_a_shift_stays_in_force_and_is_undone_when_the_camera_is_turned_back(away_s: int) -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 20)
    again = Pole(pole.pipeline.states(), pole.second + away_s, "two")
    assert again.line() == pole.line()
    assert not tampered(again.show(moved(street(), right=0.08), 30))
    again.show(street(), 30)
    assert again.line() == ((0.3, 0.6), (0.7, 0.6))


@pytest.mark.parametrize("away_s", [5, 3 * 3600])
def test_given_a_restart_of_a_turned_camera_then_it_stays_stopped(away_s: int) -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(street(8), 20)
    again = Pole(pole.pipeline.states(), pole.second + away_s, "two")
    records = again.show(street(8), 60)
    assert all(body.phase == "update" for body in tampered(records))
    assert intervals(records)[-2:] == [("moved",)] * 2


def test_given_a_restart_right_after_a_view_was_accepted_then_it_is_still_accepted() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(street(8), 20)
    pole.pipeline.accept_view(pole.at())
    again = Pole(pole.pipeline.states(), pole.second + 5, "one")
    records = again.show(street(8), 40)
    assert not tampered(records)
    assert intervals(records)[-1] == ()


def test_given_lines_drawn_anew_then_a_shift_is_forgotten() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 20)
    drawn = Pole(pole.pipeline.states(), pole.second + 5, lines=[{**LINE, "points": [[0.38, 0.6], [0.78, 0.6]]}])
    drawn.show(moved(street(), right=0.08), 30)
    assert drawn.line() == ((0.38, 0.6), (0.78, 0.6))


def test_given_a_knocked_camera_then_its_protected_regions_are_carried_over_and_learnt_anew_without_an_alarm() -> None:
    region = {
        "name": "box",
        "what": "cabinet",
        "settle_s": 5,
        "polygon": [[0.4, 0.4], [0.6, 0.4], [0.6, 0.7], [0.4, 0.7]],
    }
    pole = Pole(protected=[region])
    pole.show(street(), 50)
    records = pole.show(moved(street(), right=0.08), 90)
    assert not [body for body in (record.body for record in records) if getattr(body, "kind", "") == "asset_changed"]
    assert pole.pipeline.shown.protected[0].polygon[0] == pytest.approx((0.48, 0.4), abs=0.005)


def test_given_a_shifted_view_when_only_the_rate_is_redrawn_then_the_lines_stay_carried_over() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 40)
    pole.pipeline.redraw(pole.pipeline.camera.model_copy(update={"detect_fps": 5}), pole.at())
    assert pole.line()[0] == pytest.approx((0.38, 0.6), abs=0.005)
    assert not tampered(pole.show(moved(street(), right=0.08), 20))


def test_given_a_shifted_view_when_lines_are_redrawn_then_they_hold_for_what_is_seen_now() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 40)
    line = pole.pipeline.camera.lines[0].model_copy(update={"points": ((0.2, 0.5), (0.8, 0.5))})
    pole.pipeline.redraw(pole.pipeline.camera.model_copy(update={"lines": (line,)}), pole.at())
    after = pole.show(moved(street(), right=0.08), 40)
    assert pole.line() == ((0.2, 0.5), (0.8, 0.5))
    assert not tampered(after)
    assert intervals(after)[-1] == ()


def test_given_a_thing_taken_while_the_lens_was_covered_then_it_is_missed_when_the_view_is_back() -> None:
    view = street()
    with_cabinet = view.copy()
    x, y = round(0.4 * WIDTH), round(0.3 * HEIGHT)
    with_cabinet[y : y + HEIGHT // 4, x : x + WIDTH // 8] = (40, 90, 200)
    corners = [[0.4, 0.3], [0.525, 0.3], [0.525, 0.55], [0.4, 0.55]]
    pole = Pole(protected=[{"name": "box", "what": "cabinet", "settle_s": 8, "polygon": corners}])
    pole.show(with_cabinet, 60)
    pole.show(COVERED, 12)
    told = [each.body for each in pole.show(view, 60) if isinstance(each.body, EventBody)]
    assert [body.phase for body in told if body.kind == "asset_changed"] == ["start"]


def test_given_few_corners_when_it_seems_turned_for_a_moment_then_it_does_not_stay_stopped() -> None:
    plain = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    anchor = Anchor()
    for second in range(20):
        anchor.look(plain, float(second), "")
    anchor.look(plain, 20.0, "turned")
    assert not anchor.look(plain, 21.0, "").stopped


def test_given_a_shifted_view_when_only_thresholds_are_redrawn_then_the_lines_stay_carried_over() -> None:
    pole = Pole()
    pole.show(street(), 20)
    pole.show(moved(street(), right=0.08), 40)
    line = pole.pipeline.camera.lines[0].model_copy(update={"interval_s": 300})
    pole.pipeline.redraw(pole.pipeline.camera.model_copy(update={"lines": (line,)}), pole.at())
    assert pole.line()[0] == pytest.approx((0.38, 0.6), abs=0.005)
    again = Pole(pole.pipeline.states(), pole.second + 5, lines=[{**LINE, "interval_s": 60}])
    assert again.line()[0] == pytest.approx((0.38, 0.6), abs=0.005)


def test_given_an_open_change_when_the_camera_is_moved_then_it_ends_with_a_reason() -> None:
    view = street()
    with_cabinet = view.copy()
    x, y = round(0.4 * WIDTH), round(0.3 * HEIGHT)
    with_cabinet[y : y + HEIGHT // 4, x : x + WIDTH // 8] = (40, 90, 200)
    corners = [[0.4, 0.3], [0.525, 0.3], [0.525, 0.55], [0.4, 0.55]]
    pole = Pole(protected=[{"name": "box", "what": "cabinet", "settle_s": 8, "polygon": corners}])
    pole.show(with_cabinet, 60)
    pole.show(view, 40)
    told = [each.body for each in pole.show(moved(view, right=0.08), 90) if isinstance(each.body, EventBody)]
    (end,) = [body for body in told if body.kind == "asset_changed" and body.phase == "end"]
    assert "learnt anew" in str(end.details["ended"])


def protected(left: float, *, what: str = "cabinet") -> dict[str, Any]:
    corners = [[left, 0.4], [left + 0.12, 0.4], [left + 0.12, 0.7], [left, 0.7]]
    return {"protected": [{"name": "box", "what": what, "polygon": corners}]}


def assets(records: Iterable[Record]) -> list[EventBody]:
    bodies = [record.body for record in records]
    return [body for body in bodies if isinstance(body, EventBody) and body.kind == "asset_changed"]


def test_given_a_protected_thing_that_left_the_picture_then_it_is_said_until_the_camera_is_turned_back() -> None:
    pole = Pole(**protected(0.86))
    pole.show(street(), 20)
    assert pole.pipeline.troubles() == ()
    (*_, end) = tampered(pole.show(moved(street(), right=0.12), 40))
    assert (end.details["settled"], end.details["unwatched"]) == ("reanchored", ["box"])
    (trouble,) = pole.pipeline.troubles()
    assert "out of the picture: protected box; turn the camera back if it was moved" in trouble
    with pytest.raises(KentonganError, match="can't be accepted"):
        pole.pipeline.accept("box")
    after = Pole(pole.pipeline.states(), pole.second, **protected(0.86))
    assert after.pipeline.troubles() == (trouble,), "over a restart"
    (*_, back) = tampered(pole.show(street(), 40))
    assert "unwatched" not in back.details
    assert pole.pipeline.troubles() == ()


def test_given_an_open_change_of_a_thing_that_leaves_the_picture_then_its_event_ends_with_the_reason() -> None:
    pole = Pole(**protected(0.86))
    pole.show(street(), 30)
    changed = street()
    changed[150:240, 556:620] = (30, 160, 220)
    assert [body.phase for body in assets(pole.show(changed, 60))] == ["start"]
    (end,) = assets(pole.show(moved(changed, right=0.12), 40))
    assert end.phase == "end"
    assert "out of the picture" in str(end.details["ended"])
