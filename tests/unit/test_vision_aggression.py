"""The clip model and its clips: what they take, what they refuse, and that violent motion outranks calm motion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from agent.errors import ModelError
from agent.vision.aggression import MOST_BYTES, MOST_LEVELS, AggressionModel
from agent.vision.motion import CELLS, FRAMES, MAPS, SIDE_PX, Grey, motion, small
from agent.vision.stills import SIDE_PX as STILL_PX
from agent.vision.stills import STILLS, stills

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


def clip_of(jolts: float) -> list[Grey]:
    return [cv2.cvtColor(walkers(step, jolts), cv2.COLOR_BGR2GRAY) for step in range(FRAMES)]  # type: ignore[misc]


def test_given_sixteen_pictures_then_they_become_five_maps_a_step() -> None:
    maps = motion([small(each) for each in clip_of(2.0)])
    assert maps.shape == (MAPS, FRAMES - 1, CELLS, CELLS)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


def test_given_a_picture_that_stands_still_then_nothing_moves() -> None:
    assert np.abs(motion([np.full((SIDE_PX, SIDE_PX), 90, np.uint8)] * FRAMES)).max() == pytest.approx(0, abs=1e-3)


def test_given_a_camera_that_pans_then_its_own_movement_is_taken_out() -> None:
    ground = np.random.default_rng(1).integers(0, 255, (60, 90), dtype=np.uint8)
    wide = cv2.resize(ground, (900, 600), interpolation=cv2.INTER_CUBIC)
    maps = motion([small(wide[100:500, 100 + 6 * step : 500 + 6 * step]) for step in range(FRAMES)])
    assert np.median(np.abs(maps[0])) < 0.1


def test_given_the_same_picture_in_grey_then_it_is_the_same() -> None:
    grey = np.random.default_rng(2).integers(0, 255, (96, 96), dtype=np.uint8)
    assert np.abs(small(grey).astype(int) - small(np.repeat(grey[..., np.newaxis], 3, axis=2))).max() <= 1


def test_given_sudden_motion_then_it_scores_above_calm_motion() -> None:
    model = AggressionModel(MODEL)
    calm, wild = model.score(clip_of(0.0)), model.score(clip_of(12.0))
    assert 0 <= calm < wild <= 1


def test_given_a_clip_then_every_third_picture_of_it_is_looked_at() -> None:
    clip = [np.full((40, 90), 10 * step, np.uint8) for step in range(FRAMES)]
    looked_at = stills(clip)
    assert looked_at.shape == (STILLS, STILL_PX, STILL_PX)
    assert looked_at[:, 80, 80] * 255 == pytest.approx([0, 30, 60, 90, 120, 150])


def shipped_session() -> ort.InferenceSession:
    return ort.InferenceSession(MODEL.read_bytes(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("jolts", "is_looked_at"), [(12.0, True), (0.0, False)])
def test_given_the_model_that_ships_then_stills_matter_unless_movement_rules_a_fight_out(
    jolts: float,
    is_looked_at: bool,  # noqa: FBT001 - a row of the table
) -> None:
    clip = clip_of(jolts)
    maps = motion([small(each) for each in clip])[np.newaxis]
    session = shipped_session()
    shown, black = (
        session.run(["fight"], {"motion": maps, "stills": each})[0].item()
        for each in (stills(clip), np.zeros((STILLS, STILL_PX, STILL_PX), np.float32))
    )
    assert (abs(shown - black) > 0.01) == is_looked_at
    assert AggressionModel(MODEL).score(clip) == pytest.approx(shown, abs=1e-5), "the pictures are those that are given"


def test_given_a_model_whose_look_fails_then_it_is_refused_before_people_fight(tmp_path: Path) -> None:
    model = onnx.load(MODEL)
    (asked,) = (node for node in model.graph.node if node.op_type == "If")
    looking = next(each.g for each in asked.attribute if each.name == "then_branch")
    (offsets,) = (each for each in looking.initializer if each.name == "look_offsets")
    offsets.CopyFrom(numpy_helper.from_array(np.full((1, 5), np.nan, np.float32), offsets.name))
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match="gives nan, not 0 to 1"):
        AggressionModel(tmp_path / "other.onnx")


def test_given_a_model_that_takes_nothing_then_it_is_refused_in_one_sentence(tmp_path: Path) -> None:
    half = numpy_helper.from_array(np.array([[0.5]], np.float32), "half")
    told = [helper.make_tensor_value_info("fight", TensorProto.FLOAT, [1, 1])]
    graph = helper.make_graph([helper.make_node("Identity", ["half"], ["fight"])], "none", [], told, [half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match="takes nothing"):
        AggressionModel(tmp_path / "other.onnx")


def test_given_the_model_that_ships_then_it_is_small_and_each_clip_has_a_network_that_never_saw_it() -> None:
    assert MODEL.stat().st_size <= MOST_BYTES
    held_out = AggressionModel(MODEL).facts["held_out"]
    assert len(held_out) == 240
    assert set(held_out.values()) == set(range(5))


def test_given_one_network_of_the_file_then_it_has_an_opinion_of_its_own() -> None:
    clip = clip_of(6.0)
    alone = [AggressionModel(MODEL, member).score(clip) for member in range(5)]
    assert len(set(alone)) == 5
    assert min(alone) <= AggressionModel(MODEL).score(clip) <= max(alone)


def write_other(path: Path, steps: int, output: str) -> None:
    shape = [1, MAPS, steps, CELLS, CELLS]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["motion"], [output])],
        "other",
        [helper.make_tensor_value_info("motion", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_given_a_model_of_another_clip_length_then_it_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write_other(tmp_path / "other.onnx", 31, "fight")
    with pytest.raises(ModelError, match=r"takes \[5, 31, 24, 24\], not \[5, 15, 24, 24\]"):
        AggressionModel(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"stills": [STILLS, 96, 96]}, r"takes \[96, 96\], not \[160, 160\]: rows, columns of 6 pictures"),
        ({"stills": [STILLS, STILL_PX, STILL_PX], "sound": [1, 16_000]}, "takes 'sound' too, which nobody gives it"),
    ],
)
def test_given_a_model_that_takes_more_than_it_is_given_then_it_is_refused_in_one_sentence(
    tmp_path: Path, more: dict[str, list[int]], why: str
) -> None:
    write_mean(tmp_path / "other.onnx", more=more)
    with pytest.raises(ModelError, match=why):
        AggressionModel(tmp_path / "other.onnx")


def test_given_a_model_that_gives_something_else_then_it_is_refused(tmp_path: Path) -> None:
    write_other(tmp_path / "other.onnx", 15, "weather")
    with pytest.raises(ModelError, match="gives no 'fight'"):
        AggressionModel(tmp_path / "other.onnx")


def test_given_no_file_or_no_model_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be read"):
        AggressionModel(tmp_path / "absent.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"can't be loaded \(.*\); copy it again, or give one trained"):
        AggressionModel(broken)
    broken.write_bytes(bytes(MOST_BYTES + 1))
    with pytest.raises(ModelError, match="at most"):
        AggressionModel(broken)


def write_mean(
    path: Path,
    *,
    kind: int = TensorProto.FLOAT,
    plus: float = 0.5,
    wide: int = 1,
    more: Mapping[str, list[int]] = MappingProxyType({}),
    **facts: str,
) -> None:
    """A clip model of the right shape, which gives the mean of its maps and so much more."""
    number = np.float64 if kind == TensorProto.DOUBLE else np.float32
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["motion"], ["mean"], axes=[1, 2, 3, 4], keepdims=0),
            helper.make_node("Add", ["mean", "plus"], ["more"]),
            helper.make_node("Reshape", ["more", "shape"], ["fight"]),
        ],
        "mean",
        [
            helper.make_tensor_value_info("motion", kind, ["n", MAPS, FRAMES - 1, CELLS, CELLS]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in more.items()),
        ],
        [helper.make_tensor_value_info("fight", kind, None)],
        [
            numpy_helper.from_array(np.array([plus], number), "plus"),
            numpy_helper.from_array(np.array([-1] + [1] * wide), "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, facts)
    onnx.save(model, str(path))


def test_given_a_foreign_model_of_the_right_shape_then_it_judges(tmp_path: Path) -> None:
    write_mean(tmp_path / "other.onnx", accuracy='{"whole": [0.8]}', author="80 % of one")
    model = AggressionModel(tmp_path / "other.onnx")
    assert model.facts == {"accuracy": {"whole": [0.8]}}
    assert model.score([np.zeros((64, 48), np.uint8)] * FRAMES) == 0.5


def test_given_a_model_that_tells_its_accuracy_in_words_then_it_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write_mean(tmp_path / "other.onnx", accuracy="80 %")
    with pytest.raises(ModelError, match=r"metadata 'accuracy' is no JSON"):
        AggressionModel(tmp_path / "other.onnx")


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 900, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_given_a_model_whose_metadata_is_nested_without_end_then_it_is_refused_in_one_sentence(
    tmp_path: Path, levels: int, begin: str, end: str
) -> None:
    write_mean(tmp_path / "other.onnx", held_out=begin * levels + "0" + end * levels)
    with pytest.raises(ModelError, match=r"metadata 'held_out' is nested deeper than 50 levels; give one trained"):
        AggressionModel(tmp_path / "other.onnx")


def test_given_a_model_whose_metadata_is_nested_as_deep_as_may_be_then_it_judges(tmp_path: Path) -> None:
    write_mean(tmp_path / "other.onnx", accuracy="[" * MOST_LEVELS + "0" + "]" * MOST_LEVELS)
    assert AggressionModel(tmp_path / "other.onnx").facts


def test_given_a_model_of_other_numbers_then_it_is_refused_before_it_judges_a_clip(tmp_path: Path) -> None:
    write_mean(tmp_path / "other.onnx", kind=TensorProto.DOUBLE)
    with pytest.raises(ModelError, match=r"takes tensor\(double\), not tensor\(float\)"):
        AggressionModel(tmp_path / "other.onnx")


@pytest.mark.parametrize("plus", [float("nan"), float("inf"), -0.5, 80.0])
def test_given_a_model_whose_likeness_is_none_then_it_is_refused(tmp_path: Path, plus: float) -> None:
    write_mean(tmp_path / "other.onnx", plus=plus)
    with pytest.raises(ModelError, match="not 0 to 1"):
        AggressionModel(tmp_path / "other.onnx")


@pytest.mark.parametrize("wide", [0, 2])
def test_given_a_model_whose_output_has_another_shape_then_it_is_refused(tmp_path: Path, wide: int) -> None:
    write_mean(tmp_path / "other.onnx", wide=wide)
    with pytest.raises(ModelError, match="can't judge a clip"):
        AggressionModel(tmp_path / "other.onnx")
