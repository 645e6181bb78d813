"""What a simulated street gave against what was there: one street played through the real tracker and scene.

Everything is read from the records of counts, as a traffic management centre would read them. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.config.schema import Camera
from agent.records import CountBody
from agent.scene import Scene
from agent.vision.tracker import Tracker
from tests.fakes.simulator import PixelLine, Scenario, TrueCrossing

INTERVAL_S: Final = 60
FEWEST_SPEEDS: Final = 3
"""A mean of fewer speeds is no mean: such an interval is not judged by it."""
GROUND_M: Final = ((-7.0, 12.0), (7.0, 12.0), (7.0, 45.0), (-7.0, 45.0))
WAYS: Final = ("a_to_b", "b_to_a")


@dataclass(slots=True)
class Flow:
    """One street's traffic in one direction, over all its seeds.

    Attributes:
        hours: For how long it was watched.
        counted: Crossings that were counted.
        true: Crossings that happened.
    """

    hours: float = 0.0
    counted: int = 0
    true: int = 0

    def add(self, other: Flow) -> None:
        """Take in another time of it."""
        self.hours += other.hours
        self.counted += other.counted
        self.true += other.true

    @property
    def geh(self) -> float:
        """Of the flows an hour: what handbooks mean by GEH."""
        return geh(self.counted / self.hours, self.true / self.hours) if self.hours else 0.0


@dataclass(slots=True)
class Score:
    """What one or more streets gave against what was there.

    Attributes:
        true: Crossings that happened.
        counted: Crossings that were counted.
        wrong: Differences in volume, summed over streets and directions without cancelling.
        wrong_way: Streets' counts in a direction in which nothing crossed.
        wrong_class: Half the absolute differences by class of what was counted.
        geh: Of every whole interval and direction.
        flows: By street and direction.
        speeds: Pairs of an interval's mean speed and the true one of all who crossed in it, km/h.
        measured: Of how many of the counted a speed was told.
        flagged: Whole intervals whose quality names ``low_rate``.
        valid: Whole intervals whose quality says that they are valid.
    """

    true: int = 0
    counted: int = 0
    wrong: int = 0
    wrong_way: int = 0
    wrong_class: float = 0.0
    geh: list[float] = field(default_factory=list)
    flows: dict[tuple[str, str], Flow] = field(default_factory=dict)
    speeds: list[tuple[float, float]] = field(default_factory=list)
    measured: int = 0
    flagged: int = 0
    valid: int = 0

    def add(self, other: Score) -> None:
        """Take in another street."""
        self.true += other.true
        self.counted += other.counted
        self.wrong += other.wrong
        self.wrong_way += other.wrong_way
        self.wrong_class += other.wrong_class
        self.geh += other.geh
        self.speeds += other.speeds
        self.measured += other.measured
        self.flagged += other.flagged
        self.valid += other.valid
        for key, flow in other.flows.items():
            self.flows.setdefault(key, Flow()).add(flow)

    @property
    def volume_error(self) -> float:
        """Net error of the volume as a share of the truth."""
        return abs(self.counted - self.true) / max(self.true, 1)

    @property
    def gross_error(self) -> float:
        """Errors that do not cancel between streets and directions, as a share of the truth."""
        return self.wrong / max(self.true, 1)

    @property
    def class_error(self) -> float:
        """Share of the counted that carry a wrong class."""
        return self.wrong_class / max(self.counted, 1)

    @property
    def speed_error(self) -> float:
        """Mean relative error of the intervals' mean speeds; nan without any."""
        errors = [abs(got - true) / true for got, true in self.speeds]
        return float(np.mean(errors)) if errors else math.nan


def geh(counted_per_h: float, true_per_h: float) -> float:
    """The Geoffrey E. Havers statistic of two hourly flows."""
    total = counted_per_h + true_per_h
    return math.sqrt(2 * (counted_per_h - true_per_h) ** 2 / total) if total else 0.0


def play(scenario: Scenario, line: PixelLine) -> list[CountBody]:
    """The counts that the real tracker and scene make of a street."""
    size = (scenario.camera.width_px, scenario.camera.height_px)
    feet = scenario.camera.ground_to_image(np.array(GROUND_M))
    camera = Camera.model_validate(
        {
            "name": "street",
            "source": "simulator",
            "frame_size": size,
            "lines": [{"name": line.name, "points": [line.start_px, line.end_px], "interval_s": INTERVAL_S}],
            "ground": {
                "points": [
                    {"image": image, "metres": metres} for image, metres in zip(feet.tolist(), GROUND_M, strict=True)
                ]
            },
        }
    )
    scene, tracker = Scene(camera, device="simulator", model=None), Tracker(picture_px=size)
    records = []
    at = None
    for at, detections in scenario.frames():
        records += scene.update(tracker.update(detections, at.mono_s), at, size)
    if at is not None:
        records += scene.stop(at)
    return [record.body for record in records if isinstance(record.body, CountBody)]


def judge(scenario: Scenario, line: PixelLine) -> Score:
    """Play one street and compare."""
    truth, bodies = scenario.truth(line), play(scenario, line)
    score = Score(true=len(truth))
    true_class: Counter[str] = Counter(crossing.kind.label for crossing in truth)
    got_class: Counter[str] = Counter()
    for way in WAYS:
        here = [crossing for crossing in truth if crossing.direction == way]
        there = [body for body in bodies if body.direction == way]
        counted = sum(body.volume or 0 for body in there)
        score.counted += counted
        score.wrong += abs(counted - len(here))
        score.wrong_way += counted if not here else 0
        score.flows[scenario.name, way] = Flow(scenario.duration_s / 3600, counted, len(here))
        for body in there:
            got_class.update(body.by_class or {})
            _judge_interval(score, body, [c for c in here if _within(scenario, c.time_s, body)])
    differences = sum(abs(got_class[name] - true_class[name]) for name in {*got_class, *true_class})
    score.wrong_class = max(0.0, (differences - abs(score.counted - score.true)) / 2)
    return score


def _within(scenario: Scenario, time_s: float, body: CountBody) -> bool:
    return body.interval.start <= scenario.start_utc_s + time_s < body.interval.end


def _judge_interval(score: Score, body: CountBody, true: Sequence[TrueCrossing]) -> None:
    hours = (body.interval.end - body.interval.start) / 3600
    if not body.interval.partial or hours * 3600 > INTERVAL_S * 0.9:
        score.geh.append(geh((body.volume or 0) / hours, len(true) / hours))
        score.flagged += "low_rate" in body.quality.reasons
        score.valid += body.quality.valid
    if body.speed_kmh is None:
        return
    score.measured += body.speed_kmh.n
    if min(body.speed_kmh.n, len(true)) >= FEWEST_SPEEDS:
        score.speeds.append((body.speed_kmh.mean, float(np.mean([crossing.speed_kmh for crossing in true]))))
