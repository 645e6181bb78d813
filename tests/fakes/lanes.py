"""Cameras, a model and a sink for the watching loop, all on a clock that tests wind.

The camera films at its rate and keeps only its newest picture; the model takes as long as it is told and sees what it
is told; the sink remembers. The detector, the pipeline and the loop around them are the real ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import ModelRef, Record
from agent.stages import StageTimes
from agent.values import Frame, RoadUser
from agent.video.source import CameraState, Phase
from agent.vision.description import FamilyName, ModelDescription, ModelInput
from agent.vision.detector import Detector
from agent.watching import Lane, WatchLoop
from tests.fakes.clock import ManualClock

SIZE = (96, 160, 3)
# Something to recognise the view by: a coarse pattern of greys, 20 to 99.
_STREET = np.random.default_rng(7).integers(20, 100, (12, 20, 1), np.uint8).repeat(8, 0).repeat(8, 1).repeat(3, 2)
MODEL = ModelRef(name="fake", version="1", sha256="0" * 64)


class FilmingCamera:
    """A source that has a new picture every 1/fps seconds, brighter ones on request."""

    def __init__(self, name: str, clock: ManualClock, fps: float = 20.0) -> None:
        self.name, self.fps = name, fps
        self.phase = Phase.LIVE
        self.reason = ""
        self.brightness = 0
        self.read_numbers: list[int] = []
        self.closed = False
        self.fault: Exception | None = None
        self.state_fault: Exception | None = None
        self._clock = clock
        self._began_s = clock.now().mono_s

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        now = self._clock.now()
        number = int((now.mono_s - self._began_s) * self.fps)
        if self.phase is not Phase.LIVE or (self.read_numbers and number <= self.read_numbers[-1]):
            return None
        self.read_numbers.append(number)
        return Frame(self.name, number, _STREET + np.uint8(self.brightness + number % 10), now)

    def state(self) -> CameraState:
        if self.state_fault is not None:
            raise self.state_fault
        return CameraState(phase=self.phase, since=self._clock.now(), reason=self.reason, source_fps=self.fps)

    def close(self) -> None:
        self.closed = True


class ToldEngine:
    """An engine that takes so long, remembers its batches, and gives NaN for pictures of the shades it is told.

    With a fault it raises that on every batch of ``fault_from`` pictures or more.
    """

    provider = "cpu"
    fallback: tuple[str, ...] = ()

    def __init__(self, clock: ManualClock, run_s: float = 0.0) -> None:
        self._clock, self.run_s = clock, run_s
        self.batches: list[int] = []
        self.blind_from = 2.0
        self.fault: Exception | None = None
        self.fault_from = 1
        self.box = (80.0, 48.0, 20.0, 20.0)

    def run(self, tensor: Any) -> dict[str, Any]:
        self._clock.advance(self.run_s)
        self.batches.append(len(tensor))
        if self.fault is not None and len(tensor) >= self.fault_from:
            raise self.fault
        output = np.zeros((len(tensor), 5, 8), np.float32)
        output[:, :4, 0] = self.box
        output[:, 4, 0] = 0.9
        output[tensor.mean(axis=(1, 2, 3)) >= self.blind_from, 4] = np.nan
        return {"output0": output}


def told_detector(engine: ToldEngine, batch: int | None = 1) -> Detector:
    """The real detector around an engine that is told what to see."""
    taken = ModelInput(width_px=160, height_px=96, batch=batch)
    labels, classes = ("car",), (RoadUser.CAR,)
    return Detector(ModelDescription("fake", "1", FamilyName.YOLO, taken, labels, classes, "0" * 64), engine)


def lane_of(
    source: Any,
    detector: Detector,
    *,
    name: str | None = None,
    detect_fps: float = 10.0,
    times: StageTimes | None = None,
) -> Lane:
    """One camera with a line through its middle; its name is the source's own unless another is given."""
    line = {"name": "middle", "points": [[0.5, 0.98], [0.5, 0.02]], "interval_s": 10}
    camera = Camera.model_validate(
        {"name": name or source.name, "source": "rtsp://camera.invalid/", "detect_fps": detect_fps, "lines": [line]}
    )
    return Lane(source, detector, CameraPipeline(camera, device="pole-17", model=MODEL, times=times))


class RememberingSink:
    """Keeps every record and state in the order they came."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.states: list[tuple[int, dict[str, str]]] = []

    def put(self, records: Sequence[Record], state: Mapping[str, str]) -> None:
        self.records += records
        self.states.append((len(records), dict(state)))

    def bodies(self, kind: str, camera: str | None = None) -> list[Any]:
        """Bodies of one kind, of one camera where it is named."""
        return [r.body for r in self.records if r.kind == kind and camera in {None, r.camera}]

    def by_camera(self) -> Counter[str | None]:
        """How many records each camera made."""
        return Counter(record.camera for record in self.records)


class Room:
    """A loop over so many cameras with one model, wound by hand."""

    def __init__(self, cameras: int, *, run_s: float = 0.0, batch: int | None = 1, detect_fps: float = 10.0) -> None:
        self.clock = ManualClock()
        self.engine = ToldEngine(self.clock, run_s)
        detector = told_detector(self.engine, batch)
        self.cameras = [FilmingCamera(f"camera-{n}", self.clock) for n in range(cameras)]
        self.sink = RememberingSink()
        self.times = StageTimes()
        self.lanes = [lane_of(camera, detector, detect_fps=detect_fps, times=self.times) for camera in self.cameras]
        self.loop = WatchLoop(self.lanes, self.sink, self.clock, self.times)

    def run_for(self, seconds_s: float) -> None:
        end_s = self.clock.now().mono_s + seconds_s
        while self.clock.now().mono_s < end_s:
            if not self.loop.turn():
                self.clock.advance(0.01)
