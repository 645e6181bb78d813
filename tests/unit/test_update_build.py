"""The update service of a box, built from its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import parse_config
from agent.errors import ConfigError
from agent.update.build import Hosts, build, hardware_tags
from agent.update.eyes import Subject
from tests.fakes.clock import ManualClock
from tests.fakes.tuf_repository import Maintainer
from tests.fakes.update_models import candidate
from tests.fakes.updates import CountingHost

TEXT = """
device: box-1
state_dir: {folder}/state
mqtt: {{host: broker.example, plaintext: true}}
models: {{street: {{file: street.onnx, threads: 1, providers: [cpu]}}}}
cameras: [{{name: gate, source: rtsp://camera.example/live, detect_fps: 8}}]
update: {{url: "http://127.0.0.1:9/models", root_file: {folder}/root.json}}
"""


class NoBroker:
    """A box without a broker."""

    def apply(self, config: object) -> None:
        raise AssertionError(config)

    def broker_connected(self) -> bool:
        return False


def test_service_has_a_slot_for_each_model_and_one_for_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(Maintainer(tmp_path / "m").root)
    (tmp_path / "street.onnx").write_bytes(candidate("1"))
    file = tmp_path / "kentongan.yaml"
    file.write_text(TEXT.format(folder=tmp_path))
    config = parse_config(file.read_text(), str(file), folder=tmp_path)
    hosts = Hosts(CountingHost(), NoBroker(), file)
    service = build(config, {"street": Subject(tmp_path / "street.onnx", None)}, hosts, ManualClock())

    assert [status.slot for status in service.statuses()] == ["street", "configuration"]
    assert service.models_at_start()["street"].description.version == "1"
    service.check_now()
    service.step()
    assert {status.reason for status in service.statuses()} == {"unreachable"}
    service.close()


def test_box_without_the_section_takes_no_updates(tmp_path: Path) -> None:
    config = parse_config(TEXT.format(folder=tmp_path).partition("update:")[0], "a", folder=tmp_path)
    with pytest.raises(ConfigError, match="section update"):
        build(config, {}, Hosts(CountingHost()), ManualClock())


def test_root_that_is_not_there_says_what_to_copy(tmp_path: Path) -> None:
    config = parse_config(TEXT.format(folder=tmp_path), "a", folder=tmp_path)
    with pytest.raises(ConfigError, match=r"root\.json there"):
        build(config, {}, Hosts(CountingHost()), ManualClock())


def test_board_is_known_by_its_name_its_kind_and_its_maker(tmp_path: Path) -> None:
    board = tmp_path / "model"
    board.write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    tags = hardware_tags(board)
    assert {"raspberry-pi-5", "raspberry", "raspberry-pi-5-model-b-rev-1-0"} <= set(tags)
    assert len(hardware_tags(tmp_path / "none")) == 1
