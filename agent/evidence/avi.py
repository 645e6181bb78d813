"""Pictures as a film that any player shows: JPEG pictures in an AVI file, made and read in memory.

Every picture stays as it was encoded, whole and by itself, and the file says when each was taken. A gap shows as the
picture before it standing still, so the film runs in real time. Never touches a disk: a film in the clear has no
business there.

The layout is that of Microsoft's AVI RIFF File Reference (one MJPG stream, an index, an INFO list); a frame that is
repeated is a chunk of no bytes, as in that reference.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.errors import EvidenceError

_HAS_INDEX: Final = 0x10
_KEY_FRAME: Final = 0x10
_MOST_STILL_S: Final = 30.0
"""A longer gap is shortened in the film; the times in the comment stay true."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture.

    Attributes:
        mono_s: When it was captured, on the clock that only runs forward.
        utc_s: The same in UTC.
        jpeg: The picture.
    """

    mono_s: float
    utc_s: float
    jpeg: bytes


def pack(pictures: Sequence[Picture], size: tuple[int, int], fps: float, about: Mapping[str, Any]) -> bytes:
    """Make a film.

    Args:
        pictures: In order of time, at least one.
        size: Width and height in pixels.
        fps: Pictures a second that the film shows.
        about: What it shows, for its comment; JSON values.
    """
    comment = {
        **about,
        "mono_s": [round(each.mono_s, 3) for each in pictures],
        "utc_s": [round(each.utc_s, 3) for each in pictures],
    }
    frames = list(_on_a_grid(pictures, fps))
    chunks, index, offset = [], [], 4
    for frame in frames:
        chunk = _chunk(b"00dc", frame)
        index.append(struct.pack("<4sIII", b"00dc", _KEY_FRAME if frame else 0, offset, len(frame)))
        chunks.append(chunk)
        offset += len(chunk)
    largest = max(len(frame) for frame in frames)
    body = b"".join(
        (
            _list(b"hdrl", _header(size, fps, len(frames), largest)),
            _list(b"INFO", _chunk(b"ISFT", b"Kentongan\0") + _chunk(b"ICMT", json.dumps(comment).encode() + b"\0")),
            _list(b"movi", b"".join(chunks)),
            _chunk(b"idx1", b"".join(index)),
        )
    )
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"AVI ") + body


def unpack(film: bytes) -> tuple[dict[str, Any], list[Picture]]:
    """The comment and the pictures of a film that :func:`pack` made.

    Raises:
        EvidenceError: It is no such film, or a part of it is missing.
    """
    try:
        parts = {kind: payload for kind, payload in _chunks(_inside(film)) if kind in {b"INFO", b"movi"}}
        about = json.loads(dict(_chunks(parts[b"INFO"]))[b"ICMT"].rstrip(b"\0"))
        jpegs = [payload for _, payload in _chunks(parts[b"movi"]) if payload]
        times = list(zip(about.pop("mono_s"), about.pop("utc_s"), strict=True))
        return about, [Picture(*at, jpeg) for at, jpeg in zip(times, jpegs, strict=True)]
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise EvidenceError("this is no whole film of Kentongan's; a part of it is missing or was changed") from error


def _inside(film: bytes) -> bytes:
    """What a film's outer chunk holds."""
    if film[:4] != b"RIFF" or film[8:12] != b"AVI ":
        raise ValueError("another format")
    return film[12:]


def _on_a_grid(pictures: Sequence[Picture], fps: float) -> Iterator[bytes]:
    """The frames of the film: pictures, and nothing where the one before still stands."""
    for number, picture in enumerate(pictures):
        if number:
            still_s = picture.mono_s - pictures[number - 1].mono_s
            here = max(1, round(min(still_s, _MOST_STILL_S) * fps))
            yield from (b"" for _ in range(here - 1))
        yield picture.jpeg


def _header(size: tuple[int, int], fps: float, frames: int, largest: int) -> bytes:
    width, height = size
    rate = round(fps * 1000)
    main = struct.pack(
        "<14I", round(1e6 / fps), 0, 0, _HAS_INDEX, frames, 0, 1, largest, width, height, *(0, 0, 0, 0)
    )  # fmt: skip
    stream = struct.pack(
        "<4s4sI2H8I4H", b"vids", b"MJPG", 0, 0, 0, 0, 1000, rate, 0, frames, largest, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    return _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap))


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(payload)) + payload + b"\0" * (len(payload) % 2)


def _list(kind: bytes, payload: bytes) -> bytes:
    return _chunk(b"LIST", kind + payload)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each chunk; a list counts by its own kind."""
    offset = 0
    while offset < len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        payload = data[offset + 8 : offset + 8 + length]
        if len(payload) < length:
            raise ValueError("cut short")
        yield (payload[:4], payload[4:]) if kind == b"LIST" else (kind, payload)
        offset += 8 + length + length % 2
