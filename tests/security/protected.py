"""Protected things removed, defaced and added on every ordinary clip, and the untouched clips for hours.

Regions, things, paint, light and shadows follow from seeds that nothing was tuned on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene import Scene as CameraScene
from agent.values import Tracks
from agent.viewing import assets_of
from agent.vision.assets import AssetJudge, Region
from tests.security import charts, vandals
from tests.security.bench import Bench, frames
from tests.security.section import Figure, Picture, Section

HELD_OUT: Final = 50_000
"""Seeds from here on were never looked at while the method was made."""
SCENES: Final = 20
HOURS: Final = 2.0
"""Of untouched footage for each clip, with one region; times what is asked for on the command line."""
STEP_S: Final = 0.5
SETTLE_S: Final = 30.0
DEEDS: Final[dict[vandals.Deed, str]] = {"removed": "cabinet", "defaced": "wall", "added": "floor"}
"""And what the region is said to be."""


def measure(bench: Bench) -> Section:
    """What was found of each deed, what it was called, and what was said of untouched footage."""
    scenes, hours = (3, 0.05) if bench.quick else (SCENES, HOURS * bench.hours)
    told = bench.pieces("protected").each("protected", _pieces(bench, scenes, hours))
    found: dict[str, dict[str, int]] = {}
    named: dict[str, dict[str, int]] = {}
    false: dict[str, int] = {}
    for path in bench.clips:
        acts = {deed: [told[_scene(path, deed, k)] for k in range(scenes)] for deed in DEEDS}
        found[path.name] = {deed: sum(after != "" for _, after in each) for deed, each in acts.items()}
        named[path.name] = {deed: sum(after == deed for _, after in each) for deed, each in acts.items()}
        untouched = [told[_scene(path, "nothing", k)] for k in range(round(hours * 6))]
        false[path.name] = sum(before for each in acts.values() for before, _ in each) + sum(untouched)
    watched_h = len(bench.clips) * (hours + scenes * len(DEEDS) * 80 / 3600)
    worst = min(count / scenes for row in found.values() for count in row.values())
    whole = sum(sum(row.values()) for row in found.values()) / (scenes * len(DEEDS) * len(bench.clips))
    charts.bars(
        bench.out / "protected.png",
        "Protected things found to have changed",
        list(DEEDS),
        {clip: [row[deed] / scenes for deed in DEEDS] for clip, row in found.items()},
        floor=0.9,
    )
    head = ("clip", *DEEDS, *(f"called {deed}" for deed in DEEDS), "false")
    rows = (
        (
            clip,
            *(f"{row[deed]}/{scenes}" for deed in DEEDS),
            *(str(named[clip][deed]) for deed in DEEDS),
            str(false[clip]),
        )
        for clip, row in found.items()
    )
    said = sum(false.values())
    return Section(
        "Protected things",
        (
            Figure("protected things found to have changed", whole, 0.9, 0.98, "{:.1%}"),
            Figure("… worst clip and kind", worst, 0.9, 0.98, "{:.0%}"),
            Figure("false changes per camera-day", said / watched_h * 24, 1, 0, "{:.1f}", small_is_good=True),
        ),
        text=f"{scenes} scenes of each kind on each clip: a random region, a thing or paint drawn by a random number, "
        "the passers-by of the clip in front, clouds, shadows that pass and shadows that stand for one or two minutes, "
        f"a trembling pole. Found means an event within 100 s. "
        f"False: {said} in {watched_h:.1f} hours of one region each, the scenes before the deed included.",
        details=(head, *rows),
        pictures=(Picture("protected.png", "Protected things found to have changed, by kind and clip"),),
        data={"scenes": scenes, "found": found, "named": named, "false": false, "hours": watched_h},
    )


def _act(bench: Bench, path: Path, deed: vandals.Deed, seed: int) -> tuple[int, str]:
    """How many events came before the deed, and what the first after it says changed."""
    pictures, seen = _clip(bench, path)
    acted = vandals.scene(deed, (pictures[0].shape[1], pictures[0].shape[0]), seed)
    starts = watch(acted, vandals.play(acted, pictures, seen), DEEDS[deed])
    before = sum(look < acted.at for look, _ in starts)
    return before, next((change for look, change in starts if look >= acted.at), "")


def _untouched(bench: Bench, path: Path, k: int) -> int:
    """False events in ten minutes of a clip that nothing is done to, with a region of their own."""
    pictures, seen = _clip(bench, path)
    size = (pictures[0].shape[1], pictures[0].shape[0])
    acted = vandals.scene("nothing", size, HELD_OUT + 10_000 + k, looks=600)
    return len(watch(acted, vandals.play(acted, pictures, seen), list(DEEDS.values())[k % len(DEEDS)]))


def _pieces(bench: Bench, scenes: int, hours: float) -> dict[str, Callable[[], Any]]:
    """Every scene of every clip, and its untouched hours in tens of minutes."""
    work: dict[str, Callable[[], Any]] = {}
    for path in bench.clips:
        for deed in DEEDS:
            work |= {
                _scene(path, deed, k): functools.partial(_act, bench, path, deed, HELD_OUT + k) for k in range(scenes)
            }
        work |= {
            _scene(path, "nothing", k): functools.partial(_untouched, bench, path, k) for k in range(round(hours * 6))
        }
    return work


def _scene(path: Path, deed: vandals.Deed, k: int) -> str:
    return f"{path.name} {deed} {k}"


def watch(acted: vandals.Scene, looks: Any, what: str) -> list[tuple[int, str]]:
    """The looks at which events started, each with what is said to have changed once all is seen."""
    region: dict[str, Any] = {"name": "thing", "polygon": acted.polygon.tolist(), "what": what, "settle_s": SETTLE_S}
    camera = Camera.model_validate({"name": "camera", "source": "clip", "protected": [region]})
    judge = AssetJudge([Region("thing", acted.polygon, SETTLE_S)])
    scene = CameraScene(camera, device="bench", model=None)
    starts: dict[str, tuple[int, str]] = {}
    for number, (picture, boxes) in enumerate(looks):
        at = Instant(mono_s=float(number), utc_s=1.7e9 + number)
        told = assets_of(judge.look(picture, at.mono_s, boxes))
        for record in scene.update(Tracks.empty(), at, (picture.shape[1], picture.shape[0]), assets=told):
            body = record.body
            if isinstance(body, EventBody) and body.kind == "asset_changed":
                first, _ = starts.get(body.event, (number, ""))
                starts[body.event] = first, str(body.details["change"])
    return list(starts.values())


_CLIPS: Final[dict[Path, Any]] = {}


def _clip(bench: Bench, path: Path) -> Any:
    """A clip's pictures and what the detector saw in them, kept for the next scene."""
    if path not in _CLIPS:
        _CLIPS.clear()
        _CLIPS[path] = [np.asarray(picture) for _, picture in frames(path, STEP_S)], bench.seen(path, STEP_S)
    return _CLIPS[path]
