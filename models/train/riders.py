"""Completes motorcycles that are labelled without their riders, and riders that are labelled without their motorcycle.

    python -m models.train.riders DATA DETECTOR.onnx

On most cameras of the data a motorcycle's box covers its riders, on some it ends at the saddle; a network that learns
both cuts off heads everywhere. And where nobody labelled a far motorcycle its rider is labelled as a person; a network
that learns that knows no pedestrians. DETECTOR is any model that knows persons and motorcycles by COCO's labels.
Rewrites `labels/train` and keeps what was there in `labels-as-given/train`, from which it always starts: a second run
gives the same. Grows motorcycles, drops labelled persons who turn out to ride one, makes a person who rides a
motorcycle without a label that motorcycle, and never touches the validation split.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.progress import track

from agent.values import Detections, RoadUser
from agent.vision.describe import ForeignModel
from agent.vision.detector import load_detector
from agent.vision.model_file import read_model
from agent.vision.riders import join_riders
from agent.vision.suppression import pairwise_iou, suppress
from models.train.dataset import IMAGE_SUFFIXES, MOTORCYCLE, PERSON, parse_labels, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Boxes = NDArray[np.float32]

    class Eye(Protocol):
        """What finds persons: a :class:`~agent.vision.detector.Detector`."""

        def detect(self, images: Sequence[Picture]) -> list[Detections]:
            """Detections of each picture, in its pixels."""
            ...


MACHINE_SCORE = 0.5  # what a labelled machine counts for against a found person, who then needs 0.3 to be its rider
PERSON_SCORE = 0.9  # what a labelled person counts for
UNSURE_SCORE = 0.5  # … where it may be a rider of a machine without a label …
SURE_MACHINE = 0.2  # … which must have been found with so much
KNOWN_IOU = 0.3  # a found machine that covers a labelled one so far is that one
RIDES = 0.6  # a labelled person of whom so much lies in a box that grew is its rider
INSIDE = 0.75  # a person of whom so much lies in a labelled machine is in its box already
TILE = 0.6  # a tile's side, of the picture's: far riders are a dozen pixels high
SAME_PERSON_IOU = 0.5
SAME_MACHINE_IOU = 0.45
LEAST_GROWTH = 0.002  # of the picture; less is a rounded label
CUT_PX = 2.0  # a person who touches a tile's inner edge so closely is cut; the next tile shows the whole


@dataclass(slots=True)
class Completed:
    """How many motorcycles are labelled, how many grew, and how many persons became one."""

    machines: int = 0
    grown: int = 0
    added: int = 0


def complete(data: Path, detector: Eye) -> Completed:
    """Grow the motorcycles of the training split over their riders, and give machines to riders that have none."""
    given, labels = data / "labels-as-given" / "train", data / "labels" / "train"
    if not given.exists():
        shutil.copytree(labels, given)
    done = Completed()
    for path in track(sorted(given.glob("*.txt")), "riders"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        boxes, faults = parse_labels("\n".join(lines))
        if faults:
            raise SystemExit(f"{path}:{faults[0]}")
        if np.isin(boxes[:, 0], (MOTORCYCLE, PERSON)).any():
            picture = _picture(data / "images" / "train", path.stem)
            streets = source_of(path.stem) != "people"  # indoors a detector takes many things for motorcycles
            lines = _completed(lines, boxes, seen_in(picture, detector), picture.shape[1::-1], done, streets=streets)
        (labels / path.name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return done


def _completed(
    lines: list[str], boxes: Boxes, seen: Detections, size: tuple[int, int], done: Completed, *, streets: bool
) -> list[str]:
    """The lines of one picture, whose boxes are relative; what is seen in it is in pixels."""
    unit = np.array(size * 2, np.float32)
    lines, own, is_person = list(lines), np.flatnonzero(boxes[:, 0] == MOTORCYCLE), boxes[:, 0] == PERSON
    machines, labelled = boxes[own, 1:], boxes[is_person, 1:]
    found = seen.select(seen.classes == RoadUser.PERSON)
    whole = with_riders(machines * unit, suppress(_persons(found, labelled * unit), SAME_PERSON_IOU)) / unit
    grew = np.abs(whole - machines).max(axis=1, initial=0) > LEAST_GROWTH
    done.machines, done.grown = done.machines + len(whole), done.grown + int(grew.sum())
    for row, box in zip(own[grew], whole[grew], strict=True):
        lines[row] = _line(np.clip(box, 0, 1))
    riding = (shares_inside(boxes[:, 1:], whole[grew]).max(axis=1, initial=0) >= RIDES) & is_person
    others = seen.select((seen.classes == RoadUser.MOTORCYCLE) & streets)
    walking = np.flatnonzero(is_person & ~riding)
    vehicles = np.concatenate([whole, boxes[(boxes[:, 0] != MOTORCYCLE) & ~is_person, 1:]])
    unknown, rides = unlabelled_machines(boxes[walking, 1:] * unit, others, vehicles * unit)
    done.added += len(unknown)
    riding[walking[rides]] = True
    kept = [line for line, gone in zip(lines, riding, strict=True) if not gone]
    return kept + [_line(np.clip(box / unit, 0, 1)) for box in unknown]


def unlabelled_machines(persons: Boxes, found: Detections, labelled: Boxes) -> tuple[Boxes, NDArray[np.bool_]]:
    """Motorcycles without a label, each with the labelled persons who ride it; boxes in pixels.

    Args:
        persons: (n, 4) float32, labelled persons.
        found: Motorcycles a detector found, some twice.
        labelled: (m, 4) float32, vehicles that have a label.

    Returns:
        Boxes (k, 4) float32 of motorcycles with their riders, and which of the persons ride them, bool (n,).
    """
    new = suppress(found.select(found.scores >= SURE_MACHINE), SAME_MACHINE_IOU)
    known = pairwise_iou(new.boxes, labelled).max(axis=1, initial=0) >= KNOWN_IOU
    new = new.select(~known & (shares_inside(labelled, new.boxes).max(axis=0, initial=0) < INSIDE))
    inside = shares_inside(persons, new.boxes) >= INSIDE
    inside &= np.cumsum(inside, axis=1) == 1  # one machine each: the surest, as suppression sorts them
    outside = persons[~inside.any(axis=1)]
    everybody = Detections(
        np.concatenate([new.boxes, outside]).astype(np.float32),
        np.concatenate([new.scores, np.full(len(outside), UNSURE_SCORE)]).astype(np.float32),
        np.concatenate([new.classes, np.full(len(outside), RoadUser.PERSON)]).astype(np.int64),
    )
    joined = join_riders(everybody)
    walks = joined.boxes[joined.classes == RoadUser.PERSON]
    rides = np.array([not (walks == person).all(axis=1).any() for person in persons], bool)
    whole = joined.select(np.arange(len(joined)) < len(new))
    grew = np.abs(whole.boxes - new.boxes).max(axis=1, initial=0) > 0
    ridden = suppress(whole.select(grew | inside.any(axis=0)), SAME_MACHINE_IOU)
    return np.asarray(ridden.boxes, np.float32), rides


def with_riders(machines: Boxes, persons: Detections) -> Boxes:
    """Machines, (n, 4) float32 in pixels, grown over those persons who ride them; in the order given."""
    persons = persons.select(shares_inside(persons.boxes, machines).max(axis=1, initial=0.0) < INSIDE)
    count = len(machines)
    both = Detections(
        np.concatenate([machines, persons.boxes]).astype(np.float32),
        np.concatenate([np.full(count, MACHINE_SCORE), persons.scores]).astype(np.float32),
        np.concatenate([np.full(count, RoadUser.MOTORCYCLE), persons.classes]).astype(np.int64),
    )
    return np.asarray(join_riders(both).boxes[:count], np.float32)


def shares_inside(boxes: Boxes, others: Boxes) -> Boxes:
    """Which share of each box lies in each other: (n, 4) and (m, 4) give (n, m) float32."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    return np.asarray(shared / np.maximum(area, 1e-9)[:, None], np.float32)


def seen_in(picture: Picture, detector: Eye) -> Detections:
    """What is seen in the whole picture and in four overlapping tiles of it, some twice; boxes in its pixels."""
    height, width = picture.shape[:2]
    tile_w, tile_h = int(width * TILE), int(height * TILE)
    corners = [(x, y) for y in (0, height - tile_h) for x in (0, width - tile_w)]
    views = [picture] + [np.ascontiguousarray(picture[y : y + tile_h, x : x + tile_w]) for x, y in corners]
    found = [detector.detect([view])[0] for view in views]
    parts = [found[0]]
    for (x, y), part in zip(corners, found[1:], strict=True):
        boxes = part.boxes
        cut = (boxes[:, 0] < CUT_PX) & (x > 0) | (boxes[:, 2] > tile_w - CUT_PX) & (x + tile_w < width)
        cut |= (boxes[:, 1] < CUT_PX) & (y > 0) | (boxes[:, 3] > tile_h - CUT_PX) & (y + tile_h < height)
        moved = replace(part, boxes=boxes + np.array([x, y, x, y], np.float32))
        parts.append(moved.select(~cut))
    return Detections(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("boxes", "scores", "classes")))


def _picture(folder: Path, stem: str) -> Picture:
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{stem}{suffix}").exists():
            picture = cv2.imread(str(folder / f"{stem}{suffix}"), cv2.IMREAD_COLOR)
            if picture is not None:
                return np.asarray(picture, np.uint8)
    raise SystemExit(f"{folder / stem}: no picture that can be read for its labels; unpack the data again")


def _persons(found: Detections, labelled: Boxes) -> Detections:
    """Found and labelled persons together, boxes in pixels."""
    count = len(labelled)
    return Detections(
        np.concatenate([labelled, found.boxes]).astype(np.float32),
        np.concatenate([np.full(count, PERSON_SCORE), found.scores]).astype(np.float32),
        np.concatenate([np.full(count, RoadUser.PERSON), found.classes]).astype(np.int64),
    )


def _line(box: Boxes) -> str:
    left, top, right, bottom = (float(side) for side in box)
    centre_and_size = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return " ".join([str(MOTORCYCLE), *(f"{value:.5f}" for value in centre_and_size)])


def main() -> None:
    """Read the command line and rewrite the labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder unpack_street.py wrote")
    parser.add_argument("detector", type=Path, help="an ONNX model that knows persons, with COCO's labels")
    args = parser.parse_args()
    model = read_model(args.detector, ForeignModel(labels="coco"))
    apart = replace(model, description=replace(model.description, riders_joined=True))  # leaves riders alone
    done = complete(args.data, load_detector(apart))
    print(
        f"{done.grown} of {done.machines} motorcycles grew over their riders; {done.added} riders that were labelled as"
    )
    print(f"persons are motorcycles now; labels as given: {args.data}/labels-as-given")


if __name__ == "__main__":
    main()
