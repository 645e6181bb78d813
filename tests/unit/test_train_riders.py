"""Motorcycles that were labelled without their riders are grown over them, in the training labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from agent.values import Detections, RoadUser
from models.train.riders import Completed, complete, seen_in, unlabelled_machines, with_riders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEIGHT, WIDTH = 200, 400
MACHINE = (100.0, 100.0, 140.0, 160.0)
RIDER = (102.0, 60.0, 138.0, 140.0)


class SeesPersons:
    """A detector that finds the same persons, px of the whole picture, in every view that is the whole picture."""

    def __init__(self, *persons: tuple[float, ...]) -> None:
        self._persons = persons

    def detect(self, images: Sequence[Any]) -> list[Detections]:
        return [found(*self._persons) if image.shape[:2] == (HEIGHT, WIDTH) else found() for image in images]


def found(*boxes: tuple[float, ...]) -> Detections:
    classes = np.full(len(boxes), RoadUser.PERSON, np.int64)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.6, np.float32), classes)


def line(cls: int, left: float, top: float, right: float, bottom: float) -> str:
    values = ((left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT)
    return " ".join([str(cls), *(f"{v:.5f}" for v in values)])


def data_with(folder: Path, *lines: str) -> Path:
    for part in ("images/train", "labels/train", "labels/val"):
        (folder / part).mkdir(parents=True)
    assert cv2.imwrite(str(folder / "images/train/a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for split in ("train", "val"):
        (folder / "labels" / split / "a.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_given_a_machine_and_its_rider_then_its_box_covers_both() -> None:
    grown = with_riders(np.array([MACHINE], np.float32), found(RIDER))
    np.testing.assert_allclose(grown, [[100, 60, 140, 160]])


@pytest.mark.parametrize(
    "person",
    [(200.0, 60.0, 236.0, 140.0), (102.0, 60.0, 138.0, 165.0), (105.0, 102.0, 135.0, 150.0)],
    ids=["beside", "standing before it", "in the box already"],
)
def test_given_a_person_who_rides_nothing_then_the_box_stays(person: tuple[float, ...]) -> None:
    grown = with_riders(np.array([MACHINE], np.float32), found(person))
    np.testing.assert_allclose(grown, [MACHINE])


def test_given_labels_when_completed_twice_then_only_training_motorcycles_grew_and_only_once(tmp_path: Path) -> None:
    car = line(3, 10, 10, 60, 50)
    given = (line(2, *MACHINE), car, line(0, *RIDER), line(0, 300, 60, 320, 120))
    data = data_with(tmp_path, *given)
    for _ in range(2):
        assert complete(data, SeesPersons(RIDER)) == Completed(machines=1, grown=1)
        assert (data / "labels/train/a.txt").read_text().splitlines() == [
            line(2, 100, 60, 140, 160),
            car,
            line(0, 300, 60, 320, 120),
        ]
    assert (data / "labels/val/a.txt").read_text().splitlines() == list(given)
    assert (data / "labels-as-given/train/a.txt").read_text().splitlines() == list(given)


def motorcycles(*boxes: tuple[float, ...], score: float = 0.5) -> Detections:
    count = len(boxes)
    classes = np.full(count, RoadUser.MOTORCYCLE, np.int64)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(count, score, np.float32), classes)


NO_LABELS = np.zeros((0, 4), np.float32)


def test_given_a_labelled_person_on_a_machine_without_a_label_then_both_are_one_motorcycle() -> None:
    boxes, rides = unlabelled_machines(
        np.array([RIDER, (300, 60, 320, 120)], np.float32), motorcycles(MACHINE), NO_LABELS
    )
    np.testing.assert_allclose(boxes, [[100, 60, 140, 160]])
    assert rides.tolist() == [True, False]


def test_given_a_found_machine_that_covers_its_rider_then_it_is_the_motorcycle() -> None:
    whole = (100.0, 58.0, 140.0, 160.0)
    boxes, rides = unlabelled_machines(np.array([RIDER], np.float32), motorcycles(whole), NO_LABELS)
    np.testing.assert_allclose(boxes, [whole])
    assert rides.tolist() == [True]


@pytest.mark.parametrize(
    ("found_machines", "labelled"),
    [
        (motorcycles(MACHINE), np.array([MACHINE], np.float32)),
        (motorcycles(MACHINE, score=0.15), NO_LABELS),
        (motorcycles((100, 58, 140, 160), score=0.15), NO_LABELS),
        (motorcycles((80, 20, 180, 190)), np.array([MACHINE], np.float32)),
        (motorcycles((200, 100, 240, 160)), NO_LABELS),
        (motorcycles(), NO_LABELS),
    ],
    ids=["it has a label", "too unsure", "too unsure, around the rider", "around a labelled one", "elsewhere", "none"],
)
def test_given_no_new_machine_under_a_person_then_the_person_stays(found_machines: Detections, labelled: Any) -> None:
    boxes, rides = unlabelled_machines(np.array([RIDER], np.float32), found_machines, labelled)
    assert len(boxes) == 0
    assert rides.tolist() == [False]


def test_given_two_found_machines_around_one_rider_then_it_is_one_motorcycle() -> None:
    surer, other = (100.0, 58.0, 140.0, 160.0), (96.0, 50.0, 170.0, 175.0)
    both = Detections(
        np.array([other, surer], np.float32),
        np.array([0.3, 0.5], np.float32),
        np.full(2, RoadUser.MOTORCYCLE, np.int64),
    )
    boxes, rides = unlabelled_machines(np.array([RIDER], np.float32), both, NO_LABELS)
    np.testing.assert_allclose(boxes, [surer])
    assert rides.tolist() == [True]


def test_given_indoor_stills_then_no_person_becomes_a_motorcycle(tmp_path: Path) -> None:
    class SeesTheMachine(SeesPersons):
        def detect(self, images: Sequence[Any]) -> list[Detections]:
            return [motorcycles(MACHINE, score=0.9)]

    data = data_with(tmp_path, line(0, *RIDER))
    for part in ("images/train/a.png", "labels/train/a.txt"):
        (data / part).rename((data / part).with_stem("train-people-0001"))
    assert complete(data, SeesTheMachine()) == Completed()
    assert (data / "labels/train/train-people-0001.txt").read_text() == line(0, *RIDER) + "\n"


def test_given_riders_labelled_as_persons_when_completed_then_labels_name_the_motorcycle(tmp_path: Path) -> None:
    class SeesTheMachine(SeesPersons):
        def detect(self, images: Sequence[Any]) -> list[Detections]:
            return [motorcycles(MACHINE) if images[0].shape[:2] == (HEIGHT, WIDTH) else motorcycles()]

    data = data_with(tmp_path, line(0, *RIDER), line(0, 300, 60, 320, 120))
    assert complete(data, SeesTheMachine()) == Completed(added=1)
    assert (data / "labels/train/a.txt").read_text().splitlines() == [
        line(0, 300, 60, 320, 120),
        line(2, 100, 60, 140, 160),
    ]


def test_given_persons_in_tiles_then_they_are_told_in_pixels_of_the_whole_and_cut_ones_are_left_out() -> None:
    class SeesCorners:
        def detect(self, images: Sequence[Any]) -> list[Detections]:
            if images[0].shape[:2] == (HEIGHT, WIDTH):
                return [found()]
            return [found((10, 20, 20, 40), (0, 60, 12, 90))]

    boxes = seen_in(np.zeros((HEIGHT, WIDTH, 3), np.uint8), SeesCorners()).boxes.tolist()
    assert [160 + 10, 80 + 20, 160 + 20, 80 + 40] in boxes
    assert sum(box[2] - box[0] == 12 for box in boxes) == 2  # cut at the left edge of the two right tiles, so dropped


def test_given_labels_without_a_picture_then_it_says_what_to_do(tmp_path: Path) -> None:
    data = data_with(tmp_path, line(2, *MACHINE))
    (data / "images/train/a.png").unlink()
    with pytest.raises(SystemExit, match="no picture that can be read"):
        complete(data, SeesPersons())
