"""The daemon as it runs in a street: real processes, a real broker, real RTSP cameras, and what goes wrong there."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.agent_process import AgentProcess, await_true, stored_kinds, stored_records, stored_state
from tests.fakes.bright_street import TRAFFIC, Square, write_bright_clip, write_bright_model
from tests.fakes.command import command
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.ports import free_port
from tests.fakes.rtsp_server import RtspServer, why_unavailable
from tests.fakes.schema import assert_all_valid
from tests.fakes.subscriber import Heard, Subscriber

BOX = "kentongan/v1/pole-17"
RECORDS = ("count", "zone", "event", "gap")
NOTICE_FROZEN_S, USE_AGAIN_S, STOP_S = 5.0, 10.0, 5.0
SLACK_S = 6.0  # for a test machine that does other work
TRUTH = {"a_to_b": 3, "b_to_a": 2}
LONG_TRAFFIC = tuple(
    Square(start_s, top_px, rightwards=way)
    for start_s in range(1, 120, 4)
    for top_px, way in ((16, True), (136, False))
)


class Site:
    """A folder with a model, clips, a broker and the configuration of a box that watches them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "box.yaml"
        self.broker = Mosquitto(folder / "broker", port=free_port())
        self.model = write_bright_model(folder / "bright.onnx", fails_on_black=True)
        self.cameras: list[str] = []

    def add_camera(self, name: str, source: str) -> None:
        line = "{name: middle, points: [[0.5, 0.98], [0.5, 0.02]], interval_s: 10}"
        self.cameras.append(f"{{name: {name}, source: '{source}', model: bright, lines: [{line}]}}")
        listed = "\n".join(f"  - {camera}" for camera in self.cameras)
        self.config.write_text(
            f"device: pole-17\nstate_dir: {self.state}\nhealth_s: 5\noutbox: {{commit_ms: 50}}\n"
            f"mqtt: {{host: 127.0.0.1, port: {self.broker.port}, plaintext: true}}\n"
            f"models: {{bright: {{file: {self.model}}}}}\ncameras:\n{listed}\n",
            encoding="utf-8",
        )

    def add_clip(self, name: str, squares: tuple[Square, ...] = TRAFFIC, seconds_s: float = 8.0) -> None:
        self.add_camera(name, str(write_bright_clip(self.folder / f"{name}.avi", seconds_s, squares)))

    def run(self) -> AgentProcess:
        return AgentProcess(self.config)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def records(heard: list[Heard]) -> list[dict[str, Any]]:
    return [one.plain for one in heard if one.leaf in RECORDS]


def by_direction(plain: list[dict[str, Any]], camera: str = "gate") -> Counter[str]:
    total: Counter[str] = Counter()
    for one in plain:
        if one["camera"] == camera and "volume" in one:
            total[one["direction"]] += one["volume"]
    return total


def losses(plain: list[dict[str, Any]], camera: str) -> list[tuple[str, str]]:
    """Phase and id of every event that says a camera was lost, in order."""
    own = (one for one in plain if one["camera"] == camera and one.get("kind") == "camera_lost")
    return [(one["phase"], one["event"]) for one in own]


def assert_line_up(plain: list[dict[str, Any]], camera: str) -> None:
    """Intervals of one direction follow each other end to start."""
    own = [one["interval"] for one in plain if one["camera"] == camera and one.get("direction") == "a_to_b"]
    assert len(own) > 1
    for early, late in itertools.pairwise(own):
        assert early["end"] == late["start"]


def has_state(heard: list[Heard], state: str) -> bool:
    return any(one.leaf == "status" and one.plain["state"] == state for one in heard)


def test_what_was_counted_without_a_broker_arrives_exactly_as_the_outbox_held_it_once_there_is_one(site: Site) -> None:
    site.add_clip("gate")
    with site.run() as box:
        box.await_log("watching 1 cameras")
        await_true(
            lambda: "event" in stored_kinds(site.state), 40, lambda: box.log
        )  # its camera ended: the clip is over
        code, took_s = box.stop()
        assert (code, took_s < STOP_S) == (0, True), (code, took_s, box.log)
    held = stored_records(site.state)
    assert by_direction(held) == TRUTH
    with site.broker, Subscriber(site.broker.port) as subscriber:
        with site.run() as box:
            subscriber.wait_for(lambda heard: len(records(heard)) >= len(held), 20)
            await_true(lambda: by_direction(records(subscriber.heard())).total() >= 5, 20, lambda: box.log)
            code, took_s = box.stop()
            assert (code, took_s < STOP_S) == (0, True), (code, took_s, box.log)
        heard = subscriber.wait_for(lambda all_heard: has_state(all_heard, "stopped"), 5)
        assert_all_valid(heard)
        assert "birth" in {one.leaf for one in heard}
    got = records(heard)
    assert [one["seq"] for one in got] == list(range(1, len(got) + 1)), "in order, none missing, none double"
    assert len({one["id"] for one in got}) == len(got)
    for sent, kept in zip(got, held, strict=False):
        assert {key: sent[key] for key in kept} == kept
    assert stored_records(site.state) == [], "delivered and forgotten"
    last = {one["direction"]: one["cumulative"] for one in got if "cumulative" in one}
    assert last["a_to_b"] >= TRUTH["a_to_b"]
    assert by_direction(got).total() == sum(last.values())


def test_killed_in_the_middle_a_box_goes_on_where_it_was(site: Site) -> None:
    site.add_clip("gate", LONG_TRAFFIC, 60)
    with site.broker, Subscriber(site.broker.port) as subscriber:
        with site.run() as box:
            subscriber.wait_for(lambda heard: by_direction(records(heard)).total() >= 2, 40)
            box.kill()
        subscriber.wait_for(lambda heard: has_state(heard, "offline"), 10)
        before = records(subscriber.heard())
        with site.run() as box:
            subscriber.wait_for(lambda heard: len(records(heard)) >= len(before) + 4, 40)
            assert box.stop()[0] == 0
        heard = subscriber.wait_for(lambda all_heard: has_state(all_heard, "stopped"), 5)
    assert_all_valid(heard)
    got = records(heard)
    unique = {one["seq"]: one for one in got}
    assert list(unique) == list(range(1, len(unique) + 1))
    once = list(unique.values())
    assert len({one["boot"] for one in once}) == 2
    assert_line_up(once, "gate")
    for direction in ("a_to_b", "b_to_a"):
        counts = [one for one in once if one["direction"] == direction]
        for early, late in itertools.pairwise(counts):
            assert late["cumulative"] - early["cumulative"] == late.get("volume", 0)
        assert counts[-1]["cumulative"] >= 2


def test_a_broker_that_freezes_and_is_killed_loses_nothing(site: Site) -> None:
    site.add_clip("gate", LONG_TRAFFIC, 60)
    with site.broker as broker, Subscriber(broker.port) as subscriber, site.run() as box:
        subscriber.wait_for(lambda heard: len(records(heard)) >= 2, 40)
        broker.freeze()
        time.sleep(2)
        broker.thaw()
        subscriber.wait_for(lambda heard: len(records(heard)) >= 4, 40)
        broker.kill()
        code, took_s = box.stop()
        assert (code, took_s < STOP_S) == (0, True), (code, took_s, box.log)
        held = stored_records(site.state)
        assert held, "the interval that was cut short waits in the outbox"
        broker.start()
        seen = len(records(subscriber.heard()))
        with Subscriber(broker.port, client_id="another") as other, site.run() as again:
            other.wait_for(lambda heard: len(records(heard)) >= len(held), 20)
            assert again.stop()[0] == 0
            late = records(other.wait_for(lambda heard: has_state(heard, "stopped"), 5))
        early = records(subscriber.heard())[:seen]
    unique = {one["seq"]: one for one in [*early, *late]}
    assert sorted(unique) == list(range(1, max(unique) + 1))
    assert [one["seq"] for one in late] == sorted(one["seq"] for one in late)


def test_a_disk_that_takes_nothing_is_told_in_health_and_nothing_counted_meanwhile_is_lost(site: Site) -> None:
    site.add_clip("gate", LONG_TRAFFIC, 60)
    with site.broker, Subscriber(site.broker.port) as subscriber, site.run() as box:
        subscriber.wait_for(lambda heard: len(records(heard)) >= 2, 40)
        box.limit_files(0)
        sick = subscriber.wait_for(lambda heard: any(not ok for ok in _outbox_ok(heard)), 20)
        reason = next(one.plain["outbox"]["reason"] for one in sick if one.leaf == "health" and not _ok(one))
        assert "outbox" in reason
        before = subscriber.heard()
        subscriber.wait_for(lambda heard: sum(one.leaf == "health" for one in heard) >= _healths(before) + 2, 30)
        box.limit_files(None)
        subscriber.wait_for(lambda heard: _outbox_ok(heard)[-1], 20)
        assert box.stop()[0] == 0
        heard = subscriber.wait_for(lambda all_heard: has_state(all_heard, "stopped"), 5)
    assert_all_valid(heard)
    got = list({one["seq"]: one for one in records(heard)}.values())
    assert [one["seq"] for one in got] == list(range(1, len(got) + 1))
    assert_line_up(got, "gate")
    assert all(one["quality"]["valid"] for one in got if "quality" in one and not one["interval"]["partial"])
    assert box.log.count("records wait in memory") == 1
    last = {one["direction"]: one["cumulative"] for one in got if "cumulative" in one}
    assert by_direction(got) == last


def _ok(health: Heard) -> bool:
    return bool(health.plain["outbox"]["ok"])


def _outbox_ok(heard: list[Heard]) -> list[bool]:
    return [_ok(one) for one in heard if one.leaf == "health"]


def _healths(heard: list[Heard]) -> int:
    return sum(one.leaf == "health" for one in heard)


@pytest.mark.slow
@pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable() or "available")
def test_a_camera_that_freezes_and_dies_is_told_once_over_a_restart_and_the_other_notices_nothing(site: Site) -> None:
    with RtspServer(pattern="smpte") as camera:
        site.add_camera("gate", camera.url)
        site.add_clip("yard", LONG_TRAFFIC, 120)
        with site.broker, Subscriber(site.broker.port) as subscriber:
            with site.run() as box:
                subscriber.wait_for(lambda heard: _states(heard)[-1:] == ["live"], 30)
                camera.freeze()
                frozen_s = time.monotonic()
                subscriber.wait_for(lambda heard: len(losses(records(heard), "gate")) == 1, 20)
                assert time.monotonic() - frozen_s < NOTICE_FROZEN_S + SLACK_S
                camera.kill()
                subscriber.wait_for(lambda heard: len(losses(records(heard), "gate")) == 2, 30)
                time.sleep(1.5)  # until the state that belongs to it is certainly on disk
                box.kill()
            with site.run() as box:
                subscriber.wait_for(lambda heard: _states(heard)[-1:] == ["lost"], 30)
                camera.start()
                back_s = time.monotonic()
                subscriber.wait_for(lambda heard: len(losses(records(heard), "gate")) >= 3, 30)
                assert time.monotonic() - back_s < USE_AGAIN_S + SLACK_S
                ended_at = len(records(subscriber.heard()))
                subscriber.wait_for(lambda heard: len(records(heard)) >= ended_at + 8, 40)
                assert box.stop()[0] == 0
            heard = subscriber.wait_for(lambda all_heard: has_state(all_heard, "stopped"), 5)
    assert_all_valid(heard)
    got = list({one["seq"]: one for one in records(heard)}.values())
    assert [one["seq"] for one in got] == list(range(1, len(got) + 1))
    told = losses(got, "gate")
    assert [phase for phase, _ in told] == ["start", "update", "end"]
    assert len({event for _, event in told}) == 1
    assert not losses(got, "yard")
    assert_line_up(got, "gate")
    assert_line_up(got, "yard")
    gate = [one["quality"] for one in got if one["camera"] == "gate" and "quality" in one]
    why = {reason for quality in gate if not quality["valid"] for reason in quality["reasons"]}
    assert {"camera_frozen", "camera_lost"} <= why
    yard = [one for one in got if one["camera"] == "yard" and "interval" in one and not one["interval"]["partial"]]
    assert all(not {"camera_lost", "camera_frozen"} & set(one["quality"].get("reasons", ())) for one in yard)


@pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable() or "available")
def test_told_to_stop_while_a_camera_hangs_the_box_still_ends_in_time_and_well(site: Site) -> None:
    with RtspServer(pattern="smpte") as camera:
        site.add_camera("gate", camera.url)
        with site.run() as box:
            box.await_log("camera gate: live")
            camera.freeze()
            time.sleep(1)
            code, took_s = box.stop()
        camera.thaw()
    assert (code, took_s < STOP_S + 1) == (0, True), (code, took_s, box.log)


def _states(heard: list[Heard]) -> list[str]:
    return [one.plain["cameras"]["gate"]["state"] for one in heard if one.leaf == "health"]


def test_a_view_accepted_over_the_broker_and_on_the_box_is_durable_before_the_answer_and_over_a_power_cut(
    site: Site,
) -> None:
    site.add_clip("gate", LONG_TRAFFIC, 60)
    with site.broker, Subscriber(site.broker.port) as subscriber:
        with site.run() as box:
            subscriber.wait_for(lambda heard: bool(records(heard)), 40)
            subscriber.say(f"{BOX}/command", {"v": 1, "command": "accept_view", "id": "1", "args": {"camera": "door"}})
            subscriber.say(f"{BOX}/command", {"v": 1, "command": "accept_view", "id": "2", "args": {"camera": "gate"}})
            subscriber.wait_for(lambda _: len(subscriber.heard("reply")) == 2, 10)
            box.kill()
        refused, granted = (one.plain for one in subscriber.heard("reply"))
        assert refused["error"] == "door: there is no such camera here, only gate"
        assert granted["result"] == {"camera": "gate", "was": "clear"}
        assert "camera gate: its view was accepted as it is" in box.log
        assert stored_state(site.state)["gate/view"] == "null"
        with site.run() as box:
            box.await_log("watching 1 cameras")
            told = command("accept-view", str(site.config), "gate", "--wait", "20")
            assert told.out.startswith("gate: ok: ")
            assert box.stop()[0] == 0
