"""Protected regions that can't be judged are refused with a sentence; good ones are left alone; all are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.config.fault import FaultyConfigError
from agent.config.load import parse_config
from agent.config.schema import Camera
from agent.ops.check import run_check
from agent.ops.check_geometry import check_geometry
from agent.ops.draw import ALARM, PROTECTED, blank, draw_alarm, draw_geometry
from agent.ops.findings import Level

GOOD = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
TEXT = """
device: box
mqtt: {host: localhost, plaintext: true}
cameras:
  - name: gate
    source: rtsp://camera/1
    zones: [{name: square, polygon: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}]
    protected: [{name: %s, what: cabinet, polygon: %s}]
"""


def camera(polygon: Any, **parts: Any) -> Camera:
    region = {"name": "box", "what": "cabinet", "polygon": polygon}
    return Camera.model_validate({"name": "gate", "source": "x", "protected": [region], **parts})


@pytest.mark.parametrize(
    ("polygon", "size", "says"),
    [
        (GOOD, (1280, 720), None),
        (GOOD, (64, 48), "too small to be judged"),
        ([[0.5, 0.5], [0.51, 0.5], [0.51, 0.52], [0.5, 0.52]], (1280, 720), "too small to be judged"),
        ([[0.5, 0.1], [0.502, 0.1], [0.502, 0.9], [0.5, 0.9]], (1280, 720), "too small to be judged"),
        ([[0.5, 0.1], [0.51, 0.1], [0.51, 0.9], [0.5, 0.9]], (1280, 720), None),
        ([[1.2, 0.4], [1.4, 0.4], [1.4, 0.6], [1.2, 0.6]], (1280, 720), "100% of protected region box lies outside"),
        ([[0.9, 0.4], [1.3, 0.4], [1.3, 0.6], [0.9, 0.6]], (1280, 720), "lies outside the picture"),
        ([[0.95, 0.4], [1.005, 0.4], [1.005, 0.6], [0.95, 0.6]], (1280, 720), None),
        ([[0.4, 0.4], [0.6, 0.6], [0.6, 0.4], [0.4, 0.6]], (1280, 720), "list the corners in order"),
        ([[0.4, 0.4], [0.4, 0.4], [0.6, 0.4], [0.4, 0.6]], (1280, 720), "same corner twice (corner 1)"),
    ],
)
def test_a_region_is_refused_where_it_cannot_be_judged(polygon: Any, size: tuple[int, int], says: str | None) -> None:
    found = check_geometry(camera(polygon), ("cameras", 0), size)
    if says is None:
        assert found == []
        return
    (finding,) = found
    assert finding.level is Level.ERROR
    assert says in finding.text()
    assert finding.path[:3] == ("cameras", 0, "protected")


def test_given_pixels_without_a_frame_size_then_that_is_said_of_regions_too() -> None:
    (finding,) = check_geometry(camera([[400, 400], [600, 400], [600, 600]]), ("cameras", 0))
    assert "names no frame_size" in finding.wrong


def test_given_a_region_called_like_a_zone_then_it_is_refused_with_the_line_of_the_other() -> None:
    with pytest.raises(FaultyConfigError) as refused:
        parse_config(TEXT % ("square", GOOD), "box.yaml")
    assert "two lines, zones or protected regions of this camera" in str(refused.value)


def test_given_what_is_not_known_then_the_words_that_are_known_are_told() -> None:
    with pytest.raises(FaultyConfigError) as refused:
        parse_config((TEXT % ("box", GOOD)).replace("cabinet", "statue"), "box.yaml")
    assert "bench" in str(refused.value)


def test_given_a_small_region_then_check_says_where_and_fails_and_draws_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, png = tmp_path / "box.yaml", tmp_path / "seen.png"
    file.write_text(TEXT % ("box", "[[0.5, 0.5], [0.51, 0.5], [0.51, 0.52]]"), encoding="utf-8")
    assert run_check(file, plot=png) == 78
    said = capsys.readouterr().out
    assert "box.yaml:8: error: protected region box is too small to be judged" in said
    assert png.is_file()


def has_colour(picture: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(picture.astype(int) - colour) < 30).all(axis=2).any())


@pytest.mark.parametrize("where", ["box", None])
def test_given_an_open_alarm_then_its_place_and_reasons_are_drawn(where: str | None) -> None:
    plain, alarmed = blank(640, 360), blank(640, 360)
    for picture in (plain, alarmed):
        draw_geometry(picture, camera(GOOD))
    draw_alarm(alarmed, camera(GOOD), where, ["VANDALISM (alarm): asset_changed", "cabinet removed"])
    assert has_colour(plain, PROTECTED)
    assert not has_colour(plain, ALARM)
    assert has_colour(alarmed, ALARM)
