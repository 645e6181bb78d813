"""`kentongan models`: list, inspect, eval, describe, quantize on real ONNX files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from agent.errors import ModelError
from agent.ops.assets import AGGRESSION_MODEL, default_model, shipped
from agent.ops.model_writing import write_described
from agent.ops.rendered import render_clip
from agent.vision.detector import open_detector
from agent.vision.model_file import read_model
from agent.vision.onnx_outline import with_metadata
from models.train.halve import halved
from tests.fakes.bright_street import HEIGHT_PX, SIDE_PX, WIDTH_PX, Square, picture, write_bright_model
from tests.fakes.command import assert_one_sentence, command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and twelve labelled pictures of two squares each; the model can't see the grey one in every third."""
    folder = tmp_path_factory.mktemp("models")
    write_bright_model(folder / "bright.onnx")
    write_bright_model(folder / "foreign.onnx", described=False)
    for kind in ("images", "labels"):
        (folder / "data" / kind / "val").mkdir(parents=True)
    for number in range(12):
        places = ((8 * number, 16), (8 * number + 64, 136))
        squares = [Square(0, top, speed_px_s=left + SIDE_PX) for left, top in places]
        image = picture(squares, 1.0)
        if number % 3 == 0:
            left, top = places[1]
            image[top : top + SIDE_PX, left : left + SIDE_PX] = 120
        cv2.imwrite(str(folder / f"data/images/val/{number:02}.png"), image)
        lines = [
            f"3 {(left + 16) / WIDTH_PX} {(top + 16) / HEIGHT_PX} {SIDE_PX / WIDTH_PX} {SIDE_PX / HEIGHT_PX}"
            for left, top in places
        ]
        (folder / f"data/labels/val/{number:02}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_model_is_judged_by_class_and_size_with_its_speed_as_table_json_and_pictures(
    folder: Path, tmp_path: Path
) -> None:
    done = command(
        "models", "eval", folder / "bright.onnx", folder / "data", "--json", tmp_path / "v.json",
        "--plots", tmp_path / "plots", "--runs", 3, "--versus", folder / "foreign.onnx",
        "--family", "yolo", "--labels", "car,bus",
    )  # fmt: skip
    assert_one_sentence(done, 65, "labels")
    done = command(
        "models", "eval", folder / "bright.onnx", folder / "data", "--json", tmp_path / "v.json",
        "--plots", tmp_path / "plots", "--runs", 3,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "bright on data, 12 pictures" in done.said
    (verdict,) = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    car = verdict["classes"]["car"]
    assert car["objects"] == 24
    assert car["ap50"] == pytest.approx((84 + 1) / 101, abs=0.011), "20 of 24 are found, and nothing else"
    assert verdict["classes"].keys() == {"car", "any four-wheeler"}
    assert car["ap50_by_size"].keys() == {"large"}
    assert [latency["threads"] for latency in verdict["latency"]] == [1, 2]
    assert all(0 < one["model_median_ms"] <= one["median_ms"] <= one["p95_ms"] for one in verdict["latency"])
    assert all(one["peak_memory_mb"] > 30 for one in verdict["latency"])
    curves = cv2.imread(str(tmp_path / "plots" / "curves.png"))
    misses = cv2.imread(str(tmp_path / "plots" / "misses.png"))
    assert curves is not None
    assert misses is not None
    assert (curves.max(axis=2) - curves.min(axis=2) > 60).sum() > 300, "a curve in colour"
    green = (misses[:, :, 1] > 150) & (misses[:, :, 0] < 140) & (misses[:, :, 2] < 140)
    assert green.sum() > 200, "the missed objects are framed"


def test_a_foreign_model_is_judged_by_the_same_ruler_in_the_same_run(folder: Path, tmp_path: Path) -> None:
    done = command(
        "models", "eval", folder / "bright.onnx", folder / "data", "--runs", 0, "--json", tmp_path / "v.json",
        "--family", "yolo", "--labels", "car", "--versus", folder / "foreign.onnx",
    )  # fmt: skip
    assert done.code == 0, done.err
    own, foreign = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert foreign["model"]["name"] == "foreign"
    assert foreign["classes"] == own["classes"]


def test_data_that_is_wrong_is_listed_and_no_verdict_given(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images/val").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images/val/a.png"), np.zeros((8, 8, 3), np.uint8))
    done = command("models", "eval", folder / "bright.onnx", tmp_path, "--json", tmp_path / "v.json")
    assert_one_sentence(done, 65, "a.txt: missing for a.png")
    assert not (tmp_path / "v.json").exists()
    words = ("models", "eval", folder / "bright.onnx", folder / "data", "--runs", 0)
    assert_one_sentence(command(*words, "--json", "/nowhere/v.json"), 73, "/nowhere/v.json can't be written")


def test_the_list_shows_what_ships_what_is_there_and_why_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    done = command("models", "list", folder, tmp_path)
    assert done.code == 0, done.err
    assert "(default)" in done.said
    assert "bright.onnx" in done.out
    assert "broken.onnx is refused" in done.said
    for path in (default_model(), shipped(AGGRESSION_MODEL), folder / "bright.onnx"):
        line = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}"
        assert line in done.out.splitlines(), "whole, on a line of its own, as sha256sum writes it"


def test_a_file_is_inspected_as_lines_and_json(folder: Path) -> None:
    done = command("models", "inspect", folder / "bright.onnx")
    assert done.code == 0
    assert "Apache-2.0" in done.out
    facts = json.loads(command("models", "inspect", folder / "bright.onnx", "--json").out)
    assert facts["sha256"] == read_model(folder / "bright.onnx").description.sha256
    assert f" {facts['sha256']}\n" in done.out
    assert facts["classes"] == {"car": "car"}
    assert facts["input"]["width"] == WIDTH_PX
    assert_one_sentence(command("models", "inspect", folder / "missing.onnx"), 65, "missing.onnx")


def test_the_default_model_says_how_many_parameters_it_has_in_however_many_bits(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(halved(default_model().read_bytes())[0])
    whole, halves = (
        json.loads(command("models", "inspect", path, "--json").out)["parameters"] for path in (default_model(), half)
    )
    assert whole == halves
    assert 900_000 < whole < 1_100_000


def test_a_clip_model_is_inspected_like_any_other_or_refused_for_what_it_is(tmp_path: Path) -> None:
    path = shipped(AGGRESSION_MODEL)
    facts = json.loads(command("models", "inspect", path, "--json").out)
    assert (facts["task"], facts["family"]) == ("clip", "aggression")
    assert facts["inputs"] == {"motion": "float32, 1 x 5 x 15 x 24 x 24", "stills": "float32, 6 x 160 x 160"}
    assert facts["outputs"].keys() == {"fight", "members"}
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["held_out_clips"] > 100
    assert facts["parameters"] > 1_000_000, "those of the branch that looks are counted"
    done = command("models", "inspect", path)
    assert done.code == 0
    assert f"inputs.motion    {facts['inputs']['motion']}\n" in done.out
    assert_one_sentence(command("models", "inspect", path, "--family", "yolo"), 65, "is a clip model")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(with_metadata(path.read_bytes(), "held_out", "{"))
    assert_one_sentence(command("models", "inspect", damaged), 65, "the clip model's metadata 'held_out' is no JSON")


def test_letters_that_steer_a_terminal_are_written_out(folder: Path, tmp_path: Path) -> None:
    bright = read_model(folder / "bright.onnx").description
    said = dataclasses.replace(
        bright,
        name="bri\x9b2Jght",
        licence="MIT\x1b[2J",
        labels=("a\x1b[2J\nb",),
        classes=bright.classes,
        provenance={"by\x1b[2J": {"in\x9b2J": "a\x9b2J"}},
    )
    steering = tmp_path / "steering.onnx"
    write_described((folder / "bright.onnx").read_bytes(), said, steering)
    out = command("models", "inspect", steering).out
    assert not {"\x1b", "\x9b"} & set(out)
    assert '"MIT\\u001b[2J"' in out
    assert '["a\\u001b[2J\\nb"]' in out
    assert "classes.a\\u001b[2J\\nb " in out
    assert "provenance.by\\u001b[2J.in\\u009b2J" in out
    as_json = command("models", "inspect", steering, "--json").out
    assert not {"\x1b", "\x9b"} & set(as_json)
    assert json.loads(as_json)["provenance"] == said.provenance
    listed = command("models", "list", tmp_path).out
    assert "\\u009b" in listed
    assert not {"\x1b", "\x9b"} & set(listed)


def test_a_clip_model_whose_names_steer_a_terminal_has_them_written_out(tmp_path: Path) -> None:
    steering = tmp_path / "steering.onnx"
    accuracy = json.dumps({"a\x1b[2J": 0.5, "b\x9b2J": 0.5}, ensure_ascii=False)
    model = onnx.load(str(shipped(AGGRESSION_MODEL)))
    model.graph.node.append(onnx.helper.make_node("Identity", ["fight"], ["t\x1b[2J"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("t\x1b[2J", onnx.TensorProto.FLOAT, ["n", 1]))
    steering.write_bytes(with_metadata(model.SerializeToString(), "accuracy", accuracy))
    done = command("models", "inspect", steering)
    assert done.code == 0, done.err
    assert not {"\x1b", "\x9b"} & set(done.out)
    assert "accuracy.a\\u001b[2J " in done.out
    assert "accuracy.b\\u009b2J " in done.out
    assert "outputs.t\\u001b[2J " in done.out


@pytest.mark.parametrize("held_out", ["5", "null", '"clips"'])
def test_a_clip_model_that_lists_no_clips_is_refused_in_a_sentence_and_the_list_goes_on(
    held_out: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(with_metadata(shipped(AGGRESSION_MODEL).read_bytes(), "held_out", held_out))
    assert_one_sentence(command("models", "inspect", wrong), 65, "the clip model's metadata 'held_out' lists no clips")
    done = command("models", "list", tmp_path)
    assert done.code == 0, done.err
    assert "wrong.onnx is refused" in done.said
    assert "(default)" in done.said


def test_a_foreign_file_describes_itself_afterwards_and_sees_the_same(folder: Path, tmp_path: Path) -> None:
    assert_one_sentence(command("models", "inspect", folder / "foreign.onnx"), 65, "foreign")
    done = command(
        "models", "describe", folder / "foreign.onnx", tmp_path / "own.onnx", "--family", "yolo", "--labels", "car",
        "--name", "street-squares", "--model-version", "2.0", "--licence", "MIT",
    )  # fmt: skip
    assert done.code == 0, done.err
    said = read_model(tmp_path / "own.onnx").description
    assert f" sha256 {said.sha256}\n" in done.out
    assert (said.name, said.version, said.licence, said.labels) == ("street-squares", "2.0", "MIT", ("car",))
    image = picture([Square(0, 16, speed_px_s=132)], 1.0)
    before = open_detector(folder / "bright.onnx").detect([image])[0]
    after = open_detector(tmp_path / "own.onnx").detect([image])[0]
    assert after.boxes.tolist() == before.boxes.tolist() == [[100 - 4, 16, 100 + 28, 48]]
    unwritable = command(
        "models", "describe", folder / "foreign.onnx", "/nowhere/own.onnx", "--family", "yolo", "--labels", "car"
    )
    assert_one_sentence(unwritable, 65, "/nowhere/own.onnx can't be written")


def test_a_described_file_replaces_another_only_when_it_is_whole(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"the old one")
    said = read_model(folder / "bright.onnx").description
    wrong = dataclasses.replace(said, input=dataclasses.replace(said.input, width_px=640))
    with pytest.raises(ModelError):
        write_described((folder / "bright.onnx").read_bytes(), wrong, target)
    assert target.read_bytes() == b"the old one"


def test_the_default_model_in_int8_sees_almost_the_same_in_far_fewer_bytes(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(halved(default_model().read_bytes())[0])
    render_clip(tmp_path / "street.avi", cars=2)
    done = command("models", "quantize", half, tmp_path / "int8.onnx", tmp_path / "street.avi", "--count", 12)
    assert done.code == 0, done.err
    assert (tmp_path / "int8.onnx").stat().st_size < 0.7 * half.stat().st_size
    said = read_model(tmp_path / "int8.onnx").description
    assert said.version.endswith("-int8")
    assert said.provenance["quantised_from_sha256"] == read_model(half).description.sha256
    float_detector, int8_detector = open_detector(default_model()), open_detector(tmp_path / "int8.onnx")
    clip, close, sure = cv2.VideoCapture(str(tmp_path / "street.avi")), 0, 0
    for _ in range(60):
        image = clip.read()[1]
        before, after = float_detector.detect([image])[0], int8_detector.detect([image])[0]
        for box in before.boxes[before.scores > 0.5]:
            sure += 1
            close += bool(len(after) and (np.abs(after.boxes - box).max(axis=1) < 12).any())
    assert sure > 30
    assert close / sure > 0.9


def test_calibration_wants_enough_frames_that_decode(folder: Path, tmp_path: Path) -> None:
    words = ("models", "quantize", folder / "bright.onnx", tmp_path / "int8.onnx")
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture([], 0))
    assert_one_sentence(command(*words, tmp_path), 66, "gave 3 frames; calibration needs at least 8")
    (tmp_path / "4.png").write_bytes(b"no picture")
    assert_one_sentence(command(*words, tmp_path), 66, "4.png does not decode")
    assert_one_sentence(command(*words, tmp_path / "nothing.avi"), 66, "nothing.avi")
    assert not (tmp_path / "int8.onnx").exists()
