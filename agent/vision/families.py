"""Reads the outputs of each family of detectors.

One decoder per family, all in :data:`FAMILIES`. A decoder cuts by score before it computes any box, so its cost
follows the number of objects and not the size of the output. It promises finite boxes and scores within 0..1, and
refuses outputs that can't be either. It knows nothing of frames: its boxes are in pixels of the model's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from agent.errors import ModelError
from agent.values import Detections, Floats, Ints
from agent.vision.description import FamilyName, ModelDescription

Outputs: TypeAlias = Mapping[str, Any]
"""A run's outputs by name; every array's first axis is the picture."""

_STRIDES: Final = (8, 16, 32)
_SCORE_SLACK: Final = 1.01  # float16 and quantised models overshoot 1 by rounding


class Family(Protocol):
    """One way to read outputs."""

    def decode(self, outputs: Outputs, picture: int) -> Detections:
        """What the model saw in one picture of the run.

        Args:
            outputs: The run's outputs.
            picture: Which picture.

        Returns:
            Detections with a score of at least the threshold, boxes in pixels of the model's input, any order;
            several may stand for one object.

        Raises:
            ModelError: The outputs have the wrong shape, or hold NaN, infinity, or impossible scores or labels.
        """
        ...


class _Classes:
    """Which outputs of a model are counted, and as what."""

    def __init__(self, model: ModelDescription) -> None:
        self.name = model.name
        self.count = len(model.labels)
        self.score = model.thresholds.score
        self.by_label: Ints = np.array([-1 if user is None else int(user) for user in model.classes], np.int64)
        self.counted: Ints = (self.by_label >= 0).nonzero()[0]
        self.by_counted: Ints = self.by_label[self.counted]

    def refuse(self, found: str) -> ModelError:
        return ModelError(
            f"the model {self.name} gives {found}; check its family, labels and scale, or export it again"
        )

    def check_scores(self, scores: Floats) -> None:
        """Refuse scores that are none. A NaN anywhere makes the maximum NaN, so two reductions see everything."""
        if not scores.size:
            return
        highest, lowest = float(scores.max()), float(scores.min())
        if not np.isfinite(highest) or not np.isfinite(lowest):
            raise self.refuse("scores that are no numbers (NaN or infinite)")
        if highest > _SCORE_SLACK or lowest < 1 - _SCORE_SLACK:
            raise self.refuse(f"scores from {lowest:.3g} to {highest:.3g} instead of 0 to 1")

    def check_labels(self, labels: Ints) -> None:
        if labels.size and (labels.min() < 0 or labels.max() >= self.count):
            raise self.refuse(f"the label {labels.max()}, but it names {self.count} labels")

    def detections(self, boxes: Floats, scores: Floats, classes: Ints) -> Detections:
        """Put the columns together once the boxes are known to be finite."""
        if not np.isfinite(boxes).all():
            raise self.refuse("boxes that are no numbers (NaN or infinite)")
        return Detections(
            np.ascontiguousarray(boxes, np.float32), np.minimum(scores, 1).astype(np.float32, copy=False), classes
        )


class Yolo:
    """YOLOv8, 11 and relatives: one output (batch, 4 + labels, cells); centre, size and a score per label."""

    def __init__(self, model: ModelDescription) -> None:
        self._classes = _Classes(model)
        self._all = len(self._classes.counted) == self._classes.count

    def decode(self, outputs: Outputs, picture: int) -> Detections:
        """See :meth:`Family.decode`."""
        known = self._classes
        table = _only(outputs, known)[picture]
        if table.ndim != 2 or table.shape[0] != 4 + known.count:
            raise known.refuse(
                f"an output of shape {table.shape}, where {known.count} labels need {4 + known.count} rows"
            )
        scores = table[4:] if self._all else table[4 + known.counted]
        best = scores.max(axis=0)
        known.check_scores(best)
        rows = (best >= known.score).nonzero()[0]
        classes = known.by_counted[scores[:, rows].argmax(axis=0)]
        return known.detections(_corners(table[:4, rows].T), best[rows], classes)


class YoloEnd2End:
    """YOLOv10, 26, or any with suppression built in: (batch, n, 6); corners, score, label."""

    def __init__(self, model: ModelDescription) -> None:
        self._classes = _Classes(model)

    def decode(self, outputs: Outputs, picture: int) -> Detections:
        """See :meth:`Family.decode`."""
        known = self._classes
        table = _only(outputs, known)[picture]
        if table.ndim != 2 or table.shape[1] != 6:
            raise known.refuse(f"an output of shape {table.shape} instead of rows of 6")
        known.check_scores(table[:, 4])
        table = table[table[:, 4] >= known.score]
        return _labelled(known, table[:, :4], table[:, 4], table[:, 5])


class Yolox:
    """YOLOX: (batch, cells, 5 + labels); position and size relative to each cell, objectness, a score per label.

    Boxes are decoded as in the YOLOX paper's head (arXiv:2107.08430): centre = (output + cell) * stride,
    size = exp(output) * stride.
    """

    def __init__(self, model: ModelDescription) -> None:
        self._classes = _Classes(model)
        self._cells, self._strides = _grid(model.input.width_px, model.input.height_px)

    def decode(self, outputs: Outputs, picture: int) -> Detections:
        """See :meth:`Family.decode`."""
        known = self._classes
        table = _only(outputs, known)[picture]
        if table.shape != (len(self._cells), 5 + known.count):
            wanted = (len(self._cells), 5 + known.count)
            raise known.refuse(f"an output of shape {table.shape} instead of {wanted}")
        objectness = table[:, 4].copy()  # one walk over the large table instead of three
        known.check_scores(objectness)
        rows = (objectness >= known.score).nonzero()[0]  # a product with objectness can't be higher than it
        if not len(rows):
            return Detections.empty()
        scores = table[rows[:, None], 5 + known.counted] * objectness[rows, None]
        known.check_scores(scores)
        best = scores.max(axis=1)
        kept = best >= known.score
        rows, best, scores = rows[kept], best[kept], scores[kept]
        stride = self._strides[rows]
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is refused as such
            size = np.exp(table[rows, 2:4]) * stride
        centre = (table[rows, :2] + self._cells[rows]) * stride
        boxes = _corners(np.concatenate([centre, size], axis=1))
        return known.detections(boxes, best, known.by_counted[scores.argmax(axis=1)])


class Detr:
    """DEIM, D-FINE and RT-DETR: ``labels``, ``boxes`` (corners in input pixels) and ``scores``.

    RT-DETR as ultralytics exports it has one output instead, (batch, n, 4 + labels): centre and size relative to the
    input, and a score per label.
    """

    def __init__(self, model: ModelDescription) -> None:
        self._classes = _Classes(model)
        self._size = np.array([model.input.width_px, model.input.height_px] * 2, np.float32)

    def decode(self, outputs: Outputs, picture: int) -> Detections:
        """See :meth:`Family.decode`."""
        known = self._classes
        if "labels" not in outputs:
            return self._decode_single(_only(outputs, known)[picture])
        scores, boxes, labels = (outputs[key][picture] for key in ("scores", "boxes", "labels"))
        if scores.ndim != 1 or boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
            raise known.refuse(f"labels, boxes and scores of shapes {labels.shape}, {boxes.shape}, {scores.shape}")
        known.check_scores(scores)
        rows = (scores >= known.score).nonzero()[0]
        return _labelled(known, boxes[rows], scores[rows], labels[rows])

    def _decode_single(self, table: Any) -> Detections:
        known = self._classes
        if table.ndim != 2 or table.shape[1] != 4 + known.count:
            raise known.refuse(f"an output of shape {table.shape}, where {known.count} labels need {4 + known.count}")
        scores = table[:, 4 + known.counted]
        best = scores.max(axis=1)
        known.check_scores(best)
        rows = (best >= known.score).nonzero()[0]
        classes = known.by_counted[scores[rows].argmax(axis=1)]
        return known.detections(_corners(table[rows, :4]) * self._size, best[rows], classes)


FAMILIES: Final[Mapping[FamilyName, Callable[[ModelDescription], Family]]] = {
    FamilyName.YOLO: Yolo,
    FamilyName.YOLO_END2END: YoloEnd2End,
    FamilyName.YOLOX: Yolox,
    FamilyName.DETR: Detr,
}


def _only(outputs: Outputs, known: _Classes) -> Any:
    """The one output, all pictures."""
    if len(outputs) != 1:
        raise known.refuse(f"{len(outputs)} outputs ({', '.join(outputs)}) instead of one")
    (table,) = outputs.values()
    if table.ndim != 3:
        raise known.refuse(f"an output of shape {table.shape} instead of three axes")
    return table


def _labelled(known: _Classes, boxes: Floats, scores: Floats, labels: Any) -> Detections:
    """Rows that carry a label each; those whose label is not counted are left out."""
    if not np.isfinite(labels).all():
        raise known.refuse("labels that are no numbers (NaN or infinite)")
    whole = labels.astype(np.int64)
    known.check_labels(whole)
    classes = known.by_label[whole]
    kept = classes >= 0
    return known.detections(boxes[kept], scores[kept], classes[kept])


def _corners(boxes: Any) -> Floats:
    """Centre and size to left, top, right, bottom; shape (n, 4)."""
    half = boxes[:, 2:4] / 2
    corners: Floats = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1).astype(np.float32, copy=False)
    return corners


def _grid(width_px: int, height_px: int) -> tuple[Floats, Floats]:
    """Column and row of every cell, shape (n, 2), and its stride, shape (n, 1), finest grid first, row by row."""
    cells, strides = [], []
    for stride in _STRIDES:
        y, x = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
