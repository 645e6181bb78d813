"""What holds for any bytes, any frame size and any boxes on the way through a detector."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.values import Detections, RoadUser
from agent.vision.description import Fit, ModelInput
from agent.vision.onnx_outline import read_outline, with_metadata
from agent.vision.preprocess import Placement
from agent.vision.riders import join_riders
from agent.vision.scheduler import FairShare
from agent.vision.suppression import drop_twins, pairwise_iou, suppress
from agent.vision.wire import NotOnnxError
from tests.fakes.onnx_models import TinyModel

MODEL = TinyModel("yolo").build()


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, 25))
    grid = st.integers(0, 60)
    rows = draw(st.lists(st.tuples(grid, grid, st.integers(1, 40), st.integers(1, 40)), min_size=count, max_size=count))
    corners = np.array(rows, np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    scores = draw(st.lists(st.integers(1, 100), min_size=count, max_size=count))
    classes = draw(st.lists(st.sampled_from(list(RoadUser)), min_size=count, max_size=count))
    return Detections(corners, np.array(scores, np.float32) / 100, np.array(classes, np.int64))


@given(st.binary(max_size=200))
def test_given_any_bytes_when_outlined_then_it_ends_with_an_outline_or_a_reason(data: bytes) -> None:
    try:
        read_outline(data)
    except NotOnnxError:
        return


@given(st.integers(0, len(MODEL) - 1), st.integers(0, 255))
def test_given_one_wrong_byte_when_outlined_then_it_ends_with_an_outline_or_a_reason(position: int, value: int) -> None:
    try:
        read_outline(MODEL[:position] + bytes([value]) + MODEL[position + 1 :])
    except NotOnnxError:
        return


@given(st.text(max_size=30), st.text(max_size=300))
def test_given_any_metadata_when_set_then_it_reads_back(key: str, value: str) -> None:
    assert read_outline(with_metadata(MODEL, key, value)).metadata[key] == value


@given(
    st.integers(8, 4000),
    st.integers(8, 3000),
    st.sampled_from(Fit),
    st.tuples(*[st.floats(0, 1, width=32)] * 4),
)
def test_given_any_frame_and_box_when_placed_and_brought_back_then_it_is_the_same_box(
    width: int, height: int, fit: Fit, shares: tuple[float, float, float, float]
) -> None:
    placed = Placement.of(width, height, ModelInput(448, 256, fit=fit))
    left, right = sorted(shares[:2])
    top, bottom = sorted(shares[2:])
    inside = np.array([[left, top, right, bottom]], np.float32)
    corner = np.array([placed.left_px, placed.top_px] * 2, np.float32)
    size = np.array([placed.width_px, placed.height_px] * 2, np.float32)

    boxes = placed.to_source(inside * size + corner)

    np.testing.assert_allclose(boxes, inside * [width, height, width, height], atol=0.01 * max(width, height) / 10)
    assert placed.left_px >= 0
    assert placed.left_px + placed.width_px <= 448
    assert placed.top_px + placed.height_px <= 256


@given(detections(), st.floats(0.2, 0.9))
def test_given_any_detections_when_suppressed_then_no_two_of_a_class_overlap_and_a_second_time_changes_nothing(
    found: Detections, iou: float
) -> None:
    kept = suppress(found, iou)

    same = kept.classes[:, None] == kept.classes
    overlap = np.triu(pairwise_iou(kept.boxes, kept.boxes), k=1)
    assert (overlap[same] <= iou + 1e-4).all()
    assert (np.diff(kept.scores) <= 0).all()
    assert suppress(kept, iou).boxes.tolist() == kept.boxes.tolist()
    if len(found):
        assert kept.scores[0] == found.scores.max()


@given(detections())
def test_given_any_detections_when_twins_are_dropped_then_the_strongest_stays_and_no_car_outdoes_a_person(
    found: Detections,
) -> None:
    ordered = suppress(found, 0.6)
    four_wheels = np.isin(ordered.classes, (RoadUser.CAR, RoadUser.BUS, RoadUser.TRUCK, RoadUser.OTHER))
    people_and_cars = ordered.select(four_wheels | (ordered.classes == RoadUser.PERSON))

    assert drop_twins(ordered, 0.7).scores[:1].tolist() == ordered.scores[:1].tolist()
    kept = drop_twins(people_and_cars, 0.7)
    assert (kept.classes == RoadUser.PERSON).sum() == (people_and_cars.classes == RoadUser.PERSON).sum()


@given(detections())
def test_given_any_detections_when_riders_are_joined_then_machines_stay_and_only_grow(found: Detections) -> None:
    joined = join_riders(found)

    others, before = joined.classes != RoadUser.PERSON, found.classes != RoadUser.PERSON
    assert joined.classes[others].tolist() == found.classes[before].tolist()
    assert (joined.boxes[others][:, :2] <= found.boxes[before][:, :2]).all()
    assert (joined.boxes[others][:, 2:] >= found.boxes[before][:, 2:]).all()
    assert len(found) - 4 * int(before.sum()) <= len(joined) <= len(found)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.5, 30), min_size=1),
    st.lists(st.floats(0.001, 0.3), min_size=50, max_size=200),
    st.integers(1, 4),
)
def test_given_any_rates_and_delays_when_scheduled_then_no_camera_exceeds_its_rate_or_starves(
    rates: dict[str, float], delays: list[float], limit: int
) -> None:
    share = FairShare(rates)
    counts = dict.fromkeys(rates, 0)
    now_s = 0.0
    for delay_s in delays:
        for camera in share.next(rates, now_s, limit):
            counts[camera] += 1
        now_s += delay_s

    for camera, rate in rates.items():
        assert 1 <= counts[camera] <= rate * now_s + 2
