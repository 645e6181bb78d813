"""Makes golden frames at the maintainer's desk: pictures, and what the model sees in them where it is known to work.

On the box the same bytes must see the same, within tolerance. The pictures travel to every box, so they must show
nobody who did not agree to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from agent.errors import ModelError
from agent.release.faults import ReleaseError
from agent.update.golden import FRAME_LIMIT, GoldenFrame, strong, write_golden
from agent.update.trial import SURE_SCORE
from agent.values import Image
from agent.vision.detector import open_detector


def make_golden(model: Path, pictures: Sequence[Image]) -> bytes:
    """Golden frames of a model.

    Args:
        model: The ONNX file.
        pictures: uint8, shape (height, width, 3), BGR; with traffic in them.

    Raises:
        ReleaseError: The model fails, or sees nothing in any of them.
    """
    if not 1 <= len(pictures) <= FRAME_LIMIT:
        raise ReleaseError(f"{len(pictures)} pictures were given; give 1 to {FRAME_LIMIT}")
    try:
        found = open_detector(model).detect(pictures)
    except ModelError as error:
        raise ReleaseError(str(error)) from error
    frames = [GoldenFrame(picture, strong(seen, SURE_SCORE)) for picture, seen in zip(pictures, found, strict=True)]
    if not any(len(frame.expected) for frame in frames):
        raise ReleaseError(f"{model} sees nothing in these pictures; take pictures with traffic, or another model")
    return write_golden(frames)


def read_pictures(paths: Sequence[Path]) -> list[Image]:
    """Pictures from files.

    Raises:
        ReleaseError: One is no picture.
    """
    pictures = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ReleaseError(f"{path} is no picture that can be read; use PNG or JPEG")
        pictures.append(picture.astype("uint8"))
    return pictures
