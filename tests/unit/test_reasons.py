"""Every reason why an interval can't be trusted, from the picture or the situation to the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import CountBody, Quality, Record
from agent.scene import Link
from agent.values import Detections, Frame, Image
from tests.fakes.records import MODEL
from tests.fakes.streets import noisy, street

LINE = {"name": "near", "points": [[0.3, 0.6], [0.7, 0.6]], "interval_s": 10}
FPS = 8


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens from second 20 on, and whether what is counted in it is still called valid."""

    picture: Callable[[Image], Image] = lambda view: view
    fps: int = FPS
    link: Link | None = None
    synced: bool = True
    sleeps_s: int = 0
    valid: bool = False


def _shade(level: int) -> Callable[[Image], Image]:
    return lambda view: np.full_like(view, level)


def _night(view: Image) -> Image:
    return np.clip(view * 0.02, 0, 255).astype(np.uint8)


TROUBLES: dict[str, Trouble] = {
    "dark": Trouble(_night),
    "blurred": Trouble(lambda view: cv2.GaussianBlur(view, (0, 0), 8).astype(np.uint8), valid=True),
    "covered": Trouble(_shade(90)),
    "moved": Trouble(lambda _: street(8)),
    "overloaded": Trouble(sleeps_s=12),
    "low_rate": Trouble(fps=4),
    "camera_lost": Trouble(link=Link("lost")),
    "camera_frozen": Trouble(link=Link("frozen")),
    "clock_unset": Trouble(synced=False, valid=True),
    "model_failed": Trouble(link=Link("live", "model_failed")),
}


def _play(trouble: Trouble) -> list[Record]:
    """Twenty seconds of a street where all is well, and fourteen of trouble."""
    camera = Camera.model_validate({"name": "gate", "source": "x", "lines": [LINE]})
    pipeline = CameraPipeline(camera, device="d", model=MODEL)
    views = {False: street(), True: trouble.picture(street())}
    shown = {bad: [noisy(view, number) for number in range(3)] for bad, view in views.items()}
    records: list[Record] = []
    for step in range(34 * FPS):
        second = step / FPS
        bad = second >= 20
        if (bad and step % (FPS // trouble.fps)) or 20 <= second < 20 + trouble.sleeps_s:
            continue
        at = Instant(100.0 + second, 1.8e9 + second, synced=trouble.synced)
        if bad and trouble.link is not None:
            records += pipeline.tick(at, trouble.link)
        else:
            records += pipeline.see(Frame("gate", step, shown[bad][step % 3], at), Detections.empty()).records
    return records


def _qualities(records: list[Record]) -> dict[int, Quality]:
    bodies = [record.body for record in records]
    return {int(each.interval.start - 1.8e9): each.quality for each in bodies if isinstance(each, CountBody)}


@pytest.mark.parametrize("reason", TROUBLES)
def test_given_a_trouble_then_its_intervals_say_so_and_are_valid_only_where_counts_hold(reason: str) -> None:
    found = _qualities(_play(TROUBLES[reason]))
    assert reason in found[20].reasons
    assert found[20].valid is TROUBLES[reason].valid
    assert found[0].valid
    assert (reason in found[0].reasons) is not TROUBLES[reason].synced
