"""The maintainer's command line from the first key to the fleet's table, with a real broker at the end."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import pytest

from tests.fakes.command import Done, assert_one_sentence, command
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.subscriber import Subscriber
from tests.fakes.tuf_repository import CHEAP_SCRYPT
from tests.fakes.update_models import BRIGHT, candidate

WORDS = "correct horse"


class Desk:
    """A maintainer's desk: a folder, two sticks, models and pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "repo"
        (folder / "words").write_text(WORDS + "\n")
        cv2.imwrite(str(folder / "street.png"), BRIGHT)
        for version in ("1", "2"):
            (folder / f"v{version}.onnx").write_bytes(candidate(version))

    def release(self, step: str, *words: object) -> Done:
        return command("release", step, self.repo, *words)

    def init(self) -> Done:
        sticks = ("--keys", self.folder / "a", "--keys", self.folder / "b")
        return self.release("init", *sticks, *self.words(), "--scrypt-n", CHEAP_SCRYPT)

    def words(self) -> tuple[object, ...]:
        return "--passphrase-file", self.folder / "words"

    def sign(self, role: str = "targets") -> None:
        for stick, number in (("a", 1), ("b", 2)):
            done = self.release("sign", "--key", self.folder / stick / f"{role}-{number}.key", *self.words())
            assert done.code == 0, done

    def ship(self, version: str) -> None:
        done = self.release("add", self.folder / f"v{version}.onnx", "--slot", "street", "--percent", 10)
        assert done.code == 0, done
        self.sign()
        assert self.release("publish").code == 0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    done = desk.init()
    assert done.code == 0, done
    return desk


def test_first_steps_say_what_to_install_and_what_comes_next(desk: Desk) -> None:
    golden = desk.folder / "golden"
    assert desk.release("golden", desk.folder / "v1.onnx", desk.folder / "street.png", "--out", golden).code == 0
    added = desk.release("add", desk.folder / "v1.onnx", "--slot", "street", "--golden", golden, "--hold-percent", 3)
    assert "2 signature(s) missing" in added.said
    desk.sign()
    published = desk.release("publish", "--to", desk.folder / "www")
    assert "published 2.targets.json" in published.out
    assert (desk.repo / "root.json").read_bytes() == (desk.folder / "www" / "metadata" / "1.root.json").read_bytes()
    assert "street release 1: street 1, 100 %" in desk.release("status").out


def test_rollout_is_widened_and_taken_back(desk: Desk) -> None:
    desk.ship("1")
    desk.ship("2")
    assert "50 %" in desk.release("rollout", "street", 2, "--percent", 50, "--groups", "north").out
    back = desk.release("withdraw", "street", 2, "--why", "blind in the rain", "--back-to", 1)
    assert "release 2 (2): withdrawn" in back.said
    assert "release 3 (1): back" in back.said
    desk.sign()
    assert desk.release("publish").code == 0
    assert "withdrawn" in desk.release("status").out


def test_configuration_goes_the_same_road(desk: Desk) -> None:
    (desk.folder / "gate.yaml").write_text("cameras: {gate: {detect_fps: 8}}")
    assert desk.release("add", desk.folder / "gate.yaml", "--device", "box-1").code == 0
    desk.sign("configuration")
    assert desk.release("publish").code == 0


def test_keys_are_rotated(desk: Desk) -> None:
    new = desk.folder / "a" / "root-4.key"
    done = desk.release("rotate", "root", "--new", new, *desk.words(), "--scrypt-n", CHEAP_SCRYPT)
    assert done.code == 0, done
    desk.sign("root")
    assert "published 2.root.json" in desk.release("publish").out
    assert desk.release("rotate", "timestamp", "--scrypt-n", CHEAP_SCRYPT).code == 0
    assert_one_sentence(desk.release("publish"), 65, "lacks 2 signature(s)")


def test_step_that_can_not_be_done_is_one_sentence(desk: Desk) -> None:
    assert_one_sentence(desk.init(), 65, "already is a release folder")
    assert_one_sentence(desk.release("add", desk.folder / "v1.onnx"), 65, "give --slot for a model")
    assert_one_sentence(desk.release("rollout", "street", 4), 65, "no release 4")
    key = desk.folder / "a" / "targets-1.key"
    assert_one_sentence(desk.release("sign", "--key", key, *desk.words()), 65, "none of these keys")
    assert_one_sentence(desk.release("sign", "--key", key), 65, "give --passphrase-file")
    gone = ("--passphrase-file", desk.folder / "gone")
    assert_one_sentence(desk.release("sign", "--key", key, *gone), 65, "can't be read")


def test_rules_that_can_not_be_are_refused(desk: Desk) -> None:
    done = desk.release("add", desk.folder / "v1.onnx", "--slot", "street", "--percent", 101)
    assert_one_sentence(done, 65, "--percent can't be 101; write a whole number from 0 to 100")


def test_short_passphrase_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "words").write_text("short")
    assert_one_sentence(desk.init(), 65, "shorter than 8")


@pytest.mark.parametrize("quorum", ["2", "3/2", "a/b"])
def test_quorum_that_is_none_is_a_wrong_word(tmp_path: Path, quorum: str) -> None:
    assert Desk(tmp_path).release("init", "--keys", tmp_path / "a", "--root", quorum).code == 2


def test_fleet_is_shown_as_its_boxes_say_on_the_broker(desk: Desk, tmp_path: Path) -> None:
    desk.ship("1")
    update = {"slot": "street", "state": "blocked", "since": "2026-03-19T17:05:00.000Z", "reason": "crashed"}
    update |= {"candidate": {"name": "street", "version": "1", "sha256": "ab" * 32}, "candidate_serial": 1}
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port) as tmc:
        speaking = threading.Event()

        def speak() -> None:
            while not speaking.wait(0.1):
                tmc.say("kentongan/v1/box-1/health", {"updates": [update]})

        thread = threading.Thread(target=speak)
        thread.start()
        where = ("--broker", "127.0.0.1", "--port", broker.port, "--plaintext", "--seconds", 1.5)
        done = desk.release("status", *where, "--report")
        speaking.set()
        thread.join()
    assert done.code == 0, done
    assert "1 boxes: 1 blocked" in done.said
    assert "crashed" in done.out
    assert "published 2.outcomes.json" in desk.release("publish").out
