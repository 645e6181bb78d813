"""Train and measure the aggression model: a clip of 16 pictures in, likeness to a fight out.

From the project's root, after ``boxes``: ``python -m models.train.aggression.train --boxes boxes.npz``. About eight
minutes of one core for a draw of the folds. Clips of one scene never lie in two folds. For each fold a network of how
people move is trained and a plane through what the detector's layers see is fitted; their log odds are added. What
ships is the mean of the five folds of the first draw, each of which never saw the scenes of its own fold: so the file
itself can be measured on clips that the fold asked never saw. Keeps nothing of the pictures but weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from models.train.aggression.clips import FOLDS, VIEWS, Clip, draw_folds, group, read_clips
from models.train.aggression.look import Looker
from models.train.aggression.network import Network, fit, logits
from models.train.aggression.plane import fit_plane
from models.train.aggression.write import GATE, Plane, write


def main() -> None:
    """The whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fight"))
    parser.add_argument("--boxes", type=Path, required=True, help="what boxes.py wrote")
    parser.add_argument("--detector", type=Path, default=Path("models/street.onnx"), help="whose layers look")
    parser.add_argument("--out", type=Path, default=Path("models/aggression.onnx"))
    parser.add_argument("--draws", type=int, default=1, help="how often the five folds are drawn")
    parser.add_argument("--epochs", type=int, default=35)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clips = read_clips(args.data, args.boxes, Looker(args.detector))
    scenes = group(clips)
    truth = np.array([clip.fight for clip in clips])
    print(f"{len(clips)} clips, {len(set(scenes.tolist()))} scenes", flush=True)
    accuracy: dict[str, list[float]] = {view: [] for view in VIEWS}
    shipped: tuple[list[Network], list[Plane]] = [], []
    held_out = {}
    for draw in range(args.draws):
        fold = draw_folds(scenes, truth, draw)
        networks, planes = [], []
        odds = {view: np.zeros(len(clips)) for view in VIEWS}
        for k in range(FOLDS):
            others = [clip for clip, at in zip(clips, fold, strict=True) if at != k]
            networks.append(fit(others, args.epochs, k))
            planes.append(_plane(others))
            for index in np.flatnonzero(fold == k):
                for view in VIEWS:
                    odds[view][index] = _odds(networks[-1], planes[-1], clips[index], view)
            print(f"draw {draw}, fold {k}", flush=True)
        for view in VIEWS:
            accuracy[view].append(round(float(((odds[view] > 0) == truth).mean()), 4))
        print(json.dumps(accuracy), flush=True)
        if draw == 0:
            shipped = networks, planes
            held_out = {clip.name: int(at) for clip, at in zip(clips, fold, strict=True)}
        write(args.out, *shipped, args.detector, {"accuracy": accuracy, "held_out": held_out})
    print(f"{args.out}: {args.out.stat().st_size} bytes")


def _plane(clips: Sequence[Clip]) -> Plane:
    rows = [(seen, clip.fight) for clip in clips for seen in (*clip.seen["whole"], *clip.seen["crop"], *clip.spoilt)]
    return fit_plane(np.stack([seen for seen, _ in rows]), np.array([fight for _, fight in rows]))


def _odds(network: Network, plane: Plane, clip: Clip, view: str) -> float:
    """Log odds of a clip in a view, the mean over its windows, as the file tells them."""
    moved = logits(network, clip, view)
    looked = np.stack(clip.seen[view] or clip.seen["whole"]) @ plane[0] + plane[1]
    return float(np.where(moved > GATE, moved + looked, moved).mean())


if __name__ == "__main__":
    main()
