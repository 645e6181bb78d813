"""The parts of the training recipe that need no torch: data, pictures, the plan, the record, the card, shipping."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from agent.vision.describe import ForeignModel, describe
from agent.vision.onnx_outline import Outline, Tensor
from models.train import ship
from models.train.augment import compose
from models.train.card import description
from models.train.dataset import (
    BadDataError,
    Sample,
    folder_hash,
    parse_labels,
    read_split,
    repeat_weights,
    source_of,
    without_riders,
)
from models.train.numbers import BEGIN, END, with_numbers
from models.train.plan import Plan
from models.train.record import prepare_folder
from models.train.spoil import CHANGES

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (320, 192)


def write_still(folder: Path, stem: str, labels: str | None, split: str = "train") -> Path:
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    image = np.full((90, 160, 3), 100, np.uint8)
    path = folder / "images" / split / f"{stem}.png"
    assert cv2.imwrite(str(path), image)
    if labels is not None:
        (folder / "labels" / split / f"{stem}.txt").write_text(labels)
    return path


def still(boxes: list[tuple[float, ...]], source: str = "cctv", name: str = "a") -> Sample:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (360, 640, 3), np.uint8)
    return Sample(name, source, image, np.array(boxes, np.float32).reshape(-1, 5))


def test_given_a_good_folder_when_read_then_boxes_are_corners_and_sources_come_from_names(tmp_path: Path) -> None:
    write_still(tmp_path, "train-cctv-A-0001", "2 0.5 0.5 0.2 0.4\n\n3 0.1 0.1 0.2 0.2\n")
    write_still(tmp_path, "train-people-0000", "")
    first, second = read_split(tmp_path, "train")
    assert (first.source, second.source) == ("cctv", "people")
    np.testing.assert_allclose(first.boxes, [[2, 0.4, 0.3, 0.6, 0.7], [3, 0, 0, 0.2, 0.2]], atol=1e-6)
    assert second.boxes.shape == (0, 5)


def test_given_many_faults_when_read_then_every_file_and_line_is_listed_at_once(tmp_path: Path) -> None:
    write_still(tmp_path, "no-label", None)
    write_still(tmp_path, "bad-class", "2 0.5 0.5 0.1 0.1\n6 0.5 0.5 0.1 0.1\n")
    write_still(tmp_path, "bad-text", "car 0.5 0.5 0.1 0.1\n3 0.5\n")
    write_still(tmp_path, "undecodable", "").write_bytes(b"not a picture")
    (tmp_path / "labels" / "train" / "no-image.txt").write_text("")
    with pytest.raises(BadDataError) as caught:
        read_split(tmp_path, "train")
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    for expected in (
        "no-label.png: has no label file",
        "no-image.txt: has no image",
        "bad-class.txt:2: class 6 is not one of 0..5",
        "bad-text.txt:1: 'car 0.5 0.5 0.1 0.1' is not five numbers",
        "bad-text.txt:2: has 2 values, must be 5",
        "undecodable.png: does not decode as an image",
    ):
        assert expected in text


def test_given_an_empty_folder_when_read_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="holds no images"):
        read_split(tmp_path, "train")


def test_given_very_many_faults_then_the_message_stays_readable() -> None:
    error = BadDataError([f"file{n}" for n in range(1000)])
    assert str(error).startswith("1000 problems")
    assert str(error).endswith("... and 800 more")


@pytest.mark.parametrize(
    "line",
    [
        "2 0.5 0.5 0 0.1",
        "2 0.5 0.5 0.1 -0.1",
        "2 1.4 0.5 0.1 0.1",
        "2 nan 0.5 0.1 0.1",
        "2.5 0.5 0.5 0.1 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "nan 0.5 0.5 0.1 0.1",
        "2 0.5 0.5 inf 0.1",
        "2 0.5 0.5 0.1 0.1 0.9",
    ],
)
def test_given_a_bad_line_when_parsed_then_it_is_a_fault_with_its_number(line: str) -> None:
    boxes, faults = parse_labels(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    assert len(boxes) == 1
    assert len(faults) == 1
    assert faults[0].startswith("2: ")


def test_given_a_box_a_hair_outside_when_parsed_then_it_is_cut_to_the_image() -> None:
    boxes, faults = parse_labels("2 0.0499 0.5 0.1 0.1")
    assert not faults
    assert boxes[0, 1] == 0


@pytest.mark.parametrize(
    ("stem", "source"),
    [("train-highway-0003", "highway"), ("train-roadside-id-0003", "roadside"), ("mine", "other"), ("a-b", "other")],
)
def test_given_a_name_then_its_source_is_known_or_other(stem: str, source: str) -> None:
    assert source_of(stem) == source


def test_given_a_rider_boxed_as_a_person_then_only_the_rider_is_dropped() -> None:
    machine, rider, walker = (2, 0.4, 0.4, 0.6, 0.8), (0, 0.45, 0.4, 0.55, 0.7), (0, 0.1, 0.4, 0.15, 0.6)
    boxes = np.array([machine, rider, walker], np.float32)
    np.testing.assert_array_equal(without_riders(boxes), boxes[[0, 2]])
    np.testing.assert_array_equal(without_riders(boxes[1:]), boxes[1:])
    assert without_riders(boxes[:0]).shape == (0, 5)


def test_given_roadside_stills_when_read_then_riders_are_part_of_their_machine(tmp_path: Path) -> None:
    labels = "2 0.5 0.6 0.2 0.4\n0 0.5 0.6 0.1 0.3\n"
    write_still(tmp_path, "train-roadside-id-0000", labels)
    write_still(tmp_path, "train-cctv-A-0000", labels)
    assert [len(sample.boxes) for sample in read_split(tmp_path, "train")] == [2, 1]


def test_given_a_rare_class_then_its_stills_are_drawn_more_often_but_at_most_twice() -> None:
    stills = [still([(3, 0, 0, 1, 1)]) for _ in range(99)] + [still([(1, 0, 0, 1, 1), (3, 0, 0, 1, 1)])]
    weights = repeat_weights(stills)
    assert weights[:-1] == pytest.approx(1)
    assert weights[-1] == 2
    assert repeat_weights([still([]), *stills])[0] == 1


def test_given_one_changed_byte_then_the_hash_of_the_data_changes(tmp_path: Path) -> None:
    write_still(tmp_path, "a", "2 0.5 0.5 0.1 0.1")
    before = folder_hash(tmp_path)
    assert folder_hash(tmp_path) == before
    (tmp_path / "labels" / "train" / "a.txt").write_text("2 0.5 0.5 0.1 0.2")
    assert folder_hash(tmp_path) != before


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
@pytest.mark.parametrize("source", ["cctv", "people"])
def test_given_any_seed_then_boxes_stay_on_the_canvas_and_large_enough(mosaic: float, source: str) -> None:
    example = still([(2, 0.4, 0.4, 0.6, 0.6), (3, 0.0, 0.0, 0.02, 0.02), (0, 0.8, 0.1, 0.9, 0.5)], source)
    for seed in range(40):
        picture, boxes = compose(example, lambda: example, SIZE, np.random.default_rng(seed), mosaic=mosaic)
        assert picture.shape == (192, 320, 3)
        assert picture.dtype == np.uint8
        assert boxes.dtype == np.float32
        assert np.all(boxes[:, 1:3] >= 0)
        assert np.all(boxes[:, 3] <= SIZE[0])
        assert np.all(boxes[:, 4] <= SIZE[1])
        assert np.all(boxes[:, 4] - boxes[:, 2] >= 4 - 1e-3)


def test_given_the_same_seed_then_the_same_picture_comes_out() -> None:
    example = still([(2, 0.4, 0.4, 0.6, 0.6)])
    one, two = (compose(example, lambda: example, SIZE, np.random.default_rng(7), mosaic=1.0) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_given_a_bright_patch_when_a_view_is_made_then_its_box_still_frames_it() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    image[144:216, 256:384] = 255
    example = Sample("a", "cctv", image, np.array([[3, 0.4, 0.4, 0.6, 0.6]], np.float32))
    for seed in range(30):
        rng = np.random.default_rng(seed)
        picture, boxes = compose(example, lambda: example, SIZE, rng, mosaic=0.0, spoil_rate=0.0)
        rows, columns = np.nonzero(picture[..., 0] > 200)
        if not len(boxes):
            continue
        framed = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        slack = 0.12 * max(framed[2] - framed[0], framed[3] - framed[1]) + 2  # a turned box is framed loosely
        np.testing.assert_allclose(boxes[0, 1:], framed, atol=slack)


@pytest.mark.parametrize("change", [change for _, change in CHANGES])
def test_given_any_change_of_light_or_quality_then_a_picture_of_the_same_shape_comes_out(change: Any) -> None:
    picture = still([]).image[:192, :320]
    for seed in range(10):
        spoiled = change(picture.copy(), np.random.default_rng(seed))
        assert spoiled.shape == picture.shape
        assert spoiled.dtype == np.uint8
        assert not np.array_equal(spoiled, picture)


def test_given_a_plan_then_its_rate_rises_falls_and_never_rises_again() -> None:
    plan = Plan()
    assert plan.learning_rate_at(0, 0) == pytest.approx(plan.learning_rate / plan.warmup_steps)
    rates = [plan.learning_rate_at(share / 100, 10_000) for share in range(130)]
    assert rates[0] == pytest.approx(plan.learning_rate)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(plan.learning_rate * plan.final_share)


def test_given_a_plan_then_its_stages_follow_each_other_and_fit_the_network() -> None:
    stages = Plan().stages
    ends = [stage.until for stage in stages]
    assert ends == sorted(ends)
    assert ends[-1] == 1.0
    assert all(stage.width % 32 == 0 and stage.height % 32 == 0 for stage in stages)


def test_given_a_run_of_another_plan_data_or_network_when_resumed_then_it_is_refused(tmp_path: Path) -> None:
    network, run = tmp_path / "street.yaml", tmp_path / "run"
    network.write_text("nc: 6\n")
    record: dict[str, Any] = {"config": {"seed": 1}, "data_sha256": "a", "versions": {}}
    prepare_folder(run, network, record)
    prepare_folder(run, network, {**record, "versions": {"torch": "newer"}})
    assert json.loads((run / "config.json").read_text()) == record
    with pytest.raises(SystemExit, match="another 'config'"):
        prepare_folder(run, network, {**record, "config": {"seed": 2}})
    with pytest.raises(SystemExit, match="another 'data_sha256'"):
        prepare_folder(run, network, {**record, "data_sha256": "b"})
    prepare_folder(run, network, {**record, "data_sha256": "b"}, "labels were wrong")
    history = json.loads((run / "config.json").read_text())
    assert history["data_sha256"] == "b"
    assert history["earlier_data"] == [{"data_sha256": "a", "until": {}, "why": "labels were wrong"}]
    with pytest.raises(SystemExit, match="another 'started_from'"):
        prepare_folder(run, network, {**record, "data_sha256": "b", "started_from": {"sha256": "c"}})
    network.write_text("nc: 7\n")
    with pytest.raises(SystemExit, match="another network"):
        prepare_folder(run, network, {**record, "data_sha256": "c"}, "not to be recorded")
    assert json.loads((run / "config.json").read_text()) == history


def test_given_another_plan_and_the_reason_when_resumed_then_each_plan_before_stays_in_the_record(
    tmp_path: Path,
) -> None:
    network, run = tmp_path / "street.yaml", tmp_path / "run"
    network.write_text("nc: 6\n")
    record: dict[str, Any] = {"config": {"stages": [1.0]}, "data_sha256": "a", "versions": {}}
    prepare_folder(run, network, record, plan_changed="nothing to change yet")
    assert json.loads((run / "config.json").read_text()) == record
    (run / "log.jsonl").write_text('{"images": 999, "trained_s": 140, "loss": 2.5}\n')  # ahead of the last checkpoint
    reached = {"images": 640, "trained_s": 90}
    second = {**record, "config": {"stages": [0.5, 1.0]}}
    with pytest.raises(SystemExit, match=r"another 'config'.*--plan-changed"):
        prepare_folder(run, network, second, data_changed="a reason for other data is none for another plan")
    prepare_folder(run, network, second, plan_changed="larger pictures at the end", reached=reached)
    prepare_folder(run, network, second, plan_changed="the same line again", reached={"images": 700, "trained_s": 99})
    was = {"config": {"stages": [1.0]}, "until": reached, "why": "larger pictures at the end"}
    assert json.loads((run / "config.json").read_text()) == {**second, "earlier_plans": [was]}
    third = {**record, "config": {"stages": [0.9, 1.0]}, "data_sha256": "b"}
    prepare_folder(run, network, third, "labels were wrong", "and fewer large ones")
    history = json.loads((run / "config.json").read_text())
    assert [plan["config"] for plan in history["earlier_plans"]] == [record["config"], second["config"]]
    assert history["earlier_plans"][0] == was
    assert history["earlier_data"][0]["why"] == "labels were wrong"
    assert (history["config"], history["data_sha256"]) == (third["config"], "b")


@pytest.mark.parametrize("keys", [{"kentongan"}, {"names", "imgsz", "stride", "task"}])
def test_given_an_exported_card_then_the_agent_understands_either_of_its_two_descriptions(keys: set[str]) -> None:
    card = description("1.2.3", (448, 256), {"seed": 1})
    outline = Outline(
        inputs=[Tensor("images", "float32", (1, 3, 256, 448))],
        outputs=[Tensor("output0", "float32", (1, 10, 2352))],
        metadata={key: card[key] for key in keys},
    )
    said = describe(outline, name="street", sha256="0" * 64, foreign=ForeignModel())
    assert (said.input.width_px, said.input.height_px) == (448, 256)
    assert said.labels == ("person", "bicycle", "motorcycle", "car", "bus", "truck")
    assert said.family == "yolo"
    assert said.riders_joined


def verdict(median_ms: float, sha256: str = "cafe", **reached: float) -> dict[str, Any]:
    classes = {"motorcycle": 0.8, "car": 0.8, "truck": 0.6, "any four-wheeler": 0.8, "person": 0.95, **reached}
    return {
        "model": {"name": "m", "sha256": sha256},
        "classes": {name: {"ap50": value} for name, value in classes.items()},
        "latency": [{"threads": 2, "model_median_ms": median_ms}],
    }


def test_given_every_floor_reached_then_nothing_stands_in_the_way() -> None:
    assert ship.shortfalls("cafe", [verdict(4), verdict(6, "other")], [verdict(4)]) == []


def test_given_low_numbers_or_another_file_then_each_shortfall_is_named() -> None:
    street = [verdict(7, car=0.7, truck=0.1), verdict(6, "other")]
    faults = ship.shortfalls("beef", street, [verdict(4, person=0.5)])
    assert [fault.split(":")[0] for fault in faults] == [
        "street", "persons", "car", "truck", "person on vtest.avi", "latency",
    ]  # fmt: skip


def test_given_no_rival_or_no_timing_then_the_latency_is_not_taken_for_good() -> None:
    assert "nothing to compare with" in ship.shortfalls("cafe", [verdict(4)], [verdict(4)])[0]
    untimed = {**verdict(4), "latency": []}
    assert "not measured" in ship.shortfalls("cafe", [untimed, verdict(6)], [verdict(4)])[0]
    unmeasured = {**verdict(4), "classes": {}}
    assert len(ship.shortfalls("cafe", [unmeasured, verdict(6)], [verdict(4)])) == 4


def full_verdict(name: str, sha256: str) -> dict[str, Any]:
    sizes = {"medium": 0.7, "large": 0.9}
    return {
        "model": {"name": name, "version": "1.0.0", "sha256": sha256},
        "classes": {"car": {"ap50": 0.81, "ap50_95": 0.5, "objects": 9, "ap50_by_size": sizes}},
        "latency": [
            {"threads": n, "median_ms": 9.0 / n, "p95_ms": 11.0, "model_median_ms": 4.0, "peak_memory_mb": 150.2}
            for n in (1, 2)
        ],
    }


def test_given_verdicts_then_the_card_holds_their_numbers_and_keeps_its_words() -> None:
    card = f"words\n{BEGIN}\nold\n{END}\nmore"
    persons = [{"model": {"name": "street", "sha256": "a"}, "classes": {"person": {"ap50": 0.912}}}]
    text = with_numbers(card, [full_verdict("street", "a"), full_verdict("rival", "b")], persons)
    assert text.startswith("words\n")
    assert text.endswith("\nmore")
    assert "old" not in text
    assert "| street 1.0.0 |  | 0.810 |  |  |  | 0.912 |" in text
    assert "| rival 1.0.0 |  | 0.810 |  |  |  |  |" in text
    assert "| car | 9 |  | 0.700 | 0.900 | 0.500 |" in text
    assert "| street 1.0.0 | 9.0 (11.0) | 4.5 (11.0) | 4.0 | 150 |" in text
    assert with_numbers(text, [full_verdict("street", "a"), full_verdict("rival", "b")], persons) == text


def test_given_a_card_without_marks_then_it_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="the card needs one line"):
        with_numbers("words", [], [])


def test_given_a_verdict_that_was_not_timed_then_its_row_of_times_is_left_out() -> None:
    untimed = {**full_verdict("street", "a"), "latency": []}
    assert "| 150 |" not in with_numbers(f"{BEGIN}{END}", [untimed], [])
