"""What a signed configuration may say: the example is one, and what is none is told in one sentence with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.update.patch import EXAMPLE, apply_patch, parse_patch
from agent.update.refusal import UpdateError

EXAMPLES = Path(__file__).resolve().parents[2] / "configs" / "signed"
INSTALLED = """
device: box-1
mqtt: {host: broker.example}
cameras: [{name: gate, source: rtsp://camera.example/live}]
"""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_given_an_example_then_a_box_with_that_camera_takes_it(path: Path) -> None:
    patch = parse_patch(path.read_bytes(), path.name)
    (camera,) = apply_patch(INSTALLED, patch, Path("box.yaml")).cameras
    assert [line.name for line in camera.lines] == ["gate-line"]
    assert camera.source == "rtsp://camera.example/live", "what is not set stays"


def test_given_the_example_of_the_help_then_it_is_one() -> None:
    assert set(parse_patch(EXAMPLE.encode(), "help")) == {"gate"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cameras: [{name: gate, lines: []}]", "gate.yaml:1: cameras is no mapping of names here - write it like: cam"),
        ("\nlines: []", 'gate.yaml:2: a signed configuration may not set "lines", only parts of cameras'),
        ("", "gate.yaml:1: a signed configuration names no camera - write it like: cameras: {gate: {lines: […]}}"),
        ("cameras: {}", "gate.yaml:1: a signed configuration names no camera"),
        ("- a", "gate.yaml:1: a signed configuration names no camera"),
        ("cameras:\n  gate:", 'gate.yaml:2: cameras: "gate" has nothing that can be set - write lines, zones, ground'),
        (
            "cameras:\n  gate:\n    source: x",
            'gate.yaml:3: cameras: a signed configuration may not set "source" of "gate" - delete it; it may set lines',
        ),
        ("cameras: {Gate: {detect_fps: 8}}", "gate.yaml:1: cameras has a key that is no name"),
        (
            "cameras:\n  gate:\n    lines:\n      - {name: a, points: [[0, 1]]}",
            "gate.yaml:4: cameras[gate].lines[a].points has too few values - write a list of 2 points [x, y]",
        ),
        ("cameras: {gate: {detect_fps: '8'}}", 'cameras[gate].detect_fps can\'t be "8" - write a number above 0'),
        ("cameras: {gate: {zones: [{name: no}]}}", "gate.yaml:1: cameras[gate].zones[no].polygon is missing"),
        (
            "cameras:\n  gate:\n    lines:",
            'gate.yaml:3: cameras: lines of "gate" is empty - delete it to keep what the',
        ),
        (
            "cameras:\n  gate:\n    detect_fps:",
            'gate.yaml:3: cameras: detect_fps of "gate" is empty - delete it to keep',
        ),
        (
            "cameras: {gate: {zones: [{name: z, polygon: [[0, 0], [1, 0], [1, 1]], rules: {crowd: }}]}}",
            "gate.yaml:1: cameras[gate].zones[z].rules.crowd is empty, so it would count as not written - delete the",
        ),
        ("cameras: {gate: {lines: &a []}}", "gate.yaml:1: an anchor (&) is not used here"),
        ("cameras: [", "gate.yaml:1: this is not YAML"),
    ],
)
def test_given_what_is_none_then_one_sentence_says_where_and_what_to_write(text: str, told: str) -> None:
    with pytest.raises(UpdateError) as refused:
        parse_patch(text.encode(), "gate.yaml")
    said = str(refused.value).replace("\N{EN DASH}", "-")
    assert told in said
    assert " - " in said
    assert "\n" not in said
    assert "pydantic" not in said
    assert refused.value.kind == "bad_configuration"


def test_given_other_bytes_than_text_then_the_encoding_is_named() -> None:
    with pytest.raises(UpdateError, match=r"gate.yaml is no text; save it as YAML with the encoding UTF-8"):
        parse_patch(b"\xff\xfe", "gate.yaml")


def test_given_a_camera_that_the_box_has_not_then_those_it_has_are_named() -> None:
    with pytest.raises(UpdateError, match=r"speaks of camera door, which this box has not; it has gate"):
        apply_patch(INSTALLED, {"door": {"detect_fps": 8}}, Path("box.yaml"))


def test_given_lines_that_do_not_fit_then_no_line_of_a_text_that_nobody_has_is_named() -> None:
    lines = [{"name": "new", "points": [[0.2, y], [0.8, y]]} for y in (0.5, 0.6)]
    with pytest.raises(UpdateError, match=r"does not fit this box: two lines.* called \"new\"") as refused:
        apply_patch(INSTALLED, {"gate": {"lines": lines}}, Path("box.yaml"))
    assert "box.yaml" not in str(refused.value)


def test_given_ground_that_is_signed_away_then_the_box_goes_on_without_it() -> None:
    ground = (
        ", ground: {lanes: {left: [[0.1, 0.9], [0.4, 0.2]], right: [[0.9, 0.9], [0.6, 0.2]], width_m: 7, length_m: 40}}"
    )
    installed = INSTALLED.replace("/live", "/live" + ground)
    assert apply_patch(installed, {"gate": {"detect_fps": 8}}, Path("box.yaml")).cameras[0].ground is not None
    patch = parse_patch(b"cameras: {gate: {ground: null}}", "gate.yaml")
    assert apply_patch(installed, patch, Path("box.yaml")).cameras[0].ground is None
