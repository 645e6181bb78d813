"""The examples under configs/ and the schema for editors say what the loader says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from agent.config.document import parse
from agent.config.editor import FILE_NAME, editor_schema, editor_schema_text
from agent.config.fault import FaultyConfigError
from agent.config.load import load_config, parse_config
from agent.ops.check import run_check
from agent.ops.check_filled_in import check_filled_in
from agent.ops.check_geometry import check_geometry
from agent.ops.findings import Level
from agent.vision.model_file import read_model

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
EXAMPLES = sorted(CONFIGS.glob("*.yaml"))


def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(editor_schema())


def test_the_promised_examples_are_there() -> None:
    names = {path.name for path in EXAMPLES}
    assert {"one-camera.yaml", "junction-four-cameras.yaml", "raspberry-pi.yaml", "jetson.yaml", "demo.yaml"} <= names
    assert "signed-updates.yaml" in names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_given_an_example_then_it_loads_and_its_geometry_can_count(path: Path) -> None:
    config = load_config(path)
    for number, camera in enumerate(config.cameras):
        assert check_geometry(camera, ("cameras", number)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_given_an_example_then_the_models_it_names_exist_and_know_its_classes(path: Path) -> None:
    config = load_config(path)
    for model in config.models.values():
        classes = {user.label for user in read_model(model.file).description.classes if user is not None}
        for camera in config.cameras:
            assert all(set(line.classes or ()) <= classes for line in camera.lines)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_given_an_example_then_its_first_line_names_the_schema_and_the_schema_accepts_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (path.parent / named[1]).is_file()
    validator().validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_given_the_lines_an_example_offers_in_comments_then_they_load_too(path: Path) -> None:
    """Comments of an example that are YAML, such as a login, must not be out of date."""
    offered = re.sub(
        r"(?m)^( +)# ((?:login|ground|  user|  password_file|  points|    - \{).*)$", r"\1\2", path.read_text()
    )
    parse_config(offered, path.name)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem != "demo"], ids=lambda path: path.stem)
def test_given_an_example_not_filled_in_then_check_says_where_before_all_else(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(path) == 78
    finding = capsys.readouterr().out.splitlines()[0]
    assert "error: this example is not filled in: CHANGE still stands at device, " in finding
    assert "mqtt.host" in finding
    assert "delete the mark" in finding


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem != "demo"], ids=lambda path: path.stem)
def test_given_an_example_then_what_says_where_a_box_or_camera_stands_is_marked(path: Path) -> None:
    told = re.findall(r"(?m)^ *(?:place|latitude|longitude|heading_deg): .*$", path.read_text(encoding="utf-8"))
    assert [line for line in told if "# CHANGE" not in line] == []


MARKED = (
    "# CHANGE nothing here\ndevice: d # CHANGE: its name\nplace: x # was CHANGED\n"
    "mqtt: {host: b} # CHANGE\ncameras:\n- name: a # CHANGE\n  source: 'rtsp://x#CHANGE'\n  # CHANGE\n  lines:\n"
    "  - name: l\n    points: [[0, 1], [1, 1]] # CHANGE\n"
)


def test_given_marks_in_an_example_then_each_key_is_named_once_and_other_comments_are_none() -> None:
    (finding,) = check_filled_in(MARKED, parse(MARKED, "f"), [MARKED])
    assert (finding.level, finding.path) == (Level.ERROR, ("device",))
    assert "at device, mqtt, cameras[a].name, cameras[a].lines[l].points \N{EN DASH}" in finding.text()
    assert check_filled_in("device: d\n", parse("device: d\n", "f"), [MARKED]) == []


def test_given_an_example_in_part_filled_in_then_only_what_is_still_its_own_is_an_error() -> None:
    text = MARKED.replace("device: d ", "device: simpang-7 ").replace("[0, 1]", "[0, 0.5]")
    text = text.replace("- name: a", "- name: first\n- name: a")  # in another place of the list
    error, warning = check_filled_in(text, parse(text, "f"), [MARKED])
    assert (error.level, warning.level) == (Level.ERROR, Level.WARNING)
    assert "stands at mqtt, cameras[a].name \N{EN DASH}" in error.text()
    assert "left at device, cameras[a].lines[l].points, where" in warning.text()


@pytest.mark.parametrize(
    "value", ["CHANGE", "CHANGE_ME", "rtsp://camera.invalid/1", "broker.example.net", "{host: tmc.example}"]
)
def test_given_a_marked_key_that_holds_a_placeholder_then_it_waits(value: str) -> None:
    text = f"place: {value} # CHANGE\n"
    (finding,) = check_filled_in(text, parse(text, "f"))
    assert finding.level is Level.ERROR


@pytest.mark.parametrize("text", ["'a # CHANGE b'", '"a # CHANGE"', "'a\n  # CHANGE b'", ">-\n  a\n  # CHANGE b"])
def test_given_the_mark_within_a_text_then_it_is_none(text: str) -> None:
    text = f"place: {text}\n"
    assert check_filled_in(text, parse(text, "f"), [text]) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("points:\n- [1, 2] # CHANGE\n", "points[0]"),
        ("points:\n- # CHANGE\n  [1, 2]\n", "points[0]"),
        ("points:\n- {image: [1, 2]} # CHANGE\n", "points[0]"),
        ("points:\n- [1, 2]\n- # CHANGE\n  image: [1, 2]\n", "points[1]"),
        ("points:\n- # CHANGE\n", "points[0]"),
        ("points: [\n  [1, 2]\n] # CHANGE\n", "points"),
        ("points: >- # CHANGE\n  a b\n", "points"),
        ("points: 'a # b' # CHANGE\n", "points"),
    ],
)
def test_given_a_mark_at_an_item_or_around_a_value_then_it_counts(text: str, key: str) -> None:
    (finding,) = check_filled_in(text, parse(text, "f"), [text])
    assert f"stands at {key} \N{EN DASH}" in finding.text()


def test_given_a_filled_in_example_with_its_marks_left_then_check_warns_beside_what_else_it_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "device: simpang-7 # CHANGE\nmqtt: {host: 127.0.0.1} # CHANGE\ncameras:\n- name: a\n"
        "  source: rtsp://192.168.7.9/s # CHANGE\n"
        "  lines: [{name: l, points: [[0.1, 0.6], [1.3, 0.6]]}] # CHANGE\n"
    )
    run_check(path)
    out = capsys.readouterr().out
    assert "warning: the mark CHANGE was left at device, mqtt, cameras[a].source, cameras[a].lines, where" in out
    assert "not filled in" not in out
    assert "of line l lies outside the picture" in out


def test_the_schema_file_is_what_the_types_say() -> None:
    assert (CONFIGS / "schema" / FILE_NAME).read_text(encoding="utf-8") == editor_schema_text()


def test_the_schema_is_a_valid_draft_7_schema_and_describes_its_parts() -> None:
    jsonschema.Draft7Validator.check_schema(editor_schema())
    camera = editor_schema()["definitions"]["Camera"]
    assert camera["additionalProperties"] is False
    assert "description" in camera["properties"]["source"]
    assert "prefixItems" not in json.dumps(editor_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"device": "Box 1"},
        {"cameras": []},
        {"mqtt": {"host": "b", "port": "8883"}},
        {"unknown": 1},
        {"cameras": [{"name": "a", "source": "x", "lines": [{"name": "l", "points": [[0, 1]]}]}]},
        {"cameras": [{"name": "a", "source": "x", "frame_size": [1, 2, 3]}]},
        {"cameras": [{"name": "a", "source": "x", "detect_fps": 0}]},
    ],
)
def test_given_a_wrong_value_then_editor_and_loader_both_refuse_it(change: dict[str, Any]) -> None:
    wrong = {"device": "d", "mqtt": {"host": "b"}, "cameras": [{"name": "a", "source": "x"}], **change}
    assert not validator().is_valid(wrong)
    with pytest.raises(FaultyConfigError):
        parse_config(yaml.safe_dump(wrong), "f")
