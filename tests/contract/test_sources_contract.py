"""What every source must keep, whether it is a camera, a file or a file that plays at real speed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.values import Frame
from agent.video import LiveCamera, Phase, Source, SourceOptions, open_source
from agent.video.address import Kind, parse_address
from agent.video.capture import OPENERS
from agent.video.opening import SOURCES
from agent.video.paced import PacedFileSource
from tests.fakes.capture import ScriptedCapture, Shot, steady
from tests.fakes.clips import render_clip
from tests.fakes.clock import ManualClock


def a_file(folder: Path) -> Source:
    return open_source(str(render_clip(folder / "clip.avi")), "gate", ManualClock())


def a_paced_file(folder: Path) -> Source:
    clock = ManualClock()
    return PacedFileSource(parse_address(str(render_clip(folder / "clip.avi"))), "gate", clock, wait=clock.advance)


def a_live_camera(_: Path) -> Source:
    clock, never = ManualClock(), threading.Event()
    shots = [*steady(40), Shot(until=never)]
    return LiveCamera("gate", lambda: ScriptedCapture(clock, slowly(shots)), clock)


def slowly(shots: list[Shot]) -> Iterator[Shot]:
    for shot in shots:
        time.sleep(0.005)
        yield shot


@pytest.fixture(params=[a_file, a_paced_file, a_live_camera])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    made: Source = request.param(tmp_path)
    yield made
    made.close()


def take(source: Source, count: int) -> list[Frame]:
    frames: list[Frame] = []
    for _ in range(500):
        frame = source.read(0.2)
        if frame is not None:
            frames.append(frame)
        if len(frames) == count:
            break
    return frames


def test_frames_carry_the_camera_and_a_colour_picture(source: Source) -> None:
    for frame in take(source, 5):
        assert frame.camera == "gate"
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3


def test_numbers_and_times_rise_with_every_frame(source: Source) -> None:
    frames = take(source, 8)
    assert len(frames) == 8
    for early, late in itertools.pairwise(frames):
        assert late.number > early.number
        assert late.at.mono_s > early.at.mono_s
        assert late.at.utc_s > early.at.utc_s


def test_frames_that_were_handed_out_are_not_written_to_again(source: Source) -> None:
    first = take(source, 1)[0]
    before = first.image.copy()
    take(source, 5)
    assert np.array_equal(first.image, before)


def test_the_state_counts_and_measures(source: Source) -> None:
    taken = take(source, 5)
    state = source.state()
    assert state.phase is Phase.LIVE
    assert state.frames >= len(taken)
    assert state.read_s > 0
    assert state.decode_cpu_s >= 0
    assert (state.width_px, state.height_px) == (taken[0].image.shape[1], taken[0].image.shape[0])


def test_closing_is_quick_final_and_safe_to_repeat(source: Source) -> None:
    take(source, 1)
    began_s = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began_s < 2.0
    assert source.read() is None
    assert source.state().phase is Phase.ENDED


def test_every_kind_of_address_has_an_opener_and_a_source() -> None:
    assert set(OPENERS) == set(Kind)
    assert set(SOURCES) == set(Kind)


def test_a_paced_file_is_what_the_factory_makes_when_asked_to_pace(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi", frames=4)
    made = open_source(str(clip), "gate", ManualClock(), SourceOptions(paced=True, loop=True))
    assert isinstance(made, PacedFileSource)
    made.close()
