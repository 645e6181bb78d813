"""Plays video files as fast as they are read: for a replay, every picture counts.

Promises that the same file and start give the same frames with the same times, and that a file which breaks off is
told from one that ends. Never invents a picture, and never lets time run backwards.
"""

from __future__ import annotations

from typing import Final

from agent.clock import Instant
from agent.errors import SourceError
from agent.values import Frame
from agent.video.address import Address
from agent.video.capture import CaptureOptions, open_capture
from agent.video.source import CameraState, Phase
from agent.video.tally import Tally, TimedCapture
from agent.video.timeline import Timeline, usable_fps

MAX_UNREADABLE_IN_A_ROW: Final = 64
"""Damaged pictures that are skipped in a row before the rest of a file is given up."""
MISSING_SHARE: Final = 0.05
MISSING_FRAMES: Final = 3
"""Containers without a picture count have it estimated, so an end this close to it is a clean one."""


class FileSource:
    """A file whose every picture counts; times come from the file and start where the caller says."""

    def __init__(
        self,
        address: Address,
        camera: str,
        start: Instant,
        options: CaptureOptions | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Open the file.

        Args:
            address: The file.
            camera: The name that its frames carry.
            start: The instant of the file's beginning.
            options: How it is opened.
            tally: Totals to go on with, so that frame numbers keep rising from one file to the next.

        Raises:
            SourceError: It is missing, no video, or can't be read.
        """
        self._address, self._camera, self._start = address, camera, start
        self._tally = tally or Tally()
        opened = open_capture(address, options)
        facts = opened.facts()
        self._capture: TimedCapture | None = TimedCapture(opened, self._tally)
        self._announced, self._decoded = facts.frames, 0
        self._fps = usable_fps(facts.fps)
        self._size_px = (facts.width_px, facts.height_px)
        self._timeline = Timeline(facts.fps)
        self._phase, self._since, self._reason = Phase.LIVE, start, ""

    @property
    def announced_frames(self) -> int:
        """Pictures the container announces, for a progress bar; 0 when it doesn't say."""
        return self._announced

    @property
    def fps(self) -> float:
        """Pictures per second as the container declares, or 25 where that is unusable."""
        return self._fps

    @property
    def end_s(self) -> float:
        """Seconds from the start to where the next picture would stand."""
        return self._timeline.end_s

    def read(self, timeout_s: float = 0.0) -> Frame | None:  # noqa: ARG002 - a file never makes anybody wait
        """Decode the next picture; ``None`` at the file's end.

        Raises:
            SourceError: The file breaks off before its announced end. Every picture before that was handed out.
        """
        while (time_s := self.advance()) is not None:
            frame = self.frame_at(time_s)
            if frame is not None:
                return frame
        return None

    def advance(self) -> float | None:
        """Move to the next picture that can be decoded and say its time in seconds; ``None`` at the end.

        Raises:
            SourceError: The file breaks off before its announced end.
        """
        if self._capture is None:
            return None
        unreadable = 0
        while not self._capture.grab():
            unreadable += 1
            if self._decoded + unreadable > self._announced or unreadable > MAX_UNREADABLE_IN_A_ROW:
                self._end()
                return None
        self._tally.damaged += unreadable
        self._tally.frames += 1
        self._decoded += 1
        return self._timeline.place(self._capture.pts_s())

    def frame_at(self, time_s: float) -> Frame | None:
        """The picture that ``advance`` moved to, as a frame; ``None`` when it can't be converted."""
        image = None if self._capture is None else self._capture.retrieve()
        if image is None:
            self._tally.damaged += 1
            return None
        self._size_px = (image.shape[1], image.shape[0])
        return Frame(self._camera, self._tally.frames, image, later(self._start, time_s))

    def state(self) -> CameraState:
        """Say how far the file is; its time is the file's own."""
        return CameraState(
            phase=self._phase,
            since=self._since,
            reason=self._reason,
            source_fps=self._fps,
            frames=self._tally.frames,
            dropped=self._tally.dropped,
            damaged=self._tally.damaged,
            frame_age_s=0.0 if self._decoded else None,
            width_px=self._size_px[0],
            height_px=self._size_px[1],
            read_s=self._tally.read_s,
            decode_cpu_s=self._tally.decode_cpu_s,
        )

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None
            self._finish(Phase.ENDED, "")

    def _end(self) -> None:
        self.close()
        missing = self._announced - self._decoded
        if self._decoded and missing <= max(MISSING_FRAMES, MISSING_SHARE * self._announced):
            return
        of = f" of {self._announced}" if self._announced else ""
        reason = (
            f"{self._address.shown} breaks off: {self._decoded}{of} pictures could be read; "
            "what was read counts, copy the file again for the rest"
        )
        self._finish(Phase.LOST, reason)
        raise SourceError(reason)

    def _finish(self, phase: Phase, reason: str) -> None:
        self._phase, self._reason = phase, reason
        self._since = later(self._start, self._timeline.end_s)


def later(start: Instant, seconds_s: float) -> Instant:
    """The instant so many seconds after another, as sure of its UTC as that one."""
    return Instant(start.mono_s + seconds_s, start.utc_s + seconds_s, start.synced, start.error_ms)
