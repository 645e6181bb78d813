"""What a swap costs the camera: frames lost, and the longest pause, around a swap and where there is none.

Both are measured in turns in one run of the real box with the model that ships, on a file that plays at real speed, so
that other work on the machine weighs on both alike. Run it as ``python -m tests.bench.bench_swap CLIP``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from agent.app import App
from agent.config.load import load_config
from agent.config.schema import Secrets
from agent.ops.assets import demo_clip
from agent.pipeline import Seen
from agent.values import Frame
from agent.vision.model_file import ModelFile, read_model
from agent.watching import Lane
from tests.fakes import street_models as models
from tests.fakes.ports import free_port
from tests.fakes.tuf_repository import Maintainer

AROUND_S, REST_S, WARM_S = 0.5, 1.0, 6.0


@dataclass(frozen=True)
class Look:
    """One frame that was looked at: when, its number in the file, and the tracks that were alive."""

    at_s: float
    number: int
    tracks: frozenset[int]


@dataclass(frozen=True)
class Window:
    """What was seen around one moment."""

    took_s: float
    pause_s: float
    lost: int
    kept: int


class Watched:
    """A box whose every look is noted."""

    def __init__(self, folder: Path, clip: str) -> None:
        self.looks: list[Look] = []
        (folder / "root.json").write_bytes(Maintainer(folder / "maintainer").root)
        self.models: list[ModelFile] = []
        for version in ("1.1.0", "1.2.0"):
            file = folder / f"{version}.onnx"
            file.write_bytes(models.good(version))
            self.models.append(read_model(file))
        config = folder / "box.yaml"
        config.write_text(
            f"device: bench\nstate_dir: state\nmqtt: {{host: 127.0.0.1, port: {free_port()}, plaintext: true}}\n"
            "models: {street: {file: 1.1.0.onnx, threads: 1, providers: [cpu]}}\n"
            f"cameras: [{{name: gate, source: '{clip}', detect_fps: 10, lines: [{{name: a, points: [[0.5, 0.9], "
            "[0.5, 0.1]]}]}]\n"
            f"update: {{url: 'http://127.0.0.1:{free_port()}', root_file: root.json}}\n"
        )
        self.app = App(load_config(config), Secrets(), loop_files=True, on_lane=self._look_on, file=config)

    def _look_on(self, lane: Lane) -> None:
        def note(frame: Frame, seen: Seen) -> None:
            self.looks.append(Look(time.monotonic(), frame.number, frozenset(seen.tracks.ids.tolist())))

        lane.on_seen = note

    def around(self, do: Callable[[], object]) -> Window:
        """Do something, and say what became of the frames around it."""
        began_s = time.monotonic()
        do()
        ended_s = time.monotonic()
        time.sleep(REST_S)
        near = [look for look in self.looks if began_s - AROUND_S <= look.at_s <= ended_s + AROUND_S]
        pairs = list(itertools.pairwise(near))
        lost = sum(max(0, late.number - early.number - 1) for early, late in pairs)
        pause_s = max(late.at_s - early.at_s for early, late in pairs)
        return Window(ended_s - began_s, pause_s, lost, len(near[0].tracks & near[-1].tracks))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", help="a video of ten pictures a second or fewer; default: the demo's")
    parser.add_argument("--swaps", type=int, default=20)
    args = parser.parse_args()
    clip = args.clip or demo_clip(print).source
    with tempfile.TemporaryDirectory() as name:
        box = Watched(Path(name), str(Path(clip).absolute()))
        assert box.app.updating is not None
        box.app.start()
        time.sleep(WARM_S)
        swaps, rests = [], []
        for turn in range(args.swaps):
            swaps.append(box.around(partial(box.app.updating.swap, "street", box.models[(turn + 1) % 2])))
            rests.append(box.around(lambda: time.sleep(swaps[-1].took_s)))
        box.app.stop()
    for title, windows in (("around a swap", swaps), ("where there is none", rests)):
        lost = [window.lost for window in windows]
        pauses_s = [window.pause_s for window in windows]
        kept = min(window.kept for window in windows)
        print(f"{title:20}: {sum(lost)} frames lost in {sum(map(bool, lost))} of {len(lost)} windows; longest pause")
        print(f"{'':20}  median {median(pauses_s):.2f} s, most {max(pauses_s):.2f} s; tracks kept at least {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
