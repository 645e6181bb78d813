"""Pictures of a clip's counts: when each crossing was counted against when it was true, and what went wrong.

Draws what :mod:`tests.accuracy.clips` found and computes nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import matplotlib as mpl
import numpy as np

from agent.config.schema import Camera
from agent.ops.draw import draw_geometry, draw_panel, draw_tracks
from agent.values import Image
from tests.accuracy.clips import Clip, Counted, Verdict

mpl.use("Agg")
from matplotlib import pyplot as plt

AROUND_S: Final = (-0.6, 0.0, 0.6)
"""Each thing that went wrong is shown this long before, at, and after its frame."""


def draw(folder: Path, clip: Clip, path: Path, found: Counted, verdicts: Sequence[Verdict]) -> list[Path]:
    """Draw one clip's times, and a strip of frames of each crossing that was missed or made up.

    Returns:
        The pictures written.
    """
    written = [_times(folder / f"{clip.name}.png", clip, found, verdicts)]
    camera = Camera.model_validate({"name": "clip", "source": str(path), "lines": clip.lines})
    wrong = list(_wrong(verdicts, found.fps))
    frames = _frames(path, {number for _, _, numbers in wrong for number in numbers}, camera, found)
    for name, text, numbers in wrong:
        strip = [_labelled(frames[number], f"{number}: {text}") for number in numbers if number in frames]
        if strip:
            written.append(folder / f"{clip.name}-{name}.png")
            cv2.imwrite(str(written[-1]), np.hstack(strip))
    return written


def _times(path: Path, clip: Clip, found: Counted, verdicts: Sequence[Verdict]) -> Path:
    figure, axis = plt.subplots(figsize=(12, 1.2 + 0.8 * len(verdicts)), layout="constrained")
    for row, one in enumerate(verdicts):
        true = [each.frame / found.fps for each in clip.crossings if each.place == one.place]
        counted = [frame / found.fps for place, frame in found.moments if place == one.place]
        axis.plot(true, [row + 0.14] * len(true), "|", ms=14, color="black", label="true" if not row else None)
        axis.plot(counted, [row - 0.14] * len(counted), "|", ms=14, color="tab:green", label=None if row else "counted")
        missed, extra = [each.frame / found.fps for each in one.missed], [frame / found.fps for frame in one.extra]
        axis.plot(missed, [row + 0.14] * len(missed), "o", ms=12, mfc="none", color="tab:red")
        axis.plot(extra, [row - 0.14] * len(extra), "o", ms=12, mfc="none", color="tab:red")
    rows = [f"{one.place[0]} {one.place[1]}\n{one.counted} of {one.least}" for one in verdicts]
    axis.set_yticks(range(len(verdicts)), rows)
    axis.set(xlabel="seconds of the clip", title=f"{clip.name}: crossings; in a circle, what was missed or made up")
    axis.set_ylim(-0.6, len(verdicts) - 0.4)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _wrong(verdicts: Sequence[Verdict], fps: float) -> Iterator[tuple[str, str, list[int]]]:
    """A name, a text, and the frames of everything that went wrong."""
    for one in verdicts:
        what = [("missed", true.frame, true.note) for true in one.missed]
        for kind, frame, note in [*what, *(("extra", frame, "") for frame in one.extra)]:
            name = f"{one.place[0]}-{one.place[1]}-{kind}-{frame}"
            yield name, f"{kind} {note}".strip(), [max(0, round(frame + after_s * fps)) for after_s in AROUND_S]


def _frames(path: Path, wanted: set[int], camera: Camera, found: Counted) -> dict[int, Image]:
    """Some frames of a clip with lines and tracks drawn; those that were not looked at without tracks."""
    frames: dict[int, Image] = {}
    video = cv2.VideoCapture(str(path))
    for number in range(max(wanted, default=-1) + 1):
        ok, image = video.read()
        if not ok:
            break
        if number in wanted:
            draw_geometry(image, camera)
            if number in found.tracks:
                draw_tracks(image, found.tracks[number])
            frames[number] = image
    video.release()
    return frames


def _labelled(image: Image, text: str) -> Image:
    shown = image.copy()
    draw_panel(shown, [text])
    return shown
