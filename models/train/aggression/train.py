"""Train and measure the aggression model: movement in 16 frames in, likeness to a fight out.

From the project's root, after ``boxes``: ``python -m models.train.aggression.train --boxes boxes.npz``. About five
minutes of one core for each draw of the folds. Clips of one scene never lie in two folds. What ships is the mean of the
five networks of the first draw, each of which never saw the scenes of its own fold: so the file itself can be measured
on clips that the network asked never saw. Keeps nothing of the pictures but weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from models.train.aggression.clips import FOLDS, VIEWS, draw_folds, group, read_clips
from models.train.aggression.network import fit, logit
from models.train.aggression.write import write


def main() -> None:
    """The whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fight"))
    parser.add_argument("--boxes", type=Path, required=True, help="what boxes.py wrote")
    parser.add_argument("--out", type=Path, default=Path("models/aggression.onnx"))
    parser.add_argument("--draws", type=int, default=1, help="how often the five folds are drawn")
    parser.add_argument("--epochs", type=int, default=35)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clips = read_clips(args.data, args.boxes)
    scenes = group(clips)
    truth = np.array([clip.fight for clip in clips])
    print(f"{len(clips)} clips, {len(set(scenes.tolist()))} scenes", flush=True)
    accuracy: dict[str, list[float]] = {view: [] for view in VIEWS}
    shipped, held_out = [], {}
    for draw in range(args.draws):
        fold = draw_folds(scenes, truth, draw)
        networks = []
        logits = {view: np.zeros(len(clips)) for view in VIEWS}
        for k in range(FOLDS):
            networks.append(fit([clip for clip, at in zip(clips, fold, strict=True) if at != k], args.epochs, k))
            for index in np.flatnonzero(fold == k):
                for view in VIEWS:
                    logits[view][index] = logit(networks[-1], clips[index], view)
            print(f"draw {draw}, fold {k}", flush=True)
        for view in VIEWS:
            accuracy[view].append(round(float(((logits[view] > 0) == truth).mean()), 4))
        print(json.dumps(accuracy), flush=True)
        if draw == 0:
            shipped = networks
            held_out = {clip.name: int(at) for clip, at in zip(clips, fold, strict=True)}
        write(args.out, shipped, {"accuracy": accuracy, "held_out": held_out})
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
