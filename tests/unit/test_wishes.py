"""What people ask of a running box: done between two pictures and durable before it is answered, or refused and why."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from agent.changes import MOST
from agent.config.schema import Camera
from agent.mqtt.coding import encode
from agent.mqtt.commands import Commands
from agent.mqtt.messages import Command as Wanted
from agent.pipeline import CameraPipeline
from agent.video.source import Phase
from agent.wishes import ANSWER, WISH, Wishes
from tests.fakes.clock import ManualClock
from tests.fakes.lanes import Room
from tests.fakes.records import MODEL

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


REGION = {"name": "box", "what": "cabinet", "polygon": [[0.1, 0.4], [0.3, 0.4], [0.3, 0.7], [0.1, 0.7]]}
GUARDED = Camera.model_validate({"name": "camera-0", "source": "x", "protected": [REGION]})


class Disk:
    """Makes durable, or doesn't."""

    ok = True
    flushes = 0

    def flush(self, timeout_s: float) -> bool:
        self.flushes += 1
        return self.ok


class Desk:
    """A room whose loop turns in a thread of its own while something is asked of it."""

    def __init__(self, folder: Path, camera: Camera | None = None, *, running: bool = True) -> None:
        self.room = Room(1)
        if camera is not None:
            self.room.lanes[0].pipeline = CameraPipeline(camera, device="pole-17", model=MODEL)
        if running:
            self.room.run_for(3)
        self.disk = Disk()
        self.wishes = Wishes(lambda: self.room.loop, self.disk, self.room.clock, folder)
        self.commands = Commands(self.wishes.orders(), device="pole-17", boot=BOOT, clock=ManualClock())

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)

    @property
    def taken_next(self) -> set[str]:
        """Regions of which the next look becomes the memory."""
        return self.room.lanes[0].pipeline._guard._judge._accepted

    @property
    def waiting(self) -> int:
        """Wishes that wait for the loop."""
        return len(self.room.loop.changes._refuse_newest)

    def _turn(self) -> None:
        while not self._over.wait(0.002):
            self.room.loop.turn()

    def order(self, command: str = "accept_view", **args: Any) -> tuple[bool, str | None, dict[str, Any]]:
        reply = self.commands.answer(encode(Wanted(command=command, args=args)))
        assert reply is not None
        return reply.ok, reply.error, dict(reply.result)


def test_given_an_operator_who_accepts_a_view_over_the_broker_then_it_is_done_and_saved_before_the_answer(
    tmp_path: Path,
) -> None:
    with Desk(tmp_path) as desk:
        assert desk.order(camera="camera-0") == (True, None, {"camera": "camera-0", "was": "clear"})
        assert desk.room.sink.states[-1][1]["camera-0/view"] == "null"
        assert desk.disk.flushes == 1


@pytest.mark.parametrize(
    ("args", "sign"),
    [
        ({"camera": "gate"}, "gate: there is no such camera here, only camera-0"),
        ({}, "camera"),
        ({"camera": "../etc"}, "camera"),
        ({"camera": "camera-0", "lines": "all"}, "lines"),
    ],
)
def test_given_a_command_that_fits_nothing_then_it_is_refused_in_a_sentence(
    tmp_path: Path, args: dict[str, Any], sign: str
) -> None:
    ok, error, _ = Desk(tmp_path).order(**args)
    assert not ok
    assert error is not None
    assert sign in error


def test_given_a_camera_without_a_picture_then_its_view_is_not_accepted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.room.cameras[0].phase = Phase.LOST
    desk.room.run_for(3)
    with desk:
        assert desk.order(camera="camera-0")[1] == ("camera-0: it gives no picture now; accept its view when it does")


def test_given_a_disk_that_fails_then_an_accepted_view_is_not_called_durable(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        desk.disk.ok = False
        ok, error, _ = desk.order(camera="camera-0")
    assert not ok
    assert error is not None
    assert "can't be written to the disk" in error


def test_given_an_operator_who_accepts_a_region_then_it_is_done_between_pictures_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, GUARDED)
    replies: list[Any] = []
    asker = threading.Thread(
        target=lambda: replies.append(desk.order("accept", camera="camera-0", region="box")), daemon=True
    )
    with caplog.at_level(logging.INFO, "kentongan.wishes"):
        asker.start()
        until(lambda: desk.waiting == 1)
        assert (desk.taken_next, replies, desk.disk.flushes) == (set(), [], 0), "the loop may have a picture in hand"
        desk.room.loop.turn()
        asker.join(5)
    assert desk.taken_next == {"box"}
    assert replies == [(True, None, {"accepted": True})]
    assert desk.disk.flushes == 1
    assert "camera camera-0: how its protected region box looks was accepted" in caplog.text
    desk.room.run_for(5)
    assert desk.taken_next == set(), "the next look took it"


@pytest.mark.parametrize(
    ("args", "sign"),
    [
        ({"camera": "gate", "region": "box"}, "gate: there is no such camera here, only camera-0"),
        ({"camera": "camera-0", "region": "bench"}, "camera-0: it has no protected region bench; it has box"),
        ({"camera": "camera-0"}, "region"),
        ({"camera": "camera-0", "region": "../etc"}, "region"),
    ],
)
def test_given_a_region_that_is_not_there_then_it_is_refused_with_what_there_is(
    tmp_path: Path, args: dict[str, Any], sign: str
) -> None:
    with Desk(tmp_path, GUARDED) as desk:
        ok, error, _ = desk.order("accept", **args)
        assert desk.taken_next == set()
    assert not ok
    assert error is not None
    assert sign in error
    assert desk.disk.flushes == 0


def test_given_a_camera_without_regions_then_the_refusal_says_so(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        assert desk.order("accept", camera="camera-0", region="box")[1] == (
            "camera-0: it has no protected region box; it has none"
        )


def test_given_a_loop_that_has_ended_then_a_wish_is_refused_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.room.loop._finish()
    assert desk.order(camera="camera-0")[1] == (
        "camera-0: the agent is ending, so this was not done; ask again when it runs"
    )


def test_given_wishes_on_the_box_then_each_is_answered_beside_it(tmp_path: Path) -> None:
    for camera in ("camera-0", "gate"):
        (tmp_path / f"{WISH}{camera}").touch()
    with Desk(tmp_path) as desk:
        desk.wishes.hear()
    answers = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert answers.keys() == {f"{WISH}camera-0{ANSWER}", f"{WISH}gate{ANSWER}"}
    assert answers[f"{WISH}camera-0{ANSWER}"].startswith("ok: ")
    assert "no such camera" in answers[f"{WISH}gate{ANSWER}"]


def test_given_more_wishes_than_a_busy_loop_can_grant_then_the_newest_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    replies: list[Any] = []
    late = [
        threading.Thread(target=lambda: replies.append(desk.order(camera="camera-0")), daemon=True) for _ in range(MOST)
    ]
    for each in late:
        each.start()
    until(lambda: desk.waiting == MOST)
    assert desk.order(camera="camera-0")[1] == (
        f"camera-0: {MOST} others wait for the agent already, so this was not done; ask again"
    )
    desk.room.loop.turn()
    for each in late:
        each.join(5)
    assert replies == [(True, None, {"camera": "camera-0", "was": "clear"})] * MOST


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_given_a_wish_that_cannot_be_answered_then_it_is_granted_once(tmp_path: Path) -> None:
    (tmp_path / f"{WISH}camera-0").touch()
    (tmp_path / f"{WISH}camera-0{ANSWER}").mkdir()
    with Desk(tmp_path) as desk:
        desk.wishes.hear()
        desk.wishes.hear()
    assert desk.disk.flushes == 1
    assert not (tmp_path / f"{WISH}camera-0").exists()


def test_given_a_wish_that_cannot_be_taken_away_then_it_is_not_granted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{WISH}camera-0").mkdir()
    with Desk(tmp_path) as desk:
        desk.wishes.hear()
        desk.wishes.hear()
    assert desk.disk.flushes == 0
    assert caplog.text.count("is not granted") == 1


def test_given_a_wish_from_before_the_start_then_it_waits_until_its_camera_is_live(tmp_path: Path) -> None:
    (tmp_path / f"{WISH}camera-0").touch()
    desk = Desk(tmp_path, running=False)
    desk.wishes.hear()
    assert (tmp_path / f"{WISH}camera-0").exists()
    desk.room.run_for(3)
    with desk:
        desk.wishes.hear()
    assert (tmp_path / f"{WISH}camera-0{ANSWER}").read_text().startswith("ok: ")
