"""What every measurement works with: clips, the detector, where to write; and what the detector saw, kept on disk.

A clip goes through the detector once; the next measurement, and the next run with the same model, read what was seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from agent.assembly import open_configured
from agent.config.schema import Model
from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.values import Detections, Image
from agent.vision.detector import Detector
from tests.security.pieces import Pieces, stamp_of

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
VIDEO: Final = DATA / "video"
VTEST: Final = Path.home() / ".cache" / "kentongan" / "vtest.avi"
"""`kentongan demo` fetches it."""
WITHOUT_MODEL: Final = frozenset({"tampering", "lookalikes"})
"""Sections that ask no detector."""
WITH_CLIP_MODEL: Final = frozenset({"aggression", "cost"})


@dataclass(frozen=True)
class Bench:
    """Where measurements happen.

    Attributes:
        out: The report's folder; exists.
        model: The detector's file.
        labels: Its labels, where it names none itself.
        quick: Measure a sample, to see that it works; the figures are no proof then.
        hours: Of each ordinary clip that is watched for aggression, and of untouched footage of protected things.
    """

    out: Path
    model: Path
    labels: str | None = None
    quick: bool = False
    hours: float = 1.0

    def stamp(self, section: str) -> str:
        """By what the results of a section are kept: they hold for the code it runs through and for its models."""
        models = [] if section in WITHOUT_MODEL else [self.model]
        return stamp_of(
            f"{__package__}.{section}", [*models, *([shipped(AGGRESSION_MODEL)] if section in WITH_CLIP_MODEL else [])]
        )

    def pieces(self, section: str) -> Pieces:
        """What was measured already of a section, and what is from here on."""
        return Pieces(self.out / "kept" / self.stamp(section))

    @cached_property
    def detector(self) -> Detector:
        """The detector, opened once."""
        return open_configured(Model.model_validate({"file": self.model, "labels": self.labels}), threads=1)

    @cached_property
    def clips(self) -> tuple[Path, ...]:
        """Every ordinary clip that is there."""
        return tuple(path for path in (*sorted(VIDEO.glob("*.mp4")), VTEST) if path.is_file())

    def seen(self, path: Path, every_s: float = 0.1) -> list[Detections]:
        """What the detector sees in a clip's frames at a rate: the frames of :func:`frames`, one value each."""
        what = f"{self.detector.description.sha256} {path.parent.name}/{path.name} {path.stat().st_size} {every_s}"
        kept = self.out / "seen" / f"{path.stem}-{hashlib.sha256(what.encode()).hexdigest()[:12]}.npz"
        if not kept.is_file():
            found = [self.detector.detect([picture])[0] for _, picture in frames(path, every_s)]
            kept.parent.mkdir(exist_ok=True)
            _keep(kept, found)
        return _read(kept)


def _keep(path: Path, found: list[Detections]) -> None:
    lengths = np.array([len(one) for one in found])
    whole = found or [Detections.empty()]
    columns = {name: np.concatenate([getattr(one, name) for one in whole]) for name in ("boxes", "scores", "classes")}
    np.savez_compressed(path, lengths=lengths, **columns)


def _read(path: Path) -> list[Detections]:
    with np.load(path) as kept:
        ends = np.cumsum(kept["lengths"])[:-1]
        columns = [np.split(kept[name], ends) for name in ("boxes", "scores", "classes")]
    return [Detections(*row) for row in zip(*columns, strict=True)]


def frames(path: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Pictures of a file at a rate, at most its own, with their times: the first at or after each multiple of it."""
    video = cv2.VideoCapture(str(path))
    fps = video.get(cv2.CAP_PROP_FPS) or 10.0
    number, taken = 0, 0
    while video.grab():
        if number / fps >= taken * every_s - 1e-6:
            yield number / fps, video.retrieve()[1]
            taken = max(taken + 1, int(number / fps / every_s) + 1)
        number += 1
