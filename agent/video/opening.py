"""From an address to a running source: the one table that says what kind of address becomes what source.

Live cameras start their own thread and never raise here, since a camera that is away may come back; a file that
can't be read raises at once. Never reads configuration: passwords come in already resolved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agent.clock import Clock, Instant
from agent.video.address import Address, Kind, parse_address
from agent.video.capture import open_capture
from agent.video.diagnose import why_no_video
from agent.video.file import FileSource
from agent.video.live import LiveCamera, LiveOptions
from agent.video.paced import PacedFileSource
from agent.video.source import Source


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a source needs beyond its address.

    Attributes:
        live: How live cameras are opened and watched; its ``capture`` part holds for files too.
        start: The instant of a file's beginning; ``None`` for now.
        paced: Play files at real speed instead of as fast as they are read.
        loop: Begin a paced file again at its end.
        on_frame: Called in a live camera's thread when a new picture is ready; must return at once.
    """

    live: LiveOptions = field(default_factory=LiveOptions)
    start: Instant | None = None
    paced: bool = False
    loop: bool = False
    on_frame: Callable[[], None] | None = None


def open_source(
    address: Address | str | int, camera: str, clock: Clock, options: SourceOptions | None = None
) -> Source:
    """Open what an address names, as the source that suits it.

    Args:
        address: From :func:`agent.video.address.parse_address`, or the text that it takes.
        camera: The name that the frames carry.
        clock: Where live times come from, and what paced files keep step with.
        options: Everything else.

    Raises:
        SourceError: The address can't mean anything, or its file can't be read.
    """
    known = address if isinstance(address, Address) else parse_address(address)
    return SOURCES[known.kind](known, camera, clock, options or SourceOptions())


def _open_file(address: Address, camera: str, clock: Clock, options: SourceOptions) -> Source:
    if options.paced:
        return PacedFileSource(address, camera, clock, options.live.capture, loop=options.loop)
    return FileSource(address, camera, options.start or clock.now(), options.live.capture)


def _open_live(address: Address, camera: str, clock: Clock, options: SourceOptions) -> Source:
    return LiveCamera(
        camera,
        partial(open_capture, address, options.live.capture),
        clock,
        options.live,
        diagnose=partial(why_no_video, address) if address.kind is Kind.NETWORK else None,
        on_frame=options.on_frame,
    )


SOURCES: Final[dict[Kind, Callable[[Address, str, Clock, SourceOptions], Source]]] = {
    Kind.FILE: _open_file,
    Kind.NETWORK: _open_live,
    Kind.DEVICE: _open_live,
    Kind.GSTREAMER: _open_live,
    Kind.FFMPEG: _open_live,
}
"""What becomes of each kind of address."""
