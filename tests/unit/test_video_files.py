from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Instant
from agent.errors import SourceError
from agent.values import Frame
from agent.video import Phase, parse_address, probe
from agent.video.file import FileSource
from agent.video.paced import PacedFileSource
from tests.fakes.clips import number_of, render_clip, truncate
from tests.fakes.clock import START_MONO_S, START_UTC_S, ManualClock

START = Instant(mono_s=50.0, utc_s=START_UTC_S, synced=False, error_ms=3.0)


def play(path: Path, start: Instant = START) -> tuple[list[Frame], FileSource]:
    source = FileSource(parse_address(str(path)), "gate", start)
    return list(iter(source.read, None)), source


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4"])
def test_every_picture_of_a_file_is_handed_out_once_in_order_at_its_own_time(tmp_path: Path, name: str) -> None:
    frames, source = play(render_clip(tmp_path / name, frames=40, fps=20))
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.number for frame in frames] == list(range(1, 41))
    assert [frame.at.mono_s for frame in frames] == pytest.approx([50 + 0.05 * n for n in range(40)])
    assert [frame.at.utc_s for frame in frames] == pytest.approx([START_UTC_S + 0.05 * n for n in range(40)])
    assert (frames[0].at.synced, frames[0].at.error_ms) == (False, 3.0)
    state = source.state()
    assert (state.phase, state.reason, state.frames, state.damaged) == (Phase.ENDED, "", 40, 0)
    assert state.since.mono_s == pytest.approx(52.0)
    assert source.announced_frames == 40
    assert source.fps == 20


def test_the_same_file_twice_gives_the_same_frames(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.mp4")
    first, _ = play(clip)
    second, _ = play(clip)
    assert [frame.at for frame in first] == [frame.at for frame in second]
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, second, strict=True))


def test_a_file_that_breaks_off_gives_all_it_has_and_then_one_sentence(tmp_path: Path) -> None:
    source = FileSource(parse_address(str(truncate(render_clip(tmp_path / "clip.avi"), 0.6))), "gate", START)
    frames = []
    with pytest.raises(SourceError, match=r"breaks off: \d+ of 40 pictures"):
        frames += iter(source.read, None)
    assert source.state().phase is Phase.LOST
    assert 15 <= source.state().frames < 35
    assert source.read() is None


def test_a_damaged_picture_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi")
    data = bytearray(clip.read_bytes())
    third = [at for at in range(len(data)) if data.startswith(b"00dc", at)][3]
    data[third + 8 : third + 200] = bytes(192)
    clip.write_bytes(data)
    frames, source = play(clip)
    assert len(frames) >= 38
    assert source.state().frames + source.state().damaged == 40
    assert all(late.at.mono_s > early.at.mono_s for early, late in itertools.pairwise(frames))


def make_text(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("these are notes, not a video\n" * 50)
    return path


def make_empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def make_cut_index(folder: Path) -> Path:
    return truncate(render_clip(folder / "clip.mp4"), 0.5)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda folder: folder / "none.mp4", "no file"),
        (lambda folder: folder, "is not a file"),
        (lambda folder: folder / ("x" * 300), "can't be read"),
        (make_empty, "empty"),
        (make_text, "no video"),
        (make_cut_index, "no video"),
    ],
)
def test_what_is_no_video_gets_one_sentence_with_its_path(
    tmp_path: Path, make: Callable[[Path], Path], part: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(SourceError, match=part) as caught:
        FileSource(parse_address(str(path)), "gate", START)
    assert str(path) in str(caught.value)
    assert part in probe(str(path)).error


def test_probing_a_file_says_what_is_in_it(tmp_path: Path) -> None:
    found = probe(str(render_clip(tmp_path / "clip.avi", fps=12)))
    assert found.ok
    assert (found.width_px, found.height_px, found.fps, found.codec, found.frames) == (160, 96, 12, "mjpg", 40)


class SlowClock(ManualClock):
    """A clock on which every look costs time, as on a machine that is too slow."""

    def __init__(self, cost_s: float) -> None:
        super().__init__()
        self._cost_s = cost_s

    def now(self) -> Instant:
        return self.advance(self._cost_s)


def paced(path: Path, clock: ManualClock, *, loop: bool = False) -> PacedFileSource:
    return PacedFileSource(parse_address(str(path)), "gate", clock, loop=loop, wait=clock.advance)


def test_a_paced_file_keeps_step_with_the_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    source = paced(render_clip(tmp_path / "clip.avi", frames=10, fps=10), clock)
    frames = list(iter(lambda: source.read(1.0), None))
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert clock.now().mono_s == pytest.approx(START_MONO_S + 0.9)
    assert frames[-1].at.mono_s == pytest.approx(clock.now().mono_s)
    assert source.state().phase is Phase.ENDED
    assert source.state().dropped == 0


def test_a_paced_file_that_ends_is_logged_once_and_one_that_is_closed_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for ends in (True, False):
        source = paced(render_clip(tmp_path / "clip.avi", frames=3, fps=10), ManualClock())
        for _ in range(8 if ends else 1):
            source.read(1.0)
        source.close()
        source.read(1.0)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("camera gate: its file ")
    assert "clip.avi has ended; start the agent again to play it once more" in said


def test_a_paced_file_makes_nobody_wait_longer_than_asked(tmp_path: Path) -> None:
    clock = ManualClock()
    source = paced(render_clip(tmp_path / "clip.avi", frames=4, fps=10), clock)
    assert source.read(0.02) is not None
    assert [source.read(0.02) is None for _ in range(4)] == [True] * 4
    assert clock.now().mono_s == pytest.approx(START_MONO_S + 0.08)
    frame = source.read(0.05)
    assert frame is not None
    assert number_of(frame.image) == 1
    source.close()


def test_who_reads_a_paced_file_too_slowly_gets_newer_pictures(tmp_path: Path) -> None:
    clock = ManualClock()
    source = paced(render_clip(tmp_path / "clip.avi", frames=40, fps=20), clock)
    source.read(1.0)
    clock.advance(1.0)
    frame = source.read(1.0)
    assert frame is not None
    assert number_of(frame.image) >= 14
    assert source.state().dropped >= 13
    clock.advance(10)
    assert source.read(1.0) is None
    assert source.state().phase is Phase.ENDED


def test_a_looped_file_goes_on_with_rising_times_and_numbers(tmp_path: Path) -> None:
    clock = ManualClock()
    source = paced(render_clip(tmp_path / "clip.avi", frames=5, fps=10), clock, loop=True)
    frames = [frame for frame in (source.read(1.0) for _ in range(12)) if frame is not None]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [frame.number for frame in frames] == list(range(1, 13))
    assert [frame.at.mono_s - START_MONO_S for frame in frames] == pytest.approx([0.1 * n for n in range(12)])
    source.close()
    assert source.read(1.0) is None


def test_a_machine_that_is_too_slow_still_sees_pictures(tmp_path: Path) -> None:
    source = paced(render_clip(tmp_path / "clip.avi", frames=40, fps=20), SlowClock(cost_s=0.2), loop=True)
    frames = [frame for frame in (source.read(1.0) for _ in range(20)) if frame is not None]
    assert len(frames) >= 3
    assert all(late.at.mono_s > early.at.mono_s for early, late in itertools.pairwise(frames))
    source.close()
