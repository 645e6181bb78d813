"""Where a camera's video comes from, as the configuration writes it, taken apart once.

Promises that a user name and password are cut out of the address before anything else sees it, and that what it
shows of itself (``shown``, ``repr``) can be logged. Never opens anything (that is :mod:`agent.video.capture`), and asks
the disk no more than whether a path under /dev is a plain file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from agent.errors import SourceError


class Kind(Enum):
    """What sort of thing an address names; each has one way of being opened."""

    NETWORK = "network"
    FILE = "file"
    DEVICE = "device"
    GSTREAMER = "gstreamer"
    FFMPEG = "ffmpeg"


NETWORK_SCHEMES: Final[dict[str, int]] = {
    "rtsp": 554,
    "rtsps": 322,
    "http": 80,
    "https": 443,
    "rtmp": 1935,
    "srt": 0,
    "udp": 0,
    "rtp": 0,
}
"""Schemes that FFmpeg opens over the network, each with its usual port (0: the address must name one)."""

MAX_PORT: Final = 65_535

PIPELINE_PREFIXES: Final[dict[str, Kind]] = {"gst:": Kind.GSTREAMER, "ffmpeg:": Kind.FFMPEG}

# The parts of a query that help a person tell two streams apart; every other value may be a secret.
HARMLESS_KEYS: Final = frozenset({"channel", "subtype", "stream", "profile", "unicast", "camera", "resolution", "fps"})

# What stands where a file's name would, but is an address whose scheme was left out or mistyped. It may hold a
# password, so nothing of it is repeated. A colon before an @ is a login wherever it stands; a folder's name may hold
# an @ alone, except at the very beginning.
_MISTYPED_LOGIN = re.compile(r"[^/]*@.*/|.*:.*@", re.DOTALL)
_ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/(?!/)")

_LOGIN_IN_URL = re.compile(r"(?<=://)[^\s/\"']*@")
_SECRET_PAIR = re.compile(r"(?i)((?:pass(?:word|wd)?|pwd|pw|user(?:name)?|usr|login|auth|token|key|secret)=)[^\s&/!;]*")


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """One source, without its credentials.

    Attributes:
        kind: How it is opened.
        location: The URL without user and password, the file's path, the device's path, or the pipeline's text.
        user: Who logs in; ``None`` for a camera that asks nobody.
        password: With what; never shown.
    """

    kind: Kind
    location: str
    user: str | None = None
    password: str | None = field(default=None)

    @property
    def shown(self) -> str:
        """The address as logs and messages may show it."""
        return redact(self.location)

    @property
    def scheme(self) -> str:
        """``rtsp`` of an RTSP address; empty for what isn't a URL."""
        return self.location.partition("://")[0].lower() if self.kind is Kind.NETWORK else ""

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where a network address is served: host without brackets, and port."""
        return _host_and_port(self.location)

    def with_login(self) -> str:
        """The address as FFmpeg takes it, credentials percent-encoded in their place. Never log this."""
        if self.kind is not Kind.NETWORK or self.user is None:
            return self.location
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        return self.location.replace("://", f"://{login}@", 1)

    def __repr__(self) -> str:
        return f"Address({self.kind.value}, {self.shown!r})"


def parse_address(text: str | int, *, user: str | None = None, password: str | None = None) -> Address:
    """Take an address from the configuration or the command line apart.

    Args:
        text: ``rtsp://…``, ``http://…``, a file, ``/dev/video0`` or its number, ``gst: …`` or ``ffmpeg: …``.
        user: Login that stands apart from the address; wins over one inside it.
        password: Its password, already read from its file or variable.

    Raises:
        SourceError: The address can't mean anything that could be opened.
    """
    stripped = str(text).strip()
    if not stripped:
        raise SourceError("a source is empty; write an rtsp:// address, a file, /dev/video0 or gst: and a pipeline")
    if stripped.isdecimal():
        return Address(Kind.DEVICE, f"/dev/video{int(stripped)}")
    for prefix, kind in PIPELINE_PREFIXES.items():
        if stripped.startswith(prefix) and not stripped.startswith(prefix + "//"):
            return Address(kind, stripped.removeprefix(prefix).strip(), user, password)
    if stripped.startswith("/dev/") and not _is_file_under_dev(stripped):
        return Address(Kind.DEVICE, stripped)
    scheme, separator, rest = stripped.partition("://")
    if not separator:
        return _file(stripped)
    if scheme.lower() == "file":
        return _file(unquote(rest))
    return _network(scheme.lower(), rest, user, password)


def _is_file_under_dev(path: str) -> bool:
    """Whether a path under /dev is none of a camera: in the folder that lies in memory, or a plain file anywhere."""
    return path.startswith("/dev/shm/") or Path(path).is_file()  # noqa: S108 - asked about, not written to


def redact(text: str) -> str:
    """Blank whatever in a text could be a credential: logins in URLs, and values that aren't known to be harmless."""
    without_login = _LOGIN_IN_URL.sub("…@", text)
    before, mark, query = without_login.partition("?")
    before = _SECRET_PAIR.sub(r"\1…", before)
    if not mark:
        return before
    if " " in query:  # a pipeline with a URL inside: what follows the URL has its own syntax
        return before + mark + _SECRET_PAIR.sub(r"\1…", query)
    return before + mark + "&".join(_harmless(pair) for pair in query.split("&"))


def _harmless(pair: str) -> str:
    key, equals, _ = pair.partition("=")
    if not equals:
        return "…"
    return pair if key.lower() in HARMLESS_KEYS else f"{key}=…"


def _file(path: str) -> Address:
    if _ONE_SLASH.match(path):
        raise SourceError(
            "an address has two slashes after its scheme, and a source has only one; write rtsp://host/path"
        )
    if _MISTYPED_LOGIN.match(path):
        raise SourceError(
            "a source looks like a camera's address with a login but without rtsp:// before it; write "
            "rtsp://host/path, and user and password under login (a file's path may hold no : before an @)"
        )
    return Address(Kind.FILE, path)


def _network(scheme: str, rest: str, user: str | None, password: str | None) -> Address:
    if scheme not in NETWORK_SCHEMES:
        known = ", ".join(f"{name}://" for name in NETWORK_SCHEMES)
        raise SourceError(f"no source can be opened with {scheme}://; use one of {known}, or a file's path")
    end = next((index for index, character in enumerate(rest) if character == "/"), len(rest))
    login, at, host = rest[:end].rpartition("@")
    if at:
        own_user, colon, own_password = login.partition(":")
        if user is None:
            user, password = unquote(own_user), unquote(own_password) if colon else None
    location = f"{scheme}://{host}{rest[end:]}"
    _host_and_port(location)
    return Address(Kind.NETWORK, location, user, password)


def _host_and_port(location: str) -> tuple[str, int]:
    scheme, _, rest = location.partition("://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    found = re.fullmatch(r"@?(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]+)(?::(\d{1,5}))?", authority)
    port = int(found[2]) if found is not None and found[2] else NETWORK_SCHEMES.get(scheme, 0)
    if found is None or port > MAX_PORT:
        # What stands here may be half a password, so it is not repeated.
        raise SourceError(
            f"the {scheme}:// address has no readable host and port; write {scheme}://host:port/path, and give a "
            "password with special characters under login, or percent-encoded"
        )
    return found[1].strip("[]"), port
