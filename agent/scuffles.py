"""The watch for aggression of one camera: opened, asked picture by picture, and rested when its model fails.

It must never end counting. A model that is refused is told once and not asked; one that fails while it runs is told
once, rested for a minute, and tried again. Why people's behaviour is not judged now is in ``trouble``, for ``health``.
"""

from __future__ import annotations

import logging
from typing import Final

from agent.config.schema import Camera
from agent.errors import ModelError
from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.scene.rule import Setting
from agent.scene.values import Likeness
from agent.values import Detections, Frame, Tracks
from agent.viewing import likeness_of
from agent.vision.aggression import AggressionModel
from agent.vision.scuffle import ClipJudge, ScuffleWatch

LOG: Final = logging.getLogger("kentongan.scuffles")
REST_S: Final = 60.0
"""So long a model that failed is left alone: what failed for want of memory may work again."""


class Scuffles:
    """Says how much people look like fighting, where that is wished.

    Args:
        camera: Its configuration.
        judge: What judges clips; the model that is configured, else the one that ships, where ``None``.

    Attributes:
        trouble: Why that is not watched for though it is wished; empty while it is.
        clip_model: Which model judges, by the sha256 of its file; empty where none does.
    """

    def __init__(self, camera: Camera, judge: ClipJudge | None = None) -> None:
        self._name, wish = camera.name, camera.aggression
        self.trouble = self.clip_model = ""
        self._watch: ScuffleWatch | None = None
        self._rests_until_s: float | None = None
        if wish is None:
            return
        try:
            if judge is None:
                judge = model = AggressionModel(wish.model or shipped(AGGRESSION_MODEL))
                self.clip_model = model.sha256
        except ModelError as error:
            self._tell(f"aggression is not watched for: {error}")
            return
        self._watch = ScuffleWatch(judge)

    def lay(self, shown: Camera) -> None:
        """Look for persons at protected things where they are seen now."""
        if self._watch is not None:
            self._watch.regions = _things(shown)

    def look(self, frame: Frame, seen: Detections, tracks: Tracks) -> Likeness | None:
        """How much people look like fighting; ``None`` where that is not judged."""
        now_s = frame.at.mono_s
        if self._watch is None or self._rests(now_s):
            return None
        try:
            found = self._watch.look(frame.image, seen, tracks, now_s)
        except Exception as error:  # noqa: BLE001 - the runtime and OpenCV raise types of their own
            self._rests_until_s = now_s + REST_S
            self._watch.forget()
            why = f"its model fails with {type(error).__name__}: {error}"
            self._tell(f"aggression is not watched for: {why}; it is tried again every minute, or name another model")
            return None
        if found and self.trouble:  # a group was judged: the model works again
            LOG.warning("camera %s: aggression is watched for again", self._name)
            self.trouble = ""
        return likeness_of(found, frame.image.shape[:2])

    def _rests(self, now_s: float) -> bool:
        until_s = self._rests_until_s
        if until_s is not None and not until_s - REST_S <= now_s < until_s:
            self._rests_until_s = None
        return self._rests_until_s is not None

    def _tell(self, why: str) -> None:
        if not self.trouble:
            LOG.error("camera %s: %s; counting goes on", self._name, why)
        self.trouble = why


def _things(camera: Camera) -> list[tuple[float, float, float, float]]:
    """Around each protected thing, left, top, right, bottom, relative to the picture; a floor is no thing to attack."""
    setting = Setting("", camera)
    corners = [setting.pixels(region.polygon, (1, 1)) for region in camera.protected if region.what != "floor"]
    return [(*map(float, each.min(axis=0)), *map(float, each.max(axis=0))) for each in corners]  # type: ignore[misc]
