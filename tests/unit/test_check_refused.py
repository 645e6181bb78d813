"""What `check --plot` shows of a configuration that is refused: all that can be understood, and where it lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.config.schema import Camera
from agent.config.understood import understood
from agent.errors import ConfigError
from agent.ops.check import run_check
from agent.ops.draw import LINE, PAPER, WRONG, ZONE, blank, draw_geometry
from agent.ops.framing import framed
from agent.values import Image

ROAD = [((0.35, 0.5), (0, 40)), ((0.65, 0.5), (7, 40)), ((0.95, 0.95), (7, 0)), ((0.05, 0.95), (0, 0))]
ZONES = [
    {"name": "lane", "polygon": [[0.1, 0.4], [0.4, 0.4], [0.4, 0.9]]},
    {"name": "lane", "polygon": [[0.6, 0.4], [0.9, 0.4], [0.9, 0.9]]},
]
LANES = {"left": [[0.1, 0.9], [0.4, 0.4]], "right": [[0.9, 0.9], [0.6, 0.4]], "width_m": 0, "length_m": 30}


def text(**parts: Any) -> str:
    camera = {"name": "gate", "source": "rtsp://camera.invalid/", **parts}
    return json.dumps({"device": "pole-17", "mqtt": {"host": "broker.invalid"}, "cameras": [camera]})


def ground(*pairs: Any) -> dict[str, Any]:
    return {"points": [{"image": image, "metres": metres} for image, metres in pairs]}


def has(picture: Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) <= 3).any())


@pytest.mark.parametrize(
    ("parts", "sign", "colour"),
    [
        ({"zones": ZONES}, 'two lines, zones or protected regions of this camera are called "lane"', ZONE),
        ({"zones": ZONES[:1], "ground": {"lanes": LANES}}, "width_m can't be 0", ZONE),
    ],
)
def test_given_a_file_that_the_loader_refuses_then_the_rest_is_drawn_and_the_reason_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: dict[str, Any], sign: str, colour: tuple[int, int, int]
) -> None:
    (tmp_path / "bad.yaml").write_text(text(**parts))
    with pytest.raises(ConfigError, match=sign):
        run_check(tmp_path / "bad.yaml", plot=tmp_path / "bad.png")
    assert f"drawn, without what is wrong: {tmp_path / 'bad.png'}" in capsys.readouterr().out
    assert has(cv2.imread(str(tmp_path / "bad.png")), colour)


@pytest.mark.parametrize(
    ("parts", "sign", "colour"),
    [
        ({"ground": ground(*[((0.2 * i, 0.2 * i), (0, 10 * i)) for i in range(1, 5)])}, "on one line", WRONG),
        ({"ground": ground(*[(image, (0, 0)) for image, _ in ROAD])}, "all ground points are at 0, 0 metres", WRONG),
        (
            {
                "ground": ground(*ROAD),
                "zones": [{"name": "z", "polygon": [[0.2, 0.05], [0.8, 0.05], [0.8, 0.9], [0.2, 0.9]]}],
            },
            "the horizon of the calibrated road runs through zone z",
            WRONG,
        ),
        (
            {"frame_size": [640, 360], "lines": [{"name": "l", "points": [[200, 900], [1700, 900]]}]},
            "pixels of another resolution",
            LINE,
        ),
        ({"lines": [{"name": "l", "points": [[200, 900], [1700, 900]]}]}, "are pixels, but the camera names", LINE),
    ],
)
def test_given_geometry_that_can_not_work_then_the_picture_shows_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: dict[str, Any], sign: str, colour: tuple[int, int, int]
) -> None:
    (tmp_path / "bad.yaml").write_text(text(**parts))
    assert run_check(tmp_path / "bad.yaml", plot=tmp_path / "bad.png") == ConfigError.exit_code
    assert sign in capsys.readouterr().out
    assert has(cv2.imread(str(tmp_path / "bad.png")), colour)


def test_given_points_within_the_picture_then_it_is_left_as_it_is() -> None:
    camera = Camera.model_validate({"name": "a", "source": "x", "ground": ground(*ROAD), "zones": ZONES[:1]})
    picture = blank(640, 360)
    shown, drawn = framed(picture, camera)
    assert shown is picture
    assert drawn is camera


def test_given_a_protected_region_beside_the_picture_then_room_is_made_for_it() -> None:
    region = {"name": "r", "what": "wall", "polygon": [[1.2, 0.4], [1.4, 0.4], [1.4, 0.6], [1.2, 0.6]]}
    camera = Camera.model_validate({"name": "a", "source": "x", "protected": [region]})
    assert framed(blank(640, 360), camera)[0].shape[1] == round(640 * 1.5)


def test_given_a_line_beside_the_picture_then_room_is_made_and_it_keeps_its_place_beside_it() -> None:
    line = {"name": "l", "points": [[1.2, 0.5], [1.4, 0.5]]}
    camera = Camera.model_validate({"name": "a", "source": "x", "lines": [line]})
    shown, drawn = framed(blank(640, 360), camera)
    height, width = shown.shape[:2]
    assert (width, height) == (round(640 * 1.5), round(360 * 1.1))
    assert drawn.lines[0].points[0] == pytest.approx(((1.2 + 0.05) / 1.5, (0.5 + 0.05) / 1.1))
    assert tuple(shown[5, 5]) == tuple(each // 2 for each in PAPER)
    draw_geometry(shown, drawn)
    assert has(shown[:, 680:], LINE)


@pytest.mark.parametrize(
    "file",
    [
        "",
        "[]",
        "cameras: 3",
        "cameras: []",
        "cameras: [1]",
        'cameras: [{"name": "UPPER", "source": "x"}]',
        "a: [",
        "{cameras: [{name: a, source: x}, {name: a, source: y}]}",
    ],
)
def test_given_a_file_without_a_camera_that_can_be_understood_then_there_is_nothing_to_draw(file: str) -> None:
    assert understood(file, "bad.yaml") is None


def test_given_faults_all_over_a_file_then_only_they_are_left_out() -> None:
    lines = [{"name": "near", "points": [[0.1, 0.5], ["x", 0.5]]}, {"name": "far", "points": [[0.1, 0.2], [0.9, 0.2]]}]
    config = understood(text(lines=lines, ground={"lanes": LANES}, detect_fps=-1, owner="city"), "bad.yaml")
    assert config is not None
    assert [line.name for line in config.cameras[0].lines] == ["far"]
    assert config.cameras[0].ground is None
    assert config.cameras[0].owner == "city"
