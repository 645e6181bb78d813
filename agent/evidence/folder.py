"""Where sealed clips lie, and what is known of each: the only part of evidence that writes to the disk.

Promises that a clip is there whole or not at all, that its sha256 is that of its bytes on the disk, that only the
agent's user can read the folder, that the oldest go by age and by size, and that some room on the disk is always
left to others. Everything it writes is sealed or says only when, where and why. Knows no keys and no pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from agent.errors import EvidenceError
from agent.records import EventBody, dump, load, utc_text
from agent.scene.values import Clip, Evidence
from agent.update.durable import Disk

LOG: Final = logging.getLogger("kentongan.evidence")
LEAVE_BYTES: Final = 200_000_000
"""So much of the disk is left to others: to the records above all."""
ENDING: Final = ".avi.age"
_FOLDER_MODE: Final = 0o700
_DAY_S: Final = 86_400.0


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class Story:
    """Why a clip is kept.

    Attributes:
        name: Of the clip's file.
        camera: What it shows.
        start_s: From when, UTC.
        end_s: Until when, UTC.
        events: What it is kept for, each as it was last told.
    """

    name: str
    camera: str
    start_s: float
    end_s: float
    events: tuple[EventBody, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A clip that lies here.

    Attributes:
        clip: Its facts.
        camera: What it shows.
        events: Why it was kept.
        dated_s: From when its age counts, UTC: the first moment at which it was there and the clock was set. The
            times of the clip itself may be of a clock that was not.
    """

    clip: Clip
    camera: str
    events: tuple[EventBody, ...] = ()
    dated_s: float | None = None

    def told(self) -> list[Evidence]:
        """What the scene is told, one for each event."""
        return [Evidence(event, self.clip) for event in self.events]


class EvidenceFolder:
    """A folder of clips, and of the pieces of the ring.

    Args:
        root: Where.
        max_bytes: Of clips, beyond which the oldest go.
        keep_s: How long a clip stays.
        free: Room on a folder's disk.
        disk: The durable operations.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        keep_s: float,
        free: Callable[[Path], int] = free_bytes,
        disk: Disk | None = None,
    ) -> None:
        self.root = root
        self._clips, self._ring = root / "clips", root / "ring"
        self._max_bytes, self._keep_s = max_bytes, keep_s
        self._free, self._disk = free, disk or Disk()

    def prepare(self) -> None:
        """Make the folders, for the agent's user alone, and clear up what a crash left half-written.

        Raises:
            OSError: They can't be made.
        """
        for folder in (self.root, self._clips, self._ring):
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            folder.chmod(_FOLDER_MODE)
        for folder in (self._clips, self._ring):
            for half in folder.glob(".*.new"):
                half.unlink(missing_ok=True)

    def check_room(self, size: int = 0) -> None:
        """Refuse what would fill the disk.

        Raises:
            EvidenceError: Too little would be left.
        """
        free = self._free(self.root)
        if free - size < LEAVE_BYTES:
            raise EvidenceError(
                f"evidence is not kept: the disk of {self.root} has {free // 1_000_000} MB left, of which "
                f"{LEAVE_BYTES // 1_000_000} are for others; make room, or lower evidence.clips_mb"
            )

    def announce(self, story: Story) -> None:
        """Note that a clip is being gathered, so that after a crash it can be told what became of it."""
        self._put(self._pending(story.name), json.dumps(_story_plain(story)).encode())

    def keep(self, story: Story, sealed: bytes) -> Kept:
        """Put a finished clip in its place.

        Raises:
            EvidenceError: The disk has no room.
            OSError: It refuses; nothing of the clip is left to fill it.
        """
        self.check_room(len(sealed))
        self.announce(story)  # with its true times: the power may go before the note is written
        self._put(self._clips / story.name, sealed)
        try:
            kept = self._note(story, sealed)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(self._clips / story.name)
            raise
        self._disk.remove(self._pending(story.name))
        return kept

    def give_up(self, name: str) -> None:
        """Forget that a clip was being gathered."""
        self._disk.remove(self._pending(name))

    def keep_piece(self, camera: str, start_s: float, end_s: float, sealed: bytes) -> Path:
        """Put a sealed piece of a camera's ring in its place.

        Raises:
            EvidenceError: The disk has no room.
            OSError: It refuses; nothing of the piece is left to fill it.
        """
        self.check_room(len(sealed))
        path = self._ring / f"{camera}.{round(start_s * 1000)}.{round(end_s * 1000)}{ENDING}"
        self._put(path, sealed)
        return path

    def _put(self, path: Path, data: bytes) -> None:
        """Write a file, and leave nothing half-written on a disk that is full."""
        try:
            self._disk.write(path, data)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(path.with_name(f".{path.name}.new"))
            raise

    def drop_piece(self, path: Path) -> None:
        """Let a piece of the ring go."""
        self._disk.remove(path)

    def recover(self) -> list[Kept]:
        """Finish after a crash what was being gathered, from what the ring holds of it; say what became of it."""
        found: list[Kept] = []
        for path in sorted(self._clips.glob(".*.pending")):
            story = _read_story(path)
            if story is not None:
                found += self._finish(story)
            self._disk.remove(path)
        self._adopt_strays()
        return found

    def trim_ring(self, before_s: float, but: Iterable[str] = ()) -> None:
        """Remove pieces that ended before a moment, UTC seconds, or are of cameras not named."""
        known = set(but)
        for path in self._ring.glob(f"*{ENDING}"):
            camera, _, end_s = _piece_of(path)
            if end_s < before_s or camera not in known:
                self._disk.remove(path)

    def shrink_ring(self, max_bytes: int) -> None:
        """Remove the oldest pieces until no more than so many bytes are left."""
        pieces = sorted(self._ring.glob(f"*{ENDING}"), key=lambda path: _piece_of(path)[2])
        held = sum(path.stat().st_size for path in pieces)
        for path in pieces:
            if held <= max_bytes:
                return
            held -= path.stat().st_size
            self._disk.remove(path)

    def clips(self) -> list[Kept]:
        """Every clip that lies here, the oldest first."""
        every = (_read_kept(path) for path in self._clips.glob("*.json"))
        return sorted(
            (kept for kept in every if kept is not None), key=lambda kept: (kept.clip.start_s, kept.clip.name)
        )

    def forget(self, now_s: float | None) -> list[str]:
        """Remove clips that are too old or, the oldest first, too many; returns their names.

        Args:
            now_s: UTC; ``None`` while the clock is not set, when age tells nothing.
        """
        clips = self.clips()
        held = sum(kept.clip.bytes for kept in clips)
        gone = []
        for kept in clips:
            if now_s is not None and kept.dated_s is None:
                self._write_note(replace(kept, dated_s=now_s))
            old = now_s is not None and kept.dated_s is not None and now_s - kept.dated_s > self._keep_s
            if not old and held <= self._max_bytes:
                continue
            held -= kept.clip.bytes
            self._disk.remove(self._clips / kept.clip.name)
            self._disk.remove(self._sidecar(kept.clip.name))
            gone.append(kept.clip.name)
        return gone

    def _adopt_strays(self) -> None:
        """Note clips whose note is gone or damaged, so that they are listed and go in their time; drop empty notes."""
        noted = {kept.clip.name for kept in self.clips()}
        for path in sorted(self._clips.glob(f"*{ENDING}")):
            if path.name not in noted:
                camera, end_s = path.name.rsplit("-", 2)[0], path.stat().st_mtime
                self._note(Story(path.name, camera, end_s, end_s, ()), path.read_bytes())
                LOG.warning("evidence: nothing is known any more of why %s was kept", path.name)
        for path in self._clips.glob("*.json"):
            if not path.with_suffix("").is_file():
                self._disk.remove(path)

    def _finish(self, story: Story) -> Iterator[Kept]:
        place = self._clips / story.name
        if place.is_file():  # the crash came between the clip and the note about it
            yield self._note(story, place.read_bytes())
            LOG.warning("evidence: the clip %s was finished before the agent ended; noted now", story.name)
            return
        stem = story.name.removesuffix(ENDING)
        for path in self._ring.glob(f"{story.camera}.*{ENDING}"):
            _, start_s, end_s = _piece_of(path)
            if end_s >= story.start_s and start_s <= story.end_s:
                times = path.name.removeprefix(f"{story.camera}.")
                self._disk.adopt(path, self._clips / f"{stem}.{times}")
        parts = sorted(self._clips.glob(f"{stem}.*{ENDING}"))  # those too that a crash in here left without a note
        for path in parts:
            _, start_s, end_s = _piece_of(path)
            yield self._note(Story(path.name, story.camera, start_s, end_s, story.events), path.read_bytes())
        what = f"kept in {len(parts)} parts from the ring" if parts else "lost: the ring was in memory"
        LOG.warning("evidence: the agent ended while the clip %s was gathered; it is %s", story.name, what)

    def _note(self, story: Story, sealed: bytes) -> Kept:
        clip = Clip(story.name, hashlib.sha256(sealed).hexdigest(), len(sealed), story.start_s, story.end_s)
        kept = Kept(clip, story.camera, story.events)
        self._write_note(kept)
        return kept

    def _write_note(self, kept: Kept) -> None:
        events = [dump(event) for event in kept.events]
        plain = {**asdict(kept.clip), "camera": kept.camera, "dated_s": kept.dated_s, "events": events}
        self._put(self._sidecar(kept.clip.name), json.dumps(plain, indent=1).encode())

    def _pending(self, name: str) -> Path:
        return self._clips / f".{name}.pending"

    def _sidecar(self, name: str) -> Path:
        return self._clips / f"{name}.json"


def clip_name(camera: str, start_s: float, event: str) -> str:
    """What a clip's file is called: camera, UTC of its beginning, and the first letters of its first event's id."""
    moment = utc_text(start_s)[:19].replace("-", "").replace(":", "")
    return f"{camera}-{moment}Z-{event[:8]}{ENDING}"


def _story_plain(story: Story) -> dict[str, Any]:
    return {**asdict(story), "events": [dump(event) for event in story.events]}


def _read_story(path: Path) -> Story | None:
    plain = _read_json(path)
    try:
        events = tuple(load(EventBody, each) for each in plain.pop("events"))
        return Story(**plain, events=events)
    except (KeyError, TypeError, ValueError):
        return None


def _read_kept(path: Path) -> Kept | None:
    plain = dict(_read_json(path))
    try:
        events = tuple(load(EventBody, each) for each in plain.pop("events"))
        camera, dated_s = str(plain.pop("camera")), plain.pop("dated_s", None)
        return Kept(Clip(**plain), camera, events, None if dated_s is None else float(dated_s))
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(plain) if isinstance(plain, Mapping) else {}


def _piece_of(path: Path) -> tuple[str, float, float]:
    """Camera, start and end of a piece by its name; one with another name counts as very old."""
    camera, _, times = path.name.removesuffix(ENDING).partition(".")
    start, _, end = times.partition(".")
    return (camera, int(start) / 1000, int(end) / 1000) if start.isdigit() and end.isdigit() else (camera, 0.0, 0.0)
