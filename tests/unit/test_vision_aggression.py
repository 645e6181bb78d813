"""The clip model and its clips: what they take, what they refuse, and that violent motion outranks calm motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agent.errors import ModelError
from agent.vision.aggression import MOST_BYTES, AggressionModel, Clip
from agent.vision.motion import FRAMES, NUMBERS, SIDE_PX, motion, small

MODEL = Path(__file__).parents[2] / "models" / "aggression.onnx"


def walkers(step: int, jolts: float, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """Two textured figures on a plain ground, their places jolted by so many pixels."""
    rng = np.random.default_rng([seed, step])
    figures = np.random.default_rng(seed).integers(0, 255, (2, 60, 24, 3))
    picture = np.full((160, 160, 3), 110, np.uint8)
    for number, figure in enumerate(figures):
        x, y = (rng.normal(0, jolts, 2) + np.array([40 + 50 * number + step, 50])).astype(int)
        picture[y : y + 60, x : x + 24] = figure
    return picture


def rows_of(jolts: float) -> np.ndarray:  # type: ignore[type-arg]
    return motion([small(walkers(step, jolts)) for step in range(FRAMES)])


def test_given_sixteen_pictures_in_a_row_then_the_clip_is_full_and_described() -> None:
    clip = Clip()
    full = [clip.add(walkers(step, 0), 5.0 + step / 10) for step in range(FRAMES)]
    assert full == [*[False] * (FRAMES - 1), True]
    assert clip.rows().shape == (FRAMES - 1, NUMBERS)
    assert np.isfinite(clip.rows()).all()
    assert (clip.rows() >= 0).all()


def test_given_a_hole_in_time_then_the_clip_begins_again() -> None:
    clip = Clip()
    for step in range(FRAMES):
        clip.add(walkers(step, 0), step / 10)
    assert not clip.add(walkers(0, 0), 60.0)


def test_given_twice_as_many_pictures_then_every_second_is_taken() -> None:
    clip = Clip()
    added = [clip.add(walkers(step, 0), step / 20) for step in range(2 * FRAMES)]
    assert sum(added) == 1


def test_given_a_picture_that_stands_still_then_nothing_moves() -> None:
    rows = motion([np.full((SIDE_PX, SIDE_PX), 90, np.uint8)] * FRAMES)
    assert rows[:, :13].max() == pytest.approx(0, abs=1e-4)


def test_given_sudden_motion_then_it_scores_above_calm_motion() -> None:
    model = AggressionModel(MODEL)
    calm, wild = model.score(rows_of(0.0)), model.score(rows_of(12.0))
    assert 0 <= calm < wild <= 1


def test_given_the_model_that_ships_then_it_is_small() -> None:
    assert MODEL.stat().st_size <= MOST_BYTES


def test_given_a_model_of_another_clip_length_then_it_is_refused_in_one_sentence(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["motion"], ["fight"])],
        "other",
        [helper.make_tensor_value_info("motion", TensorProto.FLOAT, [1, 31, NUMBERS])],
        [helper.make_tensor_value_info("fight", TensorProto.FLOAT, [1, 31, NUMBERS])],
    )
    other = tmp_path / "other.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(other))
    with pytest.raises(ModelError, match=r"takes \[31, 32\], not 15 steps of 32 numbers"):
        AggressionModel(other)


def test_given_no_file_or_no_model_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be read"):
        AggressionModel(tmp_path / "absent.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match="can't be loaded"):
        AggressionModel(broken)
    broken.write_bytes(bytes(MOST_BYTES + 1))
    with pytest.raises(ModelError, match="at most"):
        AggressionModel(broken)
