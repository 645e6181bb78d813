"""The thread that keeps evidence: the watch loop hands pictures and records over and never waits for it.

Promises that a picture more or less is all that a slow disk or a busy box costs: the queue of pictures is short, and
the newest is dropped when it is full. What fails, a full disk for instance, is told in ``health`` and tried again,
and counting goes on. Never sends anything; what it says of finished clips are names and numbers.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2

from agent.clock import Clock
from agent.config.schema import Camera, Config
from agent.errors import EvidenceError
from agent.evidence.folder import EvidenceFolder, Kept
from agent.evidence.lateness import lateness_s
from agent.evidence.reel import Reel
from agent.evidence.sealing import Sealer
from agent.records import Record
from agent.scene.values import Evidence
from agent.values import Frame

LOG: Final = logging.getLogger("kentongan.evidence")
TIDY_S: Final = 60.0
"""How often old clips go, and the room on the disk is looked at."""
WAIT_S: Final = 0.2
PATIENCE_S: Final = 2.0
"""A clip that is due waits so long for pictures that are still in the queue."""
FRAMES_WAITING: Final = 2
"""Pictures that may wait, for each camera: each is as large as the camera's picture."""
RETOLD: Final = 16
"""So many of a camera's newest clips are told again after a start: one may have been finished and not yet told."""
RETOLD_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class KeeperState:
    """How evidence fares, for ``health``.

    Attributes:
        ok: A clip would be kept now.
        reason: One sentence when it would not.
        clips: How many lie on the box.
        used_bytes: Their size.
        max_bytes: What they may use.
        dropped: Pictures that came while the queue was full, since the start.
        lost: Clips that could not be kept, since the start.
    """

    ok: bool
    reason: str | None
    clips: int
    used_bytes: int
    max_bytes: int
    dropped: int = 0
    lost: int = 0


class CameraWitness:
    """What the watch loop holds of one camera's evidence."""

    def __init__(self, keeper: EvidenceKeeper, camera: str, fps: float) -> None:
        self._keeper, self._camera, self._period_s = keeper, camera, 1 / fps
        self._due_s = float("-inf")

    def show(self, frame: Frame) -> None:
        """Take a frame, if it is time for one; never waits."""
        now_s = frame.at.mono_s
        if now_s < self._due_s:
            return
        # On a grid, so that a camera of 10 frames a second gives 4 of them and not 3.3.
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s if self._due_s > 0 else now_s
        self._keeper.show(frame)

    def hear(self, records: Sequence[Record]) -> None:
        """Take the records that came of the newest frame; never waits."""
        self._keeper.hear(self._camera, records)

    def finished(self) -> list[Evidence]:
        """Clips that were finished since the last call, one for each of their events."""
        return self._keeper.finished(self._camera)


class EvidenceKeeper:
    """Keeps the evidence of every camera that may have some.

    Args:
        config: The box's configuration, with ``evidence`` in it.
        clock: The agent's clock.
        folder: Where clips lie; as configured unless given.
        sealer: Makes what seals to some keys.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        folder: EvidenceFolder | None = None,
        sealer: Callable[[Sequence[str]], Sealer] = Sealer,
    ) -> None:
        if config.evidence is None:
            raise EvidenceError("the configuration keeps no evidence; write a section evidence with a key")
        self._settings, self._clock = config.evidence, clock
        root = self._settings.folder or config.state_dir / "evidence"
        self._folder = folder or EvidenceFolder(
            root, max_bytes=self._settings.clips_mb * 1_000_000, keep_s=self._settings.keep_days * 86_400
        )
        watched = [camera for camera in config.cameras if camera.evidence.enabled]
        self._reels, refused = self._make_reels(config, watched, sealer)
        self._state = KeeperState(not refused, refused, 0, 0, self._settings.clips_mb * 1_000_000)
        self._refused, self._dropped = refused, 0
        self._newest_dropped_frames: queue.Queue[Frame] = queue.Queue(FRAMES_WAITING * max(1, len(watched)))
        self._oldest_dropped_records: deque[tuple[str, Record]] = deque(maxlen=1000)
        self._finished: dict[str, deque[Evidence]] = {camera.name: deque(maxlen=64) for camera in watched}
        self._ready = False
        self._tidied_s = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    def witness(self, camera: str) -> CameraWitness | None:
        """What the watch loop is to hold of a camera; ``None`` where nothing is kept of it."""
        return CameraWitness(self, camera, self._settings.fps) if camera in self._reels else None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Seal what is being gathered, and end.

        Returns:
            Whether it ended in time; otherwise the next start says what became of it.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def state(self) -> KeeperState:
        """How it fares."""
        return replace(self._state, dropped=self._dropped)

    def show(self, frame: Frame) -> None:
        """Take a frame; where too many wait, this one is dropped."""
        try:
            self._newest_dropped_frames.put_nowait(frame)
        except queue.Full:
            self._dropped += 1

    def hear(self, camera: str, records: Sequence[Record]) -> None:
        """Take records of a camera."""
        self._oldest_dropped_records.extend((camera, record) for record in records if record.kind == "event")

    def finished(self, camera: str) -> list[Evidence]:
        """What was finished of a camera since the last call."""
        waiting, found = self._finished[camera], []
        while waiting:
            found.append(waiting.popleft())
        return found

    def turn(self, wait_s: float = WAIT_S) -> None:
        """Take in what waits, one picture at most; finish what is due; now and then tidy up."""
        now = self._clock.now()
        if now.mono_s - self._tidied_s >= TIDY_S:
            self._tidied_s = now.mono_s
            self._contained(self._tidy)
        try:
            frame = self._newest_dropped_frames.get(timeout=wait_s)
        except queue.Empty:
            pass
        else:
            self._contained(lambda: self._reels[frame.camera].take(frame))
        while self._oldest_dropped_records:
            camera, record = self._oldest_dropped_records.popleft()
            self._contained(lambda c=camera, r=record: self._tell(self._reels[c].hear(r, now)))  # type: ignore[misc]
        for reel in self._reels.values():
            patience_s = 0.0 if self._newest_dropped_frames.empty() else PATIENCE_S
            if reel.due(self._clock.now().mono_s - patience_s):
                self._finish(reel)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
        for reel in self._reels.values():
            self._finish(reel)

    def _finish(self, reel: Reel) -> None:
        if not self._contained(lambda: self._tell(reel.finish())):
            self._state = replace(self._state, lost=self._state.lost + 1)

    def _contained(self, action: Callable[[], None]) -> bool:
        """Do something; what fails is told in health, logged once, and ends nothing."""
        try:
            action()
        except (EvidenceError, OSError, cv2.error) as error:
            why = str(error)
            if not isinstance(error, EvidenceError):
                said = error.strerror if isinstance(error, OSError) and error.strerror else why
                why = f"evidence can't be kept in {self._folder.root}: {said}; look at the disk"
            if why != self._state.reason:
                LOG.error("%s; counting goes on", why)  # noqa: TRY400 - the sentence says it all
            self._state = replace(self._state, ok=False, reason=why)
            return False
        return True

    def _tidy(self) -> None:
        """Let the old go, and look whether there is room; the first time also clear up after a crash."""
        now = self._clock.now()
        if not self._ready:
            self._folder.prepare()
            self._recover(now.utc_s)
            self._ready = True
        for name in self._folder.forget(now.utc_s if now.synced else None):
            LOG.info("evidence: the clip %s is gone: too old, or no room for it", name)
        if self._settings.ring is None:
            self._folder.shrink_ring(0)
        elif now.synced:
            self._folder.trim_ring(now.utc_s - self._settings.ring.minutes * 60, but=self._reels)
        self._folder.check_room()
        self._count()
        self._state = replace(self._state, ok=not self._refused, reason=self._refused)

    def _recover(self, now_s: float) -> None:
        self._folder.recover()
        if self._settings.ring is not None:
            self._folder.shrink_ring(self._settings.ring.mb * 1_000_000 // 2)  # the rest is for what comes
        by_camera: dict[str, list[Kept]] = {}
        for kept in self._folder.clips():
            if now_s - kept.clip.end_s < RETOLD_S:
                by_camera.setdefault(kept.camera, []).append(kept)
        for clips in by_camera.values():
            self._tell(clips[-RETOLD:])

    def _tell(self, clips: Sequence[Kept]) -> None:
        for kept in clips:
            if kept.camera in self._finished:
                self._finished[kept.camera].extend(kept.told())
        if clips:
            self._count()

    def _count(self) -> None:
        clips = self._folder.clips()
        self._state = replace(self._state, clips=len(clips), used_bytes=sum(kept.clip.bytes for kept in clips))

    def _make_reels(
        self, config: Config, watched: Sequence[Camera], sealer: Callable[[Sequence[str]], Sealer]
    ) -> tuple[Mapping[str, Reel], str | None]:
        """A reel for each camera whose key can be used, and why not for the others."""
        reels, refused = {}, None
        for camera in watched:
            try:
                sealing = sealer(camera.evidence.keys or self._settings.keys)
            except EvidenceError as error:
                refused = f"camera {camera.name}: {error}"
                LOG.error("%s; counting goes on without evidence", refused)  # noqa: TRY400 - the sentence says it all
                continue
            reels[camera.name] = Reel(
                config.device,
                camera.name,
                self._settings,
                sealing,
                self._folder,
                share=1 / len(watched),
                late_s=lateness_s(camera, self._settings.on),
            )
        return reels, refused
