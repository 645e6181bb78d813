"""One camera's evidence: its ring, and the clip that is being gathered around an alarm.

An event that begins while a clip is gathered makes that one longer, up to a limit, instead of beginning another. A
clip reaches back before the moment at which the event's condition began, as far as the ring does. What is kept is
small: a few JPEG pictures a second, scaled down. Belongs to the keeper's thread.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2

from agent.clock import Instant
from agent.config.evidence import Evidence as Settings
from agent.errors import EvidenceError
from agent.evidence.avi import Picture, pack
from agent.evidence.folder import EvidenceFolder, Kept, Story, clip_name
from agent.evidence.ring import DiskRing, MemoryRing, Ring
from agent.evidence.sealing import Sealer
from agent.records import EventBody, Record, utc_text
from agent.values import Frame, Image

LOG: Final = logging.getLogger("kentongan.evidence")
LONGEST_S: Final = 120.0
"""No clip is longer: it is sealed in one piece, in memory."""
MOST_BYTES: Final = 96_000_000
"""Nor larger; the pictures at its end are left out."""
QUALITY: Final = 75


@dataclass(slots=True)
class _Gathering:
    """A clip that is not finished: its stretch of monotonic time, and the events it is for."""

    story: Story
    start_s: float
    end_s: float
    events: dict[str, EventBody]


class Reel:
    """The evidence of one camera.

    Args:
        device: The box's name.
        camera: The camera's.
        settings: What to keep.
        sealer: To whom.
        folder: Where.
        share: Of the bytes the ring may hold, 0 to 1.
        late_s: How long after what they tell of its events may begin; a ring in memory reaches that far back.
    """

    def __init__(
        self,
        device: str,
        camera: str,
        settings: Settings,
        sealer: Sealer,
        folder: EvidenceFolder,
        *,
        share: float,
        late_s: float,
    ) -> None:
        self._device, self._camera, self._settings = device, camera, settings
        self._sealer, self._folder = sealer, folder
        self._size = (0, 0)
        self._open: _Gathering | None = None
        self._ring: Ring
        if settings.ring is None:
            self._ring, self._ring_s = MemoryRing(round(share * settings.memory_mb * 1e6)), late_s + settings.before_s
        else:
            most = round(share * settings.ring.mb * 1e6)
            self._ring = DiskRing(folder, camera, sealer, self._film, most)
            self._ring_s = max(settings.before_s, settings.ring.minutes * 60)

    def take(self, frame: Frame) -> None:
        """Put a frame's picture into the ring.

        Raises:
            EvidenceError: The disk has no room for the ring.
            OSError: It refuses.
        """
        picture = _scaled(frame.image, self._settings.width_px)
        self._size = (picture.shape[1], picture.shape[0])
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        try:
            self._ring.add(Picture(frame.at.mono_s, frame.at.utc_s, jpeg.tobytes()))
        finally:
            held_s = self._open.start_s if self._open is not None else float("inf")
            self._ring.trim(min(held_s, frame.at.mono_s - self._ring_s))

    def hear(self, record: Record, now: Instant) -> list[Kept]:
        """Begin a clip, or make the present one longer, when a record says that something of interest began.

        Returns:
            Clips that had to be finished to make way.

        Raises:
            EvidenceError: See :meth:`finish`.
            OSError: The same.
        """
        body = record.body
        if not isinstance(body, EventBody) or body.kind not in self._settings.on:
            return []
        if body.phase != "start":
            if self._open is not None and body.event in self._open.events:
                self._open.events[body.event] = body
            return []
        told_s = now.mono_s if record.mono_s is None else record.mono_s
        before_s = min(LONGEST_S, max(0.0, record.time - body.since)) + self._settings.before_s
        start_s, end_s = told_s - before_s, told_s + self._settings.after_s
        finished: list[Kept] = []
        if self._open is not None:
            if end_s <= self._open.start_s + LONGEST_S:
                self._open.events[body.event] = body
                self._open.end_s = max(self._open.end_s, end_s)
                return []
            finished = self.finish()
        began_s = record.time - before_s
        story = Story(clip_name(self._camera, began_s, body.event), self._camera, began_s, began_s + LONGEST_S, (body,))
        self._open = _Gathering(story, start_s, min(end_s, start_s + LONGEST_S), {body.event: body})
        self._folder.announce(story)
        return finished

    def due(self, now_s: float) -> bool:
        """Whether the present clip has all it waits for."""
        return self._open is not None and now_s > self._open.end_s

    def finish(self) -> list[Kept]:
        """Seal the present clip with what there is of it, and keep it.

        Raises:
            EvidenceError: The disk has no room; the clip is lost.
            OSError: It refuses; the same.
        """
        if self._open is None:
            return []
        gathered, self._open = self._open, None
        pictures = _within(self._ring.between(gathered.start_s, gathered.end_s), MOST_BYTES)
        if not pictures:
            self._folder.give_up(gathered.story.name)
            LOG.warning("evidence: camera %s gave no pictures for %s", self._camera, gathered.story.name)
            return []
        events = tuple(gathered.events.values())
        story = Story(gathered.story.name, self._camera, pictures[0].utc_s, pictures[-1].utc_s, events)
        try:
            return [self._folder.keep(story, self._sealer.seal(self._film(pictures, events)))]
        except (EvidenceError, OSError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            LOG.error("evidence: the clip %s is lost: %s", story.name, why)  # noqa: TRY400 - the sentence says it all
            with contextlib.suppress(OSError):
                self._folder.give_up(story.name)
            raise

    def _film(self, pictures: Sequence[Picture], events: Sequence[EventBody] = ()) -> bytes:
        about = {
            "device": self._device,
            "camera": self._camera,
            "from": utc_text(pictures[0].utc_s),
            "to": utc_text(pictures[-1].utc_s),
            "events": [{"kind": event.kind, "event": event.event, "where": event.where} for event in events],
        }
        return pack(pictures, self._size, self._settings.fps, about)


def _scaled(image: Image, width_px: int) -> Image:
    """The picture no wider than this, with even sides."""
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = (width_px // 2 * 2, max(2, round(height * width_px / width / 2) * 2))
    # Averaging over whole areas costs five times as much, and shows a difference only where much is left out.
    how = cv2.INTER_AREA if width >= 2 * width_px else cv2.INTER_LINEAR
    return cast("Image", cv2.resize(image, size, interpolation=how))


def _within(pictures: list[Picture], most: int) -> list[Picture]:
    """The first pictures that fit into so many bytes."""
    held = 0
    for number, picture in enumerate(pictures):
        held += len(picture.jpeg)
        if held > most:
            return pictures[:number]
    return pictures
