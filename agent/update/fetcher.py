"""Downloads for The Update Framework over a city's networks: slow, capped, cut off in the middle, or lying.

Promises that nothing larger than announced is stored, that a trickling server is given up on, that bytes flow under
the bandwidth cap, and that a target continues where it was cut off. Trusts nothing: what arrives is judged by others.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface

from agent.update.pace import Pace

_CHUNK_BYTES: Final = 16384
_PARTIAL_CONTENT: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_REDIRECTS: Final = 3
_SHORT_PAGE_BYTES: Final = 4096


class NotARepositoryError(DownloadError):
    """A web page where a file should be: a portal, or a proxy that wants a login."""


class UnreachableError(DownloadError):
    """No connection, or one that broke."""


class OtherFileError(DownloadError):
    """A whole file, but of another length than the one that was signed."""

    def __init__(self, message: str, length: int) -> None:
        super().__init__(message)
        self.length = length


@dataclass(frozen=True, slots=True)
class Limits:
    """How a download may behave.

    Attributes:
        bytes_per_s: Cap on the bandwidth that the updater takes.
        patience_s: Longest silence, and the stretch over which the lowest rate is measured.
        least_bytes_per_s: A server slower than this over a stretch of patience is given up on.
    """

    bytes_per_s: float = 500_000
    patience_s: float = 20.0
    least_bytes_per_s: float = 500


def partial_name(url: str) -> str:
    """The file name under which an unfinished download waits for the rest."""
    return f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.part"


class PacedFetcher(FetcherInterface):
    """One conversation with a repository.

    Args:
        limits: How a download may behave.
        partial: Folder for targets that are not whole yet.
        saw_metadata: Told of every metadata file that arrived, by address, before anyone judges it; may raise.
        sleep: Waits so many seconds.
        monotonic: The time, seconds.

    Attributes:
        received_bytes: Bodies received so far.
        last_sha256: Of the last target that arrived whole, right or wrong; empty before.
    """

    def __init__(
        self,
        limits: Limits,
        partial: Path,
        saw_metadata: Callable[[str, bytes], None] = lambda _url, _data: None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.received_bytes = 0
        self.last_sha256 = ""
        self._limits = limits
        self._partial = partial
        self._saw_metadata = saw_metadata
        self._sleep = sleep
        self._monotonic = monotonic
        self._pace = Pace(limits.bytes_per_s)
        self._managers: dict[str | None, urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close every connection."""
        for manager in self._managers.values():
            manager.clear()

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """A metadata file, whole.

        Raises:
            tuf.api.exceptions.DownloadError: It did not arrive, or is longer than allowed.
        """
        data = bytearray()
        with closing(self._fetch(url)) as chunks:
            for chunk in chunks:
                data += chunk
                if len(data) > max_length:
                    raise DownloadLengthMismatchError(f"{url} does not end after {max_length} bytes")
        self._saw_metadata(url, bytes(data))
        return bytes(data)

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """A target open for reading; resumes what an earlier try had left.

        Raises:
            tuf.api.exceptions.DownloadError: It did not arrive, or is longer than allowed.
        """
        self._partial.mkdir(parents=True, exist_ok=True)
        place = self._partial / partial_name(url)
        self._complete(url, max_length, place)
        try:
            with place.open("rb") as file:
                self.last_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                yield file
        finally:  # taken over by the caller, or judged wrong: in neither case of use again
            place.unlink(missing_ok=True)

    def _complete(self, url: str, max_length: int, place: Path) -> None:
        """Fill the partial file up to its end; what arrived stays there when the line breaks."""
        have = place.stat().st_size if place.exists() else 0
        if have > max_length:
            place.unlink()
            have = 0
        if have == max_length > 0:
            return
        response = self._request(url, {"Range": f"bytes={have}-"} if have else {})
        if have and not _continues(response, have):
            have = 0  # the server starts from the beginning, or has nothing there
            if response.status == _RANGE_NOT_SATISFIABLE:
                _leave(response)
                response = self._request(url, {})
        self._require_length(self._accept(response, url), have, max_length, url, place)
        with place.open("ab" if have else "wb") as file, closing(self._body(response, url)) as chunks:
            for chunk in chunks:
                have += len(chunk)
                if have > max_length:
                    file.close()
                    place.unlink()
                    raise DownloadLengthMismatchError(f"{url} does not end after {max_length} bytes")
                file.write(chunk)
                file.flush()
        if have < max_length:
            raise UnreachableError(f"{url} ended after {have} of {max_length} bytes")

    def _require_length(
        self, response: urllib3.BaseHTTPResponse, have: int, wanted: int, url: str, place: Path
    ) -> None:
        """Notice by its announced length that a server is about to send another file."""
        told = response.headers.get("Content-Length", "")
        html = "text/html" in response.headers.get("Content-Type", "")
        if told.isdigit() and have + int(told) != wanted and not html:
            response.close()
            place.unlink(missing_ok=True)
            raise OtherFileError(f"{url} has {have + int(told)} bytes instead of {wanted}", have + int(told))

    def _fetch(self, url: str) -> Generator[bytes, None, None]:
        return self._body(self._accept(self._request(url, {}), url), url)

    def _request(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(self._limits.patience_s)
        retries = urllib3.Retry(total=_REDIRECTS, connect=0, read=0, other=0, status=0, redirect=_REDIRECTS)
        try:
            return self._manager(url).request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "kentongan", **headers},
                preload_content=False,
                decode_content=False,
                timeout=timeout,
                retries=retries,
            )
        except urllib3.exceptions.MaxRetryError as error:
            if isinstance(error.reason, urllib3.exceptions.ReadTimeoutError):
                raise SlowRetrievalError(f"{url} does not answer within {self._limits.patience_s:g} s") from error
            raise UnreachableError(f"{url} can't be reached ({error.reason})") from error
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{url} can't be reached ({error})") from error

    def _accept(self, response: urllib3.BaseHTTPResponse, url: str) -> urllib3.BaseHTTPResponse:
        if response.status >= 400:
            _leave(response)
            raise DownloadHTTPError(f"{url} answers {response.status}", response.status)
        return response

    def _body(self, response: urllib3.BaseHTTPResponse, url: str) -> Generator[bytes, None, None]:
        """The chunks of an answer as they arrive, under the cap and above the lowest rate."""
        html = "text/html" in response.headers.get("Content-Type", "")
        waited_s, in_stretch = 0.0, 0
        try:
            while True:
                asked_s = self._monotonic()
                chunk = self._read(response, url)
                if not chunk:
                    break
                if html and chunk.lstrip()[:1] == b"<":
                    raise NotARepositoryError(f"{url} answers with a web page")
                waited_s, in_stretch = waited_s + self._monotonic() - asked_s, in_stretch + len(chunk)
                if waited_s >= self._limits.patience_s:
                    if in_stretch < self._limits.least_bytes_per_s * waited_s:
                        raise SlowRetrievalError(f"{url} sends only {in_stretch / waited_s:.0f} bytes/s")
                    waited_s, in_stretch = 0.0, 0
                self.received_bytes += len(chunk)
                yield chunk
                pause_s = self._pace.wait_s(len(chunk), self._monotonic())
                if pause_s > 0:
                    self._sleep(pause_s)
            response.release_conn()
        finally:
            response.close()

    def _read(self, response: urllib3.BaseHTTPResponse, url: str) -> bytes:
        """What has arrived, as little as that may be; nothing at the end."""
        try:
            return response.read1(_CHUNK_BYTES)
        except urllib3.exceptions.TimeoutError as error:
            raise SlowRetrievalError(f"{url} fell silent for {self._limits.patience_s:g} s") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"{url} broke off ({error})") from error

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        if proxy not in self._managers:
            self._managers[proxy] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._managers[proxy]


def _continues(response: urllib3.BaseHTTPResponse, have: int) -> bool:
    """Whether an answer goes on exactly where the partial file ends."""
    told = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status == _PARTIAL_CONTENT and told is not None and int(told.group(1)) == have


def _leave(response: urllib3.BaseHTTPResponse) -> None:
    """Done with an error page: keep the connection if the page is short, for a new handshake costs more than it."""
    told = response.headers.get("Content-Length", "")
    if told.isdigit() and int(told) <= _SHORT_PAGE_BYTES:
        response.drain_conn()
        response.release_conn()
    else:
        response.close()
