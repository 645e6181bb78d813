"""Which model files are taken, which are refused, and what a refusal says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError
from agent.values import RoadUser
from agent.vision import model_file
from agent.vision.describe import ForeignModel
from agent.vision.description import Color, FamilyName, Fit, ModelInput, Scale, Thresholds
from agent.vision.labels import COCO, map_labels
from agent.vision.model_file import judge, read_model
from agent.vision.onnx_outline import with_metadata
from tests.fakes import onnx_models as fakes
from tests.fakes.onnx_models import LABELS, TinyModel

HERE = Path("street.onnx")
SHARED = Path(__file__).parents[3] / "shared" / "models"


def test_given_a_file_with_its_own_metadata_when_read_then_it_is_described_by_it(tmp_path: Path) -> None:
    card = {
        "riders_joined": False,
        "thresholds": {"score": 0.2, "nms_iou": 0.5},
        "provenance": {"data": "own"},
        "classes": {"bus": "truck"},
    }
    path = tmp_path / "any.onnx"
    path.write_bytes(TinyModel("yolo", card=card).build())

    model = read_model(path)

    known = model.description
    assert (known.name, known.version, known.family, known.licence) == ("tiny", "1", FamilyName.YOLO, "Apache-2.0")
    assert known.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == hashlib.sha256(model.data).hexdigest()
    assert known.input == ModelInput(64, 32, Color.RGB, Scale.UNIT, Fit.CENTRE, batch=1)
    assert known.thresholds == Thresholds(0.2, 0.5)
    assert known.classes[4] is RoadUser.TRUCK
    assert not known.riders_joined
    assert known.provenance == {"data": "own"}


def test_given_a_description_when_written_back_into_the_file_then_it_reads_the_same() -> None:
    foreign = judge(TinyModel("yolo", metadata="ultralytics").build(), HERE).description

    again = judge(with_metadata(TinyModel("yolo", metadata="none").build(), "kentongan", foreign.to_metadata()), HERE)

    assert again.description.to_metadata() == foreign.to_metadata()
    assert json.loads(foreign.to_metadata())["input"]["layout"] == "NCHW"


def test_given_synonyms_when_written_back_then_their_classes_are_kept() -> None:
    known = judge(TinyModel("yolo", labels=("Van", "x"), metadata="ultralytics").build(), HERE).description

    assert json.loads(known.to_metadata())["classes"] == {"Van": "car"}


def test_given_an_ultralytics_export_when_read_then_its_metadata_is_enough() -> None:
    known = judge(TinyModel("yolo", metadata="ultralytics", open_size=True, batch=None).build(), HERE).description

    assert (known.name, known.family, known.labels) == ("street", FamilyName.YOLO, LABELS)
    assert known.version == known.sha256[:12]
    assert (known.input.width_px, known.input.height_px, known.input.batch) == (64, 32, None)
    assert known.input.resizable
    assert known.riders_joined
    assert known.licence == "AGPL-3.0"


def test_given_a_square_export_of_open_size_when_read_then_it_runs_at_16_to_9() -> None:
    square = TinyModel("yolo", metadata="ultralytics", open_size=True, width=640, height=640).build()

    known = judge(square, HERE).description

    assert (known.input.width_px, known.input.height_px) == (640, 384)


@pytest.mark.parametrize(
    ("family", "expected"),
    [("yolo", "yolo"), ("yolo-end2end", "yolo-end2end"), ("rt-detr", "detr")],
)
def test_given_ultralytics_metadata_when_read_then_the_family_follows_from_head_and_shape(
    family: str, expected: str
) -> None:
    seen = [fakes.Seen(0, 0.5, 8, 8, 4, 4)]

    assert judge(TinyModel(family, seen, metadata="ultralytics").build(), HERE).description.family == expected


def test_given_a_yolox_file_without_a_word_when_read_then_its_shape_tells_all() -> None:
    known = judge(TinyModel("yolox", labels=COCO, metadata="none").build(), HERE).description

    assert (known.family, known.labels, known.riders_joined) == (FamilyName.YOLOX, COCO, False)
    assert (known.input.color, known.input.scale, known.input.fit) == (Color.BGR, Scale.BYTE, Fit.CORNER)


def test_given_a_yolox_file_of_open_size_when_read_then_its_size_must_be_named() -> None:
    open_size = TinyModel("yolox", metadata="none", open_size=True).build()

    with pytest.raises(ModelError, match="leaves its input size open"):
        judge(open_size, HERE, ForeignModel(labels=LABELS, family="yolox"))
    with pytest.raises(ModelError, match="fit no family for certain"):
        judge(open_size, HERE, ForeignModel(labels=LABELS))


def test_given_a_yolo_file_of_80_labels_without_a_word_when_read_then_they_are_coco() -> None:
    known = judge(TinyModel("yolo", labels=COCO, metadata="none").build(), HERE).description

    assert (known.family, known.labels, known.input.scale) == (FamilyName.YOLO, COCO, Scale.UNIT)


def test_given_a_detr_file_and_the_word_coco_when_read_then_it_is_described() -> None:
    detr = TinyModel("detr", [fakes.Seen(0, 0.5, 8, 8, 4, 4)], metadata="none", batch=None).build()

    known = judge(detr, HERE, ForeignModel(labels="coco", scale="imagenet", color="BGR")).description

    assert (known.family, known.input.fit, known.labels) == (FamilyName.DETR, Fit.STRETCH, COCO)
    assert (known.input.scale, known.input.color) == (Scale.IMAGENET, Color.BGR)


def test_given_labels_and_classes_in_the_configuration_when_read_then_they_win() -> None:
    said = ForeignModel(family="yolo", labels=("kendaraan", "orang"), classes={"kendaraan": "car"})
    model = TinyModel("yolo", labels=("a", "b"), metadata="none").build()

    assert judge(model, HERE, said).description.classes == (RoadUser.CAR, None)


@pytest.mark.parametrize(
    ("data", "said", "sentence"),
    [
        (b"<html>404</html>", None, "is no ONNX model: .*copy or export it again"),
        (TinyModel("yolo").build()[:-40], None, "is no ONNX model"),
        (fakes.with_external_initializer(), None, r"keeps weights in other files \('zero'\); export it as one file"),
        (fakes.with_external_data(2), None, "keeps weights in other files"),
        (fakes.with_operator("evil.corp", "Run"), None, "needs the operator 'Run' of 'evil.corp'"),
        (TinyModel("yolo").build(), ForeignModel(family="yolo"), "describes itself; remove family"),
        (TinyModel("yolo", card={"family": "ssd"}).build(), None, "wrong at family"),
        (TinyModel("yolo", card={"colour": "RGB"}).build(), None, "wrong at colour"),
        (
            TinyModel("yolo", card={"classes": {"bsu": "bus"}}).build(),
            None,
            "label 'bsu', which the model does not have",
        ),
        (
            TinyModel("yolo", card={"classes": {"bus": "coach"}}).build(),
            None,
            "'coach', which is no class; write one of",
        ),
        (TinyModel("yolo", labels=("cat", "dog")).build(), None, r"none of the model's labels \(cat, dog\)"),
        (
            TinyModel("yolo", card={"input": {"width": 640, "height": 32, "color": "RGB", "scale": "0..1"}}).build(),
            None,
            "says width 640, its input takes 64",
        ),
        (with_metadata(TinyModel("yolo").build(), "kentongan", "{"), None, "wrong at the object"),
        (
            with_metadata(TinyModel("yolo").build(), "kentongan", "[" * 999),
            None,
            "the object: it is nested too deeply;",
        ),
        (TinyModel("yolo", metadata="none").build(), None, "does not name its labels; write labels: coco"),
        (TinyModel("yolo", metadata="none").build(), ForeignModel(labels="cocoo"), "'cocoo' is no list that is known"),
        (TinyModel("yolo", metadata="none").build(), ForeignModel(labels="coco"), "fit no family for certain"),
        (
            TinyModel("yolo", metadata="none").build(),
            ForeignModel(labels=LABELS, family="ssd"),
            "family can't be 'ssd'",
        ),
        (
            TinyModel("yolo", metadata="none").build(),
            ForeignModel(labels=LABELS, scale="0..2"),
            "scale can't be '0..2'",
        ),
        (
            TinyModel("yolo", metadata="none", open_size=True).build(),
            ForeignModel(labels=LABELS),
            "leaves its input size open",
        ),
        (
            TinyModel("rt-detr", labels=LABELS, metadata="none", open_size=True).build(),
            ForeignModel(labels=("car",) * 20),
            "fit no family for certain",
        ),
        (fakes.with_output(np.zeros((1, 2), np.float32)), ForeignModel(labels="coco"), "fit no family for certain"),
        (
            fakes.with_output(np.zeros((1, 10, 42), np.float32), [fakes.picture_input([1, 3, 32, 64], 2)]),
            None,
            "its input is uint8",
        ),
        (
            fakes.with_output(np.zeros((1, 10, 42), np.float32), [fakes.picture_input([1, 30])]),
            None,
            r"needs one input of shape \(batch, 3, height, width\), but has images\[1, 30\]",
        ),
        (
            fakes.with_output(
                np.zeros((1, 10, 42), np.float32),
                [fakes.picture_input([1, 3, 32, 64]), fakes.picture_input([1], name="threshold")],
            ),
            None,
            "nothing is known to feed its input 'threshold'",
        ),
    ],
)
def test_given_a_file_that_can_not_be_used_when_judged_then_one_sentence_says_what_to_do(
    data: bytes, said: ForeignModel | None, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence) as refusal:
        judge(data, HERE, said)

    assert "\n" not in str(refusal.value)
    assert "street" in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("task", "segment", "task is 'segment'"),
        ("names", "{0: 'car'", "names can't be read"),
        ("names", "{1: 'car'}", "does not number its labels from 0"),
        ("names", "['car']", "does not number its labels from 0"),
    ],
)
def test_given_broken_exporter_metadata_when_judged_then_it_is_named(key: str, value: str, sentence: str) -> None:
    data = with_metadata(TinyModel("yolo", metadata="ultralytics").build(), key, value)

    with pytest.raises(ModelError, match=sentence):
        judge(data, HERE)


def test_given_no_file_when_read_then_the_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.onnx can't be read: No such file"):
        read_model(tmp_path / "absent.onnx")


def test_given_a_file_beyond_the_limit_when_read_then_it_is_refused_by_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(model_file.SIZE_LIMIT_BYTES + 1)  # sparse: takes no space

    with pytest.raises(ModelError, match="larger than 256 MB"):
        read_model(path)


def test_given_a_fixed_input_when_resized_then_it_is_refused_and_an_open_one_is_not() -> None:
    fixed = judge(TinyModel("yolo").build(), HERE).description
    free = judge(TinyModel("yolo", open_size=True).build(), HERE).description

    assert fixed.resized(64, 32) == fixed
    assert free.resized(128, 96).input.height_px == 96
    with pytest.raises(ValueError, match="only takes 64x32"):
        fixed.resized(128, 64)


def test_given_thresholds_when_changed_then_only_those_named_change() -> None:
    known = judge(TinyModel("yolo").build(), HERE).description

    assert known.with_thresholds(score=0.3).thresholds == Thresholds(score=0.3)
    assert known.with_thresholds(nms_iou=0.3).thresholds == Thresholds(nms_iou=0.3)


@pytest.mark.parametrize(
    ("word", "user"),
    [("Pedestrian", RoadUser.PERSON), ("motor-bike", None), ("fire_engine", RoadUser.TRUCK), ("van", RoadUser.CAR)],
)
def test_given_other_words_when_mapped_then_known_ones_become_classes(word: str, user: RoadUser | None) -> None:
    assert map_labels(["car", word], {}, "here")[1] is user


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/models, which this checkout lacks")
@pytest.mark.parametrize(
    ("name", "said", "family"),
    [
        ("yolox_nano_416.onnx", None, FamilyName.YOLOX),
        ("street-baseline.onnx", None, FamilyName.YOLO),
        ("deimv2_femto_416_fp32.onnx", ForeignModel(labels="coco"), FamilyName.DETR),
    ],
)
def test_given_real_files_when_read_then_their_families_are_known(
    name: str, said: ForeignModel | None, family: str
) -> None:
    assert read_model(SHARED / name, said).description.family is family
