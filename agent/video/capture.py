"""Opens a camera, file or pipeline with OpenCV, and reads it picture by picture.

Promises timeouts from the very first moment, RTSP over TCP unless told otherwise, pictures always as BGR, and one
clear sentence when something can't be opened. Never shows a password, and never retries: that is the live camera's.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import cv2

from agent.errors import SourceError
from agent.values import Image
from agent.video.address import Address, Kind
from agent.video.native import FFMPEG_TURNS, quiet_native_logs

Transport: TypeAlias = Literal["tcp", "udp"]

NETWORK_OPTIONS: Final = "rtsp_transport;{transport}|fpsprobesize;0"
"""Without ``fpsprobesize;0`` FFmpeg counts twenty pictures before it opens a stream: seconds at each reconnect."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What an open stream says about itself.

    Attributes:
        width_px: Width of its pictures; 0 when it doesn't say.
        height_px: Height of its pictures; 0 when it doesn't say.
        fps: Pictures per second as declared; 0 or nonsense when the stream doesn't know.
        codec: Four letters such as ``h264``; empty when unknown.
        frames: Pictures the container announces; 0 for what has no end or doesn't say.
    """

    width_px: int
    height_px: int
    fps: float
    codec: str
    frames: int


class Capture(Protocol):
    """One open stream: what the sources need of OpenCV, and what tests replace."""

    def grab(self) -> bool:
        """Read and decode the next picture; ``False`` when none came."""
        ...

    def retrieve(self) -> Image | None:
        """The grabbed picture, uint8, (height, width, 3), BGR; ``None`` when it can't be had."""
        ...

    def pts_s(self) -> float:
        """The grabbed picture's presentation time in seconds."""
        ...

    def facts(self) -> StreamFacts:
        """What the stream says about itself."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How a stream is opened.

    Attributes:
        transport: Of RTSP's media: ``tcp`` loses nothing, ``udp`` never waits.
        open_timeout_s: Opening is given up after this.
        read_timeout_s: A read without a picture is given up after this.
        decode_threads: Threads FFmpeg decodes with; more than one delays live pictures by one picture each.
    """

    transport: Transport = "tcp"
    open_timeout_s: float = 4.0
    read_timeout_s: float = 4.0
    decode_threads: int = 1


class OpenCvCapture:
    """A :class:`Capture` over ``cv2.VideoCapture``; only the thread that made it may use it."""

    def __init__(self, native: cv2.VideoCapture) -> None:
        self._native = native

    def grab(self) -> bool:
        """Read and decode the next picture."""
        return self._native.grab()

    def pts_s(self) -> float:
        """The grabbed picture's presentation time in seconds."""
        return self._native.get(cv2.CAP_PROP_POS_MSEC) / 1000.0

    def retrieve(self) -> Image | None:
        """The grabbed picture as BGR, in memory of its own."""
        try:
            ok, picture = self._native.retrieve()
        except cv2.error:  # a picture whose buffer can't be converted; the next may be whole
            return None
        return _as_bgr(picture) if ok else None

    def facts(self) -> StreamFacts:
        """What the stream says about itself."""
        return StreamFacts(
            width_px=int(self._native.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height_px=int(self._native.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=float(self._native.get(cv2.CAP_PROP_FPS)),
            codec=_four_letters(int(self._native.get(cv2.CAP_PROP_FOURCC))),
            frames=max(0, int(self._native.get(cv2.CAP_PROP_FRAME_COUNT))),
        )

    def close(self) -> None:
        """Give the stream back."""
        self._native.release()


def _as_bgr(picture: object) -> Image | None:
    if not hasattr(picture, "dtype") or picture.dtype != "uint8" or picture.size == 0:  # type: ignore[attr-defined]
        return None
    image: Image = picture  # type: ignore[assignment]
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 3:
        return image
    code = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}.get(channels)
    return None if code is None else cv2.cvtColor(image, code)  # type: ignore[return-value]


def _four_letters(code: int) -> str:
    letters = "".join(chr((code >> shift) & 0xFF) for shift in (0, 8, 16, 24))
    return letters.strip("\0 ").lower() if letters.isprintable() or "\0" in letters else ""


def open_capture(address: Address, options: CaptureOptions | None = None) -> Capture:
    """Open what an address names.

    Raises:
        SourceError: It can't be opened; for network streams :mod:`agent.video.diagnose` can find out why.
    """
    quiet_native_logs()
    return OPENERS[address.kind](address, options or CaptureOptions())


def _open_network(address: Address, options: CaptureOptions) -> Capture:
    wanted = NETWORK_OPTIONS.format(transport=options.transport)
    native = _ffmpeg(address.with_login(), wanted, options)
    return _opened(native, f"{address.shown} gives no video")


def _open_file(address: Address, options: CaptureOptions) -> Capture:
    path = Path(address.location).expanduser()
    _check_readable_file(path)
    # An absolute path is never taken for one of FFmpeg's protocols.
    threads = [cv2.CAP_PROP_N_THREADS, options.decode_threads] if options.decode_threads else []
    with FFMPEG_TURNS.with_options("", options.open_timeout_s):
        native = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, threads)
    complaint = (
        f"{path} is no video that can be read (or its index, often at the end, is cut off); re-encode or replace it"
    )
    capture = _opened(native, complaint)
    if capture.facts().width_px <= 0:
        capture.close()
        raise SourceError(complaint)
    return capture


def _check_readable_file(path: Path) -> None:
    try:
        info = path.stat()
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}; check the path") from None
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}; check the path and its permissions") from None
    if not stat.S_ISREG(info.st_mode):
        raise SourceError(f"{path} is not a file; name a video file, or a camera under /dev")
    if info.st_size == 0:
        raise SourceError(f"{path} is empty; copy the video again")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} may not be read by this user; change its permissions")


def _open_device(address: Address, _options: CaptureOptions) -> Capture:  # V4L2 takes its timeout from elsewhere
    path = Path(address.location)
    try:
        mode = path.stat().st_mode
    except OSError:
        raise SourceError(
            f"there is no device {path}; plug the camera in, and see which it is in /dev/video*"
        ) from None
    if not stat.S_ISCHR(mode):
        raise SourceError(f"{path} is no camera; see which there are in /dev/video*")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"{path} may not be opened by this user; add the user to the group that owns it, often video")
    native = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    return _opened(native, f"{path} delivers no video; another program may be using it, or it is no camera")


def _open_gstreamer(address: Address, options: CaptureOptions) -> Capture:
    if not _has_backend(cv2.CAP_GSTREAMER):
        raise SourceError(
            "this OpenCV was built without GStreamer, so gst: pipelines can't be opened; use the rtsp:// address or "
            "/dev/video0 itself, or install an OpenCV that has GStreamer (Debian's python3-opencv has)"
        )
    native = cv2.VideoCapture(address.location, cv2.CAP_GSTREAMER, _timeouts(options))
    return _opened(
        native, f"the pipeline gst: {address.shown} doesn't start; try it with gst-launch-1.0, and end it in appsink"
    )


def _open_ffmpeg(address: Address, options: CaptureOptions) -> Capture:
    wanted, url = ffmpeg_arguments(address)
    native = _ffmpeg(url, wanted, options)
    return _opened(native, f"the source ffmpeg: {address.shown} doesn't open; try it with ffplay")


def ffmpeg_arguments(address: Address) -> tuple[str, str]:
    """Turn ``-f lavfi -framerate 15 -i testsrc2`` into FFmpeg's options as OpenCV takes them, and the input.

    Raises:
        SourceError: The text is no list of options that ends in ``-i`` and an input.
    """
    complaint = (
        f"ffmpeg: {address.shown} can't be understood; write input options, then -i and the input, and nothing after"
    )
    try:
        words = shlex.split(address.location)
    except ValueError:
        raise SourceError(complaint) from None
    pairs = list(zip(words[::2], words[1::2], strict=False))
    names = [name for name, _ in pairs]
    if len(words) % 2 or names[-1:] != ["-i"] or names.count("-i") > 1 or not all(n.startswith("-") for n in names):
        raise SourceError(complaint)
    if any(mark in word for word in words[:-1] for mark in ";|"):
        raise SourceError(complaint)
    renamed = {"-f": "input_format"}
    return "|".join(f"{renamed.get(name, name[1:])};{value}" for name, value in pairs[:-1]), words[-1]


def _ffmpeg(url: str, wanted: str, options: CaptureOptions) -> cv2.VideoCapture:
    parameters = [*_timeouts(options)]
    if options.decode_threads:
        parameters += [cv2.CAP_PROP_N_THREADS, options.decode_threads]
    with FFMPEG_TURNS.with_options(wanted, 2 * options.open_timeout_s):
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)


def _timeouts(options: CaptureOptions) -> list[int]:
    return [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(options.open_timeout_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(options.read_timeout_s * 1000),
    ]


def _opened(native: cv2.VideoCapture, complaint: str) -> OpenCvCapture:
    if native.isOpened():
        return OpenCvCapture(native)
    native.release()
    raise SourceError(complaint)


def _has_backend(backend: int) -> bool:
    return cv2.videoio_registry.hasBackend(backend)


OPENERS: Final[dict[Kind, Callable[[Address, CaptureOptions], Capture]]] = {
    Kind.NETWORK: _open_network,
    Kind.FILE: _open_file,
    Kind.DEVICE: _open_device,
    Kind.GSTREAMER: _open_gstreamer,
    Kind.FFMPEG: _open_ffmpeg,
}
"""Every kind of address and what opens it."""
