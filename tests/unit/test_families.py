"""Outputs that a family must refuse, and corners its contract does not reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.vision.families import FAMILIES, Family
from agent.vision.model_file import judge
from tests.fakes.onnx_models import Seen, TinyModel

ONE = (Seen(0, 0.9, 20, 20, 8, 8),)


def family(name: str, labels: tuple[str, ...] = ("person", "car")) -> Family:
    known = judge(TinyModel(name, ONE, labels=labels).build(), Path("tiny.onnx")).description
    return FAMILIES[known.family](known)


def zeros(*shape: int) -> dict[str, NDArray[np.float32]]:
    return {"output0": np.zeros((1, *shape), np.float32)}


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("yolo", zeros(84, 42)),
        ("yolo", zeros(6)),
        ("yolo-end2end", zeros(300, 7)),
        ("yolox", zeros(42, 85)),
        ("yolox", zeros(41, 7)),
        ("detr", zeros(300, 84)),
        ("detr", {"labels": np.zeros((1, 3)), "boxes": np.zeros((1, 2, 4)), "scores": np.zeros((1, 3))}),
        ("detr", {"boxes": np.zeros((1, 2, 4)), "logits": np.zeros((1, 3))}),
    ],
)
def test_given_an_output_of_the_wrong_shape_when_decoded_then_it_is_refused_with_what_it_is(
    name: str, outputs: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=r"the model tiny gives .*; check its family, labels and scale"):
        family(name).decode(outputs, 0)


@pytest.mark.parametrize("label", [2, -1])
def test_given_a_label_the_model_does_not_name_when_decoded_then_it_is_refused(label: int) -> None:
    table = np.array([[[0, 0, 9, 9, 0.9, label]]], np.float32)

    with pytest.raises(ModelError, match=f"label {label}, but it names 2 labels"):
        family("yolo-end2end").decode({"output0": table}, 0)


def test_given_a_label_that_is_no_number_when_decoded_then_it_is_refused() -> None:
    table = np.array([[[0, 0, 9, 9, 0.9, np.nan]]], np.float32)

    with pytest.raises(ModelError, match="labels that are no numbers"):
        family("yolo-end2end").decode({"output0": table}, 0)


@pytest.mark.parametrize(("value", "column"), [(np.nan, 5), (np.nan, 4), (100.0, 2)])
def test_given_yolox_numbers_that_overflow_when_decoded_then_they_are_refused_without_a_warning(
    value: float, column: int
) -> None:
    table = np.zeros((1, 42, 7), np.float32)
    table[0, 3] = [0, 0, 1, 1, 0.9, 0.9, 0]
    table[0, 3, column] = value

    with pytest.raises(ModelError, match="no numbers"):
        family("yolox").decode({"output0": table}, 0)


def test_given_a_model_without_any_row_when_decoded_then_nothing_is_found() -> None:
    assert len(family("yolo-end2end").decode({"output0": np.zeros((1, 0, 6), np.float32)}, 0)) == 0


def test_given_a_label_that_is_not_counted_with_the_highest_score_when_decoded_then_the_counted_one_is_found() -> None:
    table = np.zeros((1, 6, 42), np.float32)
    table[0, :, 0] = [20, 20, 8, 8, 0.9, 0.4]  # a phone, or a car seen from above

    found = family("yolo", labels=("cell phone", "car")).decode({"output0": table}, 0)

    assert found.scores.tolist() == [np.float32(0.4)]


def test_given_rounding_just_above_one_when_decoded_then_the_score_is_one() -> None:
    table = np.zeros((1, 6, 42), np.float32)
    table[0, :, 0] = [20, 20, 8, 8, 1.004, 0]

    assert family("yolo").decode({"output0": table}, 0).scores.tolist() == [1.0]
