"""The box put together in this process with updates on: what is in charge at the start, and what may change."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.app import App
from agent.changes import MOST, Changes
from agent.config.load import load_config
from agent.config.schema import Camera, Config, Secrets
from agent.errors import ConfigError, KentonganError, ModelError, OutboxError, SourceError
from agent.health import birth_of, health_of
from agent.herald import Herald
from agent.mqtt.coding import encode
from agent.mqtt.commands import NoArgs
from agent.records import Record
from agent.update.durable import Disk
from agent.update.refusal import UpdateError
from agent.update.slot import Held, Slot, SlotFile
from agent.vision.model_file import read_model
from tests.fakes import update_models as models
from tests.fakes.agent_process import stored_records
from tests.fakes.clips import render_clip
from tests.fakes.ports import free_port
from tests.fakes.schema import assert_valid
from tests.fakes.tuf_repository import Maintainer

OLD, NEW = models.candidate("1"), models.candidate("2")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Place:
    """The folder of a box whose update server can't be reached."""

    def __init__(self, folder: Path, root: bytes, clip: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.file = folder / "box.yaml"
        (folder / "root.json").write_bytes(root)
        (folder / "installed.onnx").write_bytes(OLD)
        self.file.write_text(
            f"device: pole-17\nstate_dir: state\nmqtt: {{host: 127.0.0.1, port: {free_port()}, plaintext: true}}\n"
            "models: {street: {file: installed.onnx, threads: 1, providers: [cpu], score: 0.3}}\n"
            f"cameras:\n- name: gate\n  source: '{clip}'\n  detect_fps: 10\n"
            "  lines: [{name: old, points: [[0.5, 0.9], [0.5, 0.1]], interval_s: 10}]\n"
            f"update: {{url: 'http://127.0.0.1:{free_port()}/', root_file: root.json}}\n"
        )

    def app(self) -> App:
        return App(load_config(self.file), Secrets(), loop_files=True, file=self.file)

    def remember(self, data: bytes, **fields: object) -> None:
        """Let a model that came as an update be in charge."""
        held = Held(name="street", version="2", sha256=sha(data), serial=1)
        slot = Slot(**{"state": "committed", "in_charge": held, "serial": 1, "watching": True, **fields})  # type: ignore[arg-type]
        Disk().write(self.state / "update" / "models" / "street" / sha(data), data)
        SlotFile(self.state / "update" / "slots" / "street.json", Disk()).save(slot)

    def slot(self) -> Slot:
        return SlotFile(self.state / "update" / "slots" / "street.json", Disk()).load()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Maintainer(tmp_path_factory.mktemp("maintainer")).root


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_clip(tmp_path_factory.mktemp("clip") / "road.avi")


@pytest.fixture
def place(tmp_path: Path, root: bytes, clip: Path) -> Place:
    return Place(tmp_path, root, clip)


def in_charge(app: App) -> str:
    return app.detectors["street"].description.sha256


def await_(condition: Callable[[], object], timeout_s: float = 10) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@contextmanager
def crowd_around(changes: Changes) -> Iterator[None]:
    """A loop that is held up, and as many who wait for it as may."""
    free, held = threading.Event(), threading.Event()
    with ThreadPoolExecutor(MOST + 1) as askers:
        askers.submit(changes.ask, lambda: held.set() or free.wait(10), 10)
        assert held.wait(5)
        for _ in range(MOST):
            askers.submit(changes.ask, lambda: None, 10)
        await_(lambda: len(changes._refuse_newest) == MOST)
        try:
            yield
        finally:
            free.set()


def with_camera(config: Config, **changes: object) -> Config:
    camera = config.cameras[0]
    return config.model_copy(update={"cameras": (Camera.model_validate({**camera.model_dump(), **changes}),)})


def test_given_updates_are_on_when_nothing_came_yet_then_the_installed_model_counts_and_health_says_idle(
    place: Place,
) -> None:
    app = place.app()
    app.start()
    await_(lambda: app.lanes[0].detections > 3)
    assert in_charge(app) == sha(OLD)
    assert app.detectors["street"].description.thresholds.score == 0.3
    health = health_of(app)
    assert [(one.slot, one.state) for one in health.updates or ()] == [("street", "idle"), ("configuration", "idle")]
    assert_valid("kentongan/v1/pole-17/health", encode(health))
    assert_valid("kentongan/v1/pole-17/birth", encode(birth_of(app)))
    assert app.tell_updates() is True, "the first time"
    assert app.tell_updates() is False
    assert app.stop()


def test_given_another_model_when_it_is_swapped_in_then_all_that_follows_is_its_own(place: Place) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    await_(lambda: app.lanes[0].detections > 3)
    fresh = place.folder / "fresh.onnx"
    fresh.write_bytes(NEW)
    app.updating.swap("street", read_model(fresh))
    assert in_charge(app) == sha(NEW)
    assert app.lanes[0].detector is app.detectors["street"]
    assert app.detectors["street"].description.thresholds.score != 0.3, "its own, with which it was tried"
    assert birth_of(app).models[0].version == "2"
    before = app.lanes[0].detections
    await_(lambda: app.lanes[0].detections > before + 3)
    broken = place.folder / "broken.onnx"
    broken.write_bytes(models.failing("3"))
    with pytest.raises(ModelError):
        app.updating.swap("street", read_model(broken))
    assert in_charge(app) == sha(NEW), "what ran runs on"
    assert app.stop()
    last = [record for record in stored_records(place.state) if record.get("line")][-1]
    assert last["camera"] == "gate"


def test_given_other_lines_and_another_rate_when_they_are_applied_then_the_box_goes_on_with_them(place: Place) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    await_(lambda: app.lanes[0].detections > 3)
    line = {"name": "new", "points": [[0.3, 0.9], [0.3, 0.1]], "interval_s": 10}
    app.updating.apply(with_camera(app.config, lines=[line], detect_fps=5))
    assert birth_of(app).cameras[0].lines[0].name == "new"
    before = app.lanes[0].detections
    await_(lambda: app.lanes[0].detections > before + 3)
    assert app.stop()
    kept = stored_records(place.state)
    assert {record["line"] for record in kept if "line" in record} == {"old", "new"}


def test_given_a_loop_that_is_too_busy_then_a_new_model_or_drawing_is_refused_whole_and_later_it_is_taken(
    place: Place,
) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    fresh = place.folder / "fresh.onnx"
    fresh.write_bytes(NEW)
    line = {"name": "new", "points": [[0.3, 0.9], [0.3, 0.1]], "interval_s": 10}
    drawn = with_camera(app.config, lines=[line], detect_fps=5)
    swap, apply = app.updating.swap, app.updating.apply
    with crowd_around(app.loop.changes):
        for change in (lambda: swap("street", read_model(fresh)), lambda: apply(drawn)):
            with pytest.raises(UpdateError, match="so this was not done") as caught:
                change()
            assert caught.value.kind == "not_now"
    before = app.lanes[0].detections
    await_(lambda: app.lanes[0].detections > before + 3)
    assert in_charge(app) == sha(OLD) == app.lanes[0].detector.description.sha256
    assert birth_of(app).models[0].version == "1"
    assert app.config.cameras[0].lines[0].name == app.lanes[0].pipeline.camera.lines[0].name == "old"
    app.updating.swap("street", read_model(fresh))
    app.updating.apply(drawn)
    assert in_charge(app) == sha(NEW) == app.lanes[0].detector.description.sha256
    assert app.config.cameras[0].lines[0].name == app.lanes[0].pipeline.camera.lines[0].name == "new"
    assert app.stop()


def test_given_a_box_that_is_ending_then_what_is_new_is_left_to_the_next_start_and_not_blamed(place: Place) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    await_(lambda: app.lanes[0].detections > 3)
    app.loop.stop()
    app.loop.join(5)
    fresh = place.folder / "fresh.onnx"
    fresh.write_bytes(NEW)
    app.updating.swap("street", read_model(fresh))
    app.updating.apply(with_camera(app.config, detect_fps=5))
    assert in_charge(app) == sha(OLD)
    assert app.config.cameras[0].detect_fps == 10
    assert app.stop(well=False)


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({"lines": [{"name": "off", "points": [[1.5, 0.9], [1.5, 0.1]]}]}, "camera gate: "),
        ({"lines": [{"name": "mud", "points": [[0.3, 0.9], [0.3, 0.1]], "road": "mud"}]}, "mud"),
    ],
)
def test_given_a_configuration_that_can_not_count_when_it_is_applied_then_the_box_goes_on_with_what_it_had(
    place: Place, changes: dict[str, object], sign: str
) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    with pytest.raises(ConfigError, match=sign):
        app.updating.apply(with_camera(app.config, **changes))
    assert app.config.cameras[0].lines[0].name == "old"
    assert app.stop()


def test_given_what_passes_when_a_configuration_is_applied_then_it_is_not_held_against_it(
    place: Place, clip: Path
) -> None:
    app = place.app()
    app.start()
    assert app.updating is not None
    with pytest.raises(UpdateError, match="restart the agent first") as caught:
        app.updating.apply(with_camera(app.config, place="elsewhere"))
    assert caught.value.kind == "not_now"
    away = clip.rename(clip.with_suffix(".away"))
    with pytest.raises(UpdateError) as caught:
        app.updating.apply(with_camera(app.config, detect_fps=5))
    assert caught.value.kind == "not_now"
    assert app.config.cameras[0].detect_fps == 10
    away.rename(clip)
    off = with_camera(app.config, lines=[{"name": "off", "points": [[1.5, 0.9], [1.5, 0.1]]}])
    app.updating.restore(off)
    assert app.config.cameras[0].lines[0].name == "off", "what ran before is not judged anew"
    assert app.stop()


def test_given_a_start_that_fails_for_another_model_then_the_new_one_is_not_blamed(place: Place, clip: Path) -> None:
    place.remember(NEW)
    (place.folder / "broken.onnx").write_bytes(models.failing("1"))
    text = place.file.read_text().replace("models: {", "models: {yard: {file: broken.onnx, threads: 1}, ")
    camera = f"- {{name: yard, source: '{clip}', model: yard, detect_fps: 1}}\n"
    place.file.write_text(text.replace("update:", f"{camera}update:"))
    for _ in range(4):
        with pytest.raises(ModelError):
            place.app()
    assert (place.slot().state, place.slot().starts) == ("committed", 0)


def test_given_a_model_in_charge_that_runs_then_the_box_starts_with_it_and_a_good_end_is_no_crash(place: Place) -> None:
    place.remember(NEW)
    app = place.app()
    assert in_charge(app) == sha(NEW)
    assert place.slot().starts == 1
    app.start()
    assert app.stop()
    assert place.slot().starts == 0
    again = place.app()
    again.start()
    again.stop(well=False)
    assert place.slot().starts == 1, "stuck is as bad as crashed"


def test_given_a_start_that_fails_for_another_part_then_the_new_model_is_not_blamed(place: Place, clip: Path) -> None:
    place.remember(NEW)
    place.file.write_text(place.file.read_text().replace(str(clip), "gone.avi"))
    for _ in range(4):
        with pytest.raises(SourceError):
            place.app()
    assert (place.slot().state, place.slot().starts) == ("committed", 0)


@pytest.mark.parametrize("data", [models.failing("2"), models.not_a_number("2")])
def test_given_a_model_in_charge_that_does_not_run_here_then_the_box_starts_with_the_one_before_and_tells(
    place: Place, data: bytes
) -> None:
    place.remember(data)
    app = place.app()
    assert in_charge(app) == sha(OLD)
    assert (place.slot().state, place.slot().kind) == ("rolled_back", "load_failed")
    assert any("update of street" in text for text in health_of(app).problems)
    app.start()
    assert app.tell_updates()
    assert app.stop()
    events = [record for record in stored_records(place.state) if record.get("kind") == "model_update"]
    assert [(event["phase"], event["severity"]) for event in events] == [("end", "warning")]
    assert events[0]["details"]["reason"] == "load_failed"
    second = place.app()
    second.start()
    second.tell_updates()
    assert second.stop()
    told = [record for record in stored_records(place.state) if record.get("kind") == "model_update"]
    assert len(told) == 1, "it is told once, over any restart"


class FullSink:
    """An outbox that takes nothing until there is room."""

    def __init__(self) -> None:
        self.full = True
        self.records: list[Record] = []

    def put(self, records: Sequence[Record], state: Mapping[str, str]) -> None:
        if self.full:
            raise OutboxError("no room")
        self.records += records


def test_given_news_that_the_outbox_did_not_take_then_they_are_told_later(place: Place) -> None:
    place.remember(models.failing("2"))
    app = place.app()
    assert app.updating is not None
    sink = FullSink()
    herald = Herald(app.updating, sink, {})
    with pytest.raises(OutboxError):
        herald.tell(app.clock.now(), {})
    sink.full = False
    assert herald.tell(app.clock.now(), {})
    assert [record.kind for record in sink.records] == ["event"]
    app.start()
    assert app.stop()


def test_given_signed_lines_of_a_road_that_has_no_table_any_more_then_the_box_starts_with_the_installers(
    place: Place,
) -> None:
    signed = b"cameras: {gate: {lines: [{name: new, points: [[0.3, 0.9], [0.3, 0.1]], road: mud}]}}"
    held = Held(name="configuration/device/pole-17.yaml", version="1", sha256=sha(signed), serial=1)
    Disk().write(place.state / "update" / "configurations" / sha(signed), signed)
    slot = Slot(state="committed", in_charge=held, serial=1)
    SlotFile(place.state / "update" / "configuration.json", Disk()).save(slot)
    app = place.app()
    assert app.updating is not None
    assert app.config.cameras[0].lines[0].name == "old"
    status = app.updating.statuses()[-1]
    assert (status.slot, status.state, status.reason) == ("configuration", "rolled_back", "bad_configuration")
    assert "mud" in (status.detail or "")
    app.start()
    assert app.stop()


def test_given_no_model_that_runs_then_the_start_is_refused_and_the_folder_is_free_again(place: Place) -> None:
    (place.folder / "installed.onnx").write_bytes(models.failing("1"))
    with pytest.raises(ModelError):
        place.app()
    (place.folder / "installed.onnx").write_bytes(OLD)
    app = place.app()
    app.start()
    assert app.stop()


def test_given_a_check_is_commanded_twice_then_the_second_is_refused_with_when_to_ask_again(place: Place) -> None:
    app = place.app()
    assert app.updating is not None
    (order,) = app.updating.orders()
    assert order.run(NoArgs()) == {"street": "idle", "configuration": "idle"}
    with pytest.raises(KentonganError, match="ask again after"):
        order.run(NoArgs())
    app.start()
    assert not app.broker_connected()
    await_(lambda: {one.reason for one in health_of(app).updates or ()} == {"unreachable"})
    assert any("can't be reached" in text for text in health_of(app).problems)
    assert app.stop()


def test_given_lines_are_the_installers_own_then_there_is_no_slot_for_them(place: Place) -> None:
    text = place.file.read_text().replace("root_file: root.json", "root_file: root.json, configuration: false")
    place.file.write_text(text)
    app = place.app()
    assert app.updating is not None
    assert [status.slot for status in app.updating.statuses()] == ["street"]
    app.start()
    assert app.stop()
