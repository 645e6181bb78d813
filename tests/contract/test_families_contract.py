"""What every family of detectors promises, checked on real ONNX files that all see the same objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError
from agent.values import RoadUser
from agent.vision.description import FamilyName
from agent.vision.detector import Detector, load_detector
from agent.vision.families import FAMILIES
from agent.vision.model_file import judge
from tests.fakes.onnx_models import Seen, TinyModel

SHAPES = [*FamilyName, "rt-detr"]
OBJECTS = (
    Seen(3, 0.9, 12, 12, 16, 10),
    Seen(0, 0.8, 40, 20, 4, 12),
    Seen(5, 0.05, 55, 8, 8, 8),  # below the threshold
)
GREY = np.full((32, 64, 3), 128, np.uint8)


def detector(model: TinyModel) -> Detector:
    return load_detector(judge(model.build(), Path("tiny.onnx")))


def test_table_when_read_then_it_holds_every_family() -> None:
    assert set(FAMILIES) == set(FamilyName)


@pytest.mark.parametrize("family", SHAPES)
def test_given_two_clear_objects_when_detected_then_boxes_scores_and_classes_are_theirs(family: str) -> None:
    (found,) = detector(TinyModel(family, OBJECTS)).detect([GREY])

    np.testing.assert_allclose(found.boxes, [[4, 7, 20, 17], [38, 14, 42, 26]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.8], atol=1e-5)
    assert found.classes.tolist() == [RoadUser.CAR, RoadUser.PERSON]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("family", SHAPES)
def test_given_a_larger_frame_when_detected_then_boxes_are_in_its_pixels(family: str) -> None:
    (found,) = detector(TinyModel(family, OBJECTS)).detect([np.full((320, 640, 3), 128, np.uint8)])

    np.testing.assert_allclose(found.boxes, [[40, 70, 200, 170], [380, 140, 420, 260]], atol=1e-2)


@pytest.mark.parametrize("family", SHAPES)
def test_given_nothing_in_sight_when_detected_then_columns_are_empty(family: str) -> None:
    (found,) = detector(TinyModel(family, (Seen(0, 0.01, 20, 20, 8, 8),))).detect([GREY])

    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize("family", SHAPES)
def test_given_a_label_that_is_not_counted_when_detected_then_it_is_left_out(family: str) -> None:
    model = TinyModel(family, OBJECTS, labels=("traffic light", "bicycle", "motorcycle", "car", "bus", "truck"))

    (found,) = detector(model).detect([GREY])

    assert found.classes.tolist() == [RoadUser.CAR]


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("batch", [None, 1, 3])
def test_given_five_pictures_when_detected_at_once_then_each_gets_its_own_result(
    family: str, batch: int | None
) -> None:
    model = TinyModel(family, OBJECTS, batch=batch, by_brightness=True)
    pictures = [np.full((32, 64, 3), level, np.uint8) for level in (255, 0, 128, 255, 0)]

    found = detector(model).detect(pictures)

    assert [len(one) for one in found] == [2, 0, 2, 2, 0]
    np.testing.assert_allclose(found[2].scores, [0.45, 0.4], atol=0.01)


@pytest.mark.parametrize("family", SHAPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_given_a_score_that_is_no_number_when_loaded_then_one_sentence_refuses_the_model(
    family: str, bad: float
) -> None:
    model = TinyModel(family, (Seen(0, bad, 20, 20, 8, 8),))

    with pytest.raises(ModelError, match=r"tiny\.onnx: the model tiny gives scores that are no numbers"):
        detector(model)


@pytest.mark.parametrize("family", SHAPES)
def test_given_a_box_that_is_no_number_when_loaded_then_one_sentence_refuses_the_model(family: str) -> None:
    model = TinyModel(family, (Seen(0, 0.9, 20, 20, 8, np.nan),))

    with pytest.raises(ModelError, match="gives boxes that are no numbers"):
        detector(model)


@pytest.mark.parametrize("family", SHAPES)
def test_given_scores_beyond_one_when_loaded_then_they_are_refused_as_a_wrong_family(family: str) -> None:
    with pytest.raises(ModelError, match=r"scores from .* instead of 0 to 1; check its family"):
        detector(TinyModel(family, (Seen(0, 7.5, 20, 20, 8, 8),)))


@pytest.mark.parametrize("family", SHAPES)
def test_given_the_same_picture_twice_when_detected_then_results_are_equal_to_the_bit(family: str) -> None:
    seen = [Seen(i % 6, 0.5, 8 * i + 4, 12, 9, 9) for i in range(7)]
    model = detector(TinyModel(family, seen))

    (first,), (second,) = model.detect([GREY]), model.detect([GREY])

    assert first.boxes.tobytes() == second.boxes.tobytes()
    assert first.scores.tobytes() == second.scores.tobytes()
