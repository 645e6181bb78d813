"""`kentongan check --live` against a real broker and a real video."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import parse_config
from agent.config.schema import Secrets
from agent.ops.check import check
from agent.ops.check_live import check_broker
from tests.fakes.clips import render_clip
from tests.fakes.mosquitto import Mosquitto


def text_of(folder: Path, port: int, mqtt: str = ", plaintext: true") -> str:
    clip = render_clip(folder / "clip.avi", frames=5)
    return (
        f"device: box-1\nstate_dir: {folder}\nmqtt: {{host: 127.0.0.1, port: {port}{mqtt}}}\n"
        f"cameras:\n- {{name: a, source: {clip}, lines: [{{name: l, points: [[0.1, 0.6], [0.9, 0.6]]}}]}}\n"
    )


def test_given_a_broker_that_lets_us_in_and_a_video_then_nothing_is_wrong(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        assert check(parse_config(text_of(tmp_path, broker.port), "f"), live=True) == []


def test_given_a_broker_that_knows_us_not_then_it_is_an_error_about_the_login(tmp_path: Path) -> None:
    lines = ("listener {port} 127.0.0.1", "allow_anonymous false")
    with Mosquitto(tmp_path / "broker", lines) as broker:
        (finding,) = check(parse_config(text_of(tmp_path, broker.port), "f"), live=True)
    assert finding.path == ("mqtt",)
    assert "refuses us" in finding.wrong
    assert "mqtt.login" in finding.hint


@pytest.mark.parametrize(("mqtt", "path"), [("", ("mqtt",)), (", tls: {ca_file: /nope}", ("mqtt", "tls"))])
def test_given_a_broker_without_tls_or_a_missing_authority_then_it_is_an_error(
    tmp_path: Path, mqtt: str, path: tuple[str, ...]
) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        (finding,) = check_broker(parse_config(text_of(tmp_path, broker.port, mqtt), "f"), Secrets())
    assert finding.path == path
