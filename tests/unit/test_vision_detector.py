"""The whole way from a picture to road users."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.values import RoadUser
from agent.vision.describe import ForeignModel
from agent.vision.detector import BATCH_LIMIT, Cost, DetectCost, Detector, load_detector, open_detector
from agent.vision.engine import EngineOptions, OnnxEngine
from agent.vision.model_file import judge
from tests.fakes.onnx_models import Seen, TinyModel

GREY = np.full((32, 64, 3), 128, np.uint8)
SHARED = Path(__file__).parents[3] / "shared"


def detector(*objects: Seen, one_class_per_object: bool = True, **card: Any) -> Detector:
    model = TinyModel("yolo", objects, card=card)
    return load_detector(judge(model.build(), Path("tiny.onnx")), one_class_per_object=one_class_per_object)


class CountingEngine:
    """An engine that sees nothing and remembers the batches it was given."""

    provider = "cpu"
    fallback = ("it was slow",)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, tensor: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.batches.append(len(tensor))
        return {"output0": np.zeros((len(tensor), 10, 42), np.float32)}


@pytest.mark.parametrize(
    ("batch", "expected"),
    [(None, [BATCH_LIMIT, 2]), (1, [1] * (BATCH_LIMIT + 2)), (4, [4, 4, 4])],
)
def test_given_more_pictures_than_a_run_takes_when_detected_then_runs_are_as_full_as_the_model_allows(
    batch: int | None, expected: list[int]
) -> None:
    known = judge(TinyModel("yolo", batch=batch).build(), Path("tiny.onnx")).description
    engine = CountingEngine()

    found = Detector(known, engine).detect([GREY] * (BATCH_LIMIT + 2))

    assert len(found) == BATCH_LIMIT + 2
    assert engine.batches == expected


def test_given_no_picture_when_detected_then_nothing_runs() -> None:
    one = detector()

    assert one.detect([]) == []
    assert one.cost == DetectCost()


def test_given_an_engine_that_fell_back_when_asked_then_provider_and_reason_are_told() -> None:
    known = judge(TinyModel("yolo").build(), Path("tiny.onnx")).description
    one = Detector(known, CountingEngine())

    assert (one.provider, one.fallback, one.batch_limit) == ("cpu", ("it was slow",), 1)


def test_given_a_cpu_clock_when_detected_then_every_stage_has_its_cost() -> None:
    file = judge(TinyModel("yolo").build(), Path("tiny.onnx"))
    ticks = itertools.count()
    one = Detector(file.description, OnnxEngine(file, EngineOptions(threads=1)), cpu_clock=lambda: float(next(ticks)))

    one.detect([GREY, GREY])

    assert [part.cpu_s for part in (one.cost.preprocess, one.cost.model, one.cost.postprocess)] == [2, 2, 2]
    assert one.cost.model.wall_s > 0
    assert Cost(1, 2) + Cost(3, 4) == Cost(4, 6)


def test_given_a_model_that_sees_riders_apart_when_detected_then_they_are_joined_once() -> None:
    apart = (Seen(2, 0.8, 30, 20, 16, 16), Seen(0, 0.8, 30, 14, 10, 20), Seen(2, 0.5, 30, 13, 16, 30))

    (joined,) = detector(*apart, riders_joined=False).detect([GREY])
    (plain,) = detector(*apart).detect([GREY])

    assert joined.classes.tolist() == [RoadUser.MOTORCYCLE]
    np.testing.assert_allclose(joined.boxes, [[22, 4, 38, 28]], atol=1e-3)
    assert sorted(plain.classes.tolist()) == [0, 2, 2]


def test_given_one_vehicle_seen_as_two_classes_when_detected_then_it_is_one_unless_told_otherwise() -> None:
    van = (Seen(3, 0.8, 30, 16, 20, 16), Seen(5, 0.6, 30, 16, 20, 15))

    assert len(detector(*van).detect([GREY])[0]) == 1
    assert len(detector(*van, one_class_per_object=False).detect([GREY])[0]) == 2


def test_given_a_box_around_two_cars_when_detected_then_it_is_dropped_unless_told_otherwise() -> None:
    cars = (Seen(3, 0.8, 20, 16, 18, 16), Seen(3, 0.8, 41, 16, 18, 16), Seen(3, 0.7, 30.5, 16, 38, 17))

    assert detector(*cars).detect([GREY])[0].boxes[:, 0].tolist() == pytest.approx([11, 32], abs=1e-3)
    assert len(detector(*cars, one_class_per_object=False).detect([GREY])[0]) == 3


def test_given_a_box_in_the_grey_around_the_frame_when_detected_then_it_is_no_road_user() -> None:
    one = detector(Seen(3, 0.9, 32, 2, 20, 3), Seen(3, 0.9, 32, 16, 20, 10))

    (found,) = one.detect([np.full((12, 64, 3), 128, np.uint8)])

    assert len(found) == 1


def test_given_thresholds_in_the_configuration_when_opened_then_they_replace_the_model_s(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(TinyModel("yolo", (Seen(3, 0.5, 32, 16, 20, 10),)).build())

    assert len(open_detector(path).detect([GREY])[0]) == 1
    assert len(open_detector(path, score=0.6).detect([GREY])[0]) == 0


def test_given_a_model_of_the_wrong_family_when_opened_then_it_is_refused_before_the_first_frame(
    tmp_path: Path,
) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(TinyModel("yolo", metadata="none").build())
    said = ForeignModel(family="yolo-end2end", labels=("person", "car"))

    with pytest.raises(ModelError, match=r"wrong\.onnx: the model wrong gives an output of shape"):
        open_detector(path, foreign=said)


def test_given_a_float16_model_when_detected_then_it_is_fed_float16() -> None:
    model = TinyModel("yolo", (Seen(3, 0.5, 32, 16, 20, 10),), half=True)

    assert len(load_detector(judge(model.build(), Path("half.onnx"))).detect([GREY])[0]) == 1


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared, which this checkout lacks")
@pytest.mark.parametrize(
    ("name", "said"),
    [("yolox_nano_416.onnx", None), ("deimv2_femto_416_fp32.onnx", ForeignModel(labels="coco"))],
)
def test_given_a_real_model_and_a_real_street_when_detected_then_cars_are_found_where_they_are(
    name: str, said: ForeignModel | None
) -> None:
    clip = cv2.VideoCapture(str(SHARED / "data" / "video" / "overpass-3-lanes.mp4"))
    ok, image = clip.read()
    clip.release()
    assert ok

    found = open_detector(SHARED / "models" / name, foreign=said, options=EngineOptions(threads=1)).detect([image])[0]

    cars = found.boxes[np.isin(found.classes, (RoadUser.CAR, RoadUser.TRUCK))]
    assert len(cars) >= 1
    height, width = image.shape[:2]
    assert (cars >= 0).all()
    assert (cars[:, 2] <= width).all()
    assert (cars[:, 3] <= height).all()
