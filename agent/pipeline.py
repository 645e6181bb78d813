"""One camera's way from detections to records: its tracker, then its scene.

Pure but for the time it measures: the same frames and detections give the same records, live or from a file. It
never reads a camera, runs a model, or touches a disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.records import Direction, ModelRef, Record
from agent.scene import Link, Scene
from agent.scene.values import Evidence, Likeness, View
from agent.stages import StageTimes
from agent.values import Detections, Frame, Tracks
from agent.viewing import likeness_of, view_of
from agent.vision.aggression import AggressionModel
from agent.vision.look import take_look
from agent.vision.scuffle import ScuffleWatch
from agent.vision.tampering import TamperJudge
from agent.vision.tracker import Tracker


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one frame came to: the tracks alive after it and the records it completed."""

    tracks: Tracks
    records: list[Record]


class CameraPipeline:
    """The tracker and the scene of one camera.

    Args:
        camera: Its configuration.
        device: The box's name, for event ids.
        model: The model whose detections it is given; it goes into the records.
        state: What :meth:`snapshot` said before a restart; ``None`` for a fresh start.
        times: Charged with what tracking and the scene take.
        machine: An id of this start of the machine, for times on a clock that isn't set.
        evidence: Clips are kept of this camera, and :meth:`attest` will be told of them.

    Raises:
        ModelError: Aggression is watched for, and its model is missing or refused.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        device: str,
        model: ModelRef,
        state: str | None = None,
        times: StageTimes | None = None,
        machine: str = "",
        evidence: bool = False,
    ) -> None:
        self.camera = camera
        self._tracker = Tracker()
        self._judge = TamperJudge() if camera.tamper.enabled else None
        self._scuffles = None
        if camera.aggression is not None:
            self._scuffles = ScuffleWatch(AggressionModel(shipped(AGGRESSION_MODEL)))
        self._scene = Scene(camera, device=device, model=model, state=state, machine=machine, evidence=evidence)
        self._times = times or StageTimes()

    def see(self, frame: Frame, detections: Detections) -> Seen:
        """Take one frame's detections further."""
        height, width = frame.image.shape[:2]
        with self._times.measure("track"):
            self._tracker.fit((width, height))
            tracks = self._tracker.update(detections, frame.at.mono_s)
        with self._times.measure("scene"):
            view = self._view(frame, tracks)
            fight = self._fight(frame, tracks)
            records = self._scene.update(tracks, frame.at, (width, height), view, fight)
        return Seen(tracks, records)

    def _view(self, frame: Frame, tracks: Tracks) -> View | None:
        """Whether the picture can be trusted; ``None`` between the looks that tell."""
        if self._judge is None or not self._judge.due(frame.at.mono_s):
            return None
        height, width = frame.image.shape[:2]
        unit = np.array([width, height, width, height], np.float32)
        return view_of(self._judge.judge(take_look(frame.image), frame.at.mono_s, tracks.boxes / unit))

    def _fight(self, frame: Frame, tracks: Tracks) -> Likeness | None:
        """How much people look like fighting; ``None`` where that is not watched for."""
        if self._scuffles is None:
            return None
        return likeness_of(self._scuffles.look(frame.image, tracks, frame.at.mono_s), frame.image.shape[:2])

    def tick(self, at: Instant, link: Link) -> list[Record]:
        """Let time pass: intervals end and lost cameras are told even when no frame comes."""
        with self._times.measure("scene"):
            return self._scene.tick(at, link)

    def attest(self, at: Instant, finished: Sequence[Evidence]) -> list[Record]:
        """Take in that clips are finished: their events are told once more, and name them."""
        return self._scene.attest(at, finished)

    def crossed(self) -> dict[tuple[str, Direction], int]:
        """Cumulative counts by line and direction, for showing."""
        return self._scene.crossed()

    def stop(self, at: Instant) -> list[Record]:
        """End what is open; what can go on after a restart is in :meth:`snapshot`."""
        return self._scene.stop(at)

    def snapshot(self) -> str:
        """JSON text from which a new pipeline goes on."""
        return self._scene.snapshot()
