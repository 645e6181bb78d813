"""What several rules ask of the same sight, worked out once: who stands in which zone, and how fast everyone moves.

Where the road is calibrated, speeds are those over the ground. Elsewhere they are judged by the size of the vehicle
in the picture: good enough to tell standing from driving, never reported.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.scene import geometry
from agent.scene.geometry import Array, Mask
from agent.scene.roster import Sight
from agent.scene.rule import Setting
from agent.scene.speed import Pace, velocity_px
from agent.values import RoadUser

METRES_PER_BOX: Final = np.array([0.9, 1.2, 1.3, 2.2, 4.5, 3.8, 2.0])
"""Square root of the area that a road user of each class shows, averaged over the sides it may be seen from."""


class Places:
    """The zones of one camera, and the motion in its picture."""

    def __init__(self, setting: Setting, pace: Pace | None) -> None:
        self._setting = setting
        self._pace = pace
        self._of: Sight | None = None
        self._inside: Mask = np.zeros((0, 0), np.bool_)
        self._kmh: Array | None = None

    @property
    def pace(self) -> Pace | None:
        """Speeds over the ground, where it is known."""
        return self._pace

    def inside(self, sight: Sight) -> Mask:
        """Whose ground point lies in which zone, shape (n, m)."""
        self._turn_to(sight)
        return self._inside

    def kmh(self, sight: Sight) -> Array:
        """How fast everyone moves, shape (n,); nan where too little was seen."""
        self._turn_to(sight)
        if self._kmh is None:
            if self._pace is not None:
                self._kmh = self._pace.now(sight) * 3.6
            else:
                boxes_s = np.hypot(*velocity_px(sight).T) / sight.scale
                self._kmh = boxes_s * METRES_PER_BOX[sight.classes] * 3.6
        return self._kmh

    def polygon(self, zone: int, size: tuple[int, int]) -> Array:
        """A zone's outline in pixels."""
        return self._setting.pixels(self._setting.camera.zones[zone].polygon, size)

    def _turn_to(self, sight: Sight) -> None:
        if sight is self._of:
            return
        self._of = sight
        self._kmh = None
        if self._pace is not None:
            self._pace.see(sight)
        outlines = [self.polygon(index, sight.size) for index in range(len(self._setting.camera.zones))]
        columns = [geometry.inside(sight.feet, outline) for outline in outlines]
        self._inside = np.stack(columns, axis=1) if columns else np.zeros((len(sight), 0), np.bool_)


def vehicles(sight: Sight) -> Mask:
    """Who in a sight is no pedestrian, shape (n,)."""
    driving: Mask = sight.classes != RoadUser.PERSON
    return driving
