"""Why a line counted nothing: who was seen, who went over it and is none of its classes, who passed beyond its ends.

A line drawn beside the traffic counts nothing for ever and looks like an empty street. Follows the tracks of a clip
beside the counting, holds one place per track alive and line, and changes no count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from agent.config.schema import Camera, Line
from agent.records import Direction
from agent.scene.geometry import Array, cross
from agent.scene.rule import Setting
from agent.values import CLASS_NAMES, Tracks


class Bystanders:
    """Watches who passes a camera's lines.

    Args:
        camera: Its lines.
    """

    def __init__(self, camera: Camera) -> None:
        self._setting = Setting("", camera)
        self._lines = camera.lines
        self._sides: list[dict[int, float]] = [{} for _ in camera.lines]
        self._over: list[Counter[str]] = [Counter() for _ in camera.lines]
        self._beyond = [0] * len(camera.lines)
        self._seen = 0

    def see(self, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take in one frame's tracks, of a picture of this width and height in pixels."""
        self._seen = max([self._seen, *tracks.ids.tolist()])  # ids rise by one
        feet = tracks.ground_points().astype(np.float64)
        names = [CLASS_NAMES[category] for category in tracks.classes.tolist()]
        for number, line in enumerate(self._lines):
            across, along = _places(self._setting.pixels(line.points, size), feet)
            before, now = self._sides[number], {}
            for row, track in enumerate(tracks.ids.tolist()):
                side = float(np.sign(across[row])) if tracks.observed[row] else 0.0
                now[track] = side or before.get(track, 0.0)
                if side * before.get(track, 0.0) < 0:
                    self._pass(number, names[row], between=bool(0 <= along[row] <= 1))
            self._sides[number] = now

    def sentences(self, crossed: Mapping[tuple[str, Direction], int]) -> list[str]:
        """One sentence for each line that counted nothing in either direction, though somebody was seen.

        Args:
            crossed: What was counted, by line and direction.
        """
        if not self._seen:
            return []
        counting = {name for (name, _), count in crossed.items() if count}
        return [self._sentence(number, line) for number, line in enumerate(self._lines) if line.name not in counting]

    def _pass(self, number: int, name: str, *, between: bool) -> None:
        if between:
            self._over[number][name] += 1
        else:
            self._beyond[number] += 1

    def _sentence(self, number: int, line: Line) -> str:
        over = self._over[number]
        others = [f"{name} {count}" for name, count in over.items() if line.classes and name not in line.classes]
        unsure = sum(count for name, count in over.items() if line.classes is None or name in line.classes)
        reasons = []
        if others:
            reasons.append(f"went over it that it does not count ({', '.join(others)}; see its classes)")
        if self._beyond[number]:
            reasons.append(f"passed beyond its ends ({self._beyond[number]} times; draw it longer, or elsewhere)")
        if unsure:
            reasons.append(f"touched it and did not go on ({unsure} times; draw it where they drive through)")
        why = "; some ".join(reasons) or "came from one of its sides to the other; draw it where they pass"
        who = f"{self._seen} road user{'s were' if self._seen != 1 else ' was'} seen"
        return f"line {line.name} counted nothing, though {who}: {'some' if reasons else 'none'} {why}"


def _places(ends: Array, feet: Array) -> tuple[Array, Array]:
    """On which side of a line each foot is, by its sign, and where along it: 0 at its start, 1 at its end."""
    way, offset = ends[1] - ends[0], feet - ends[0]
    along: Array = offset @ way / max(float(way @ way), 1e-9)
    return cross(way, offset), along
