"""Where the agent's detector sees persons in the fight clips: the base of crops.

In the agent's environment:

.venv/bin/python -m models.train.aggression.boxes ../shared/data/fight boxes.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from agent.assembly import open_configured
from agent.config.schema import Model
from agent.ops.assets import default_model
from agent.vision.scuffle import persons_of


def main() -> None:
    """Write an array of boxes and their pictures' numbers for each clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--labels", default=None)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    detector = open_configured(Model.model_validate({"file": args.model, "labels": args.labels}), threads=1)
    columns = {}
    for path in sorted(args.data.glob("*/*.mp4")):
        video, rows = cv2.VideoCapture(str(path)), []
        while video.grab():
            boxes = persons_of(detector.detect([video.retrieve()[1]])[0])
            rows.append(np.column_stack([np.full(len(boxes), len(rows)), boxes]))
        columns[f"{path.parent.name}/{path.stem}"] = np.concatenate(rows).astype(np.float32)
    np.savez_compressed(args.out, **columns)


if __name__ == "__main__":
    main()
