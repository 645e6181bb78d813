"""Finds out why a network camera gives no video, by asking it once over a plain socket.

FFmpeg says only that opening failed. This module says in one sentence whether the name, the port, the password, the
path or the answer is at fault. Never takes longer than asked, and never repeats a password or what a camera sent.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import time
from typing import Final

from agent.video.address import Address

ANSWER_BYTES: Final = 16_384
PROTOCOLS: Final[dict[str, tuple[str, str]]] = {
    "rtsp": ("DESCRIBE", "RTSP/1.0"),
    "http": ("GET", "HTTP/1.0"),
}
"""Schemes whose answers can be understood: the method that asks for the stream, and the protocol's name."""

_STATUS_LINE = re.compile(rb"\A(RTSP|HTTP)/\d\.\d (\d{3})")
_PARAMETER = re.compile(r'(\w+)="?([^",]*)"?')


def why_no_video(address: Address, timeout_s: float = 1.5) -> str:
    """Ask the camera, and put what is wrong into one sentence."""
    host, port = address.host_and_port
    where = f"{host}:{port}"
    if address.scheme in {"udp", "rtp", "srt"} or port == 0:
        return f"no video comes from {address.shown}; check the sender and the port"
    deadline_s = time.monotonic() + timeout_s
    try:
        return _ask(address, where, deadline_s)
    except (socket.gaierror, UnicodeError):  # the second for what can be no name, such as one with two dots in a row
        return f"the name {host} is not known; check the address and the box's name server"
    except ConnectionRefusedError:
        return f"nothing listens at {where}; check that the camera is up, and the port"
    except TimeoutError:
        return f"no answer from {where}; check the camera's power, cable and address"
    except OSError:
        return f"{where} can't be reached or closes the connection; check the network and the camera"


def _ask(address: Address, where: str, deadline_s: float) -> str:
    plain = PROTOCOLS.get(address.scheme)
    if plain is None:
        _connect(address, deadline_s).close()
        return f"{where} accepts connections but gives no video at {address.shown}; check user, password and path"
    answer = _exchange(address, plain, "", deadline_s)
    if _status(answer, plain) == 401 and address.user is not None:
        answer = _exchange(address, plain, _authorization(address, plain[0], answer), deadline_s)
    if not answer:
        return f"{where} accepts the connection but says nothing; restart the camera, or check the port"
    status = _status(answer, plain)
    if status is None:
        return f"what answers at {where} doesn't speak {plain[1][:4]}; check the port"
    return _meaning(address, where, status, answer)


def _status(answer: bytes, plain: tuple[str, str]) -> int | None:
    found = _STATUS_LINE.match(answer)
    return int(found[2]) if found is not None and found[1].decode() == plain[1][:4] else None


def _meaning(address: Address, where: str, status: int, answer: bytes) -> str:
    if status in {401, 403}:
        login = "wants a user and password; set" if address.user is None else "refuses the user or password; correct"
        return f"the camera at {where} {login} them under login"
    if status in {404, 454, 400, 410, 451}:
        return f"the camera at {where} has no stream {address.shown}; check the path in its manual"
    if status in {453, 503}:
        return f"the camera at {where} serves as many viewers as it can; close others or raise its limit"
    if address.scheme == "http" and re.search(rb"(?i)^content-type: *text/html", answer, re.MULTILINE):
        return f"{address.shown} is a web page, not video; find the stream's own address in the camera's manual"
    if 200 <= status < 300:
        return (
            f"the camera at {where} answers but sends no video that can be decoded; try H.264 and the other transport"
        )
    return f"the camera at {where} answers with status {status}; check the address {address.shown}"


def _connect(address: Address, deadline_s: float) -> socket.socket:
    link = socket.create_connection(address.host_and_port, timeout=_left_s(deadline_s))
    if address.scheme not in {"rtsps", "https"}:
        return link
    # Only to see whether TLS answers at all; no secret is sent over it.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with link:
        return context.wrap_socket(link, server_hostname=address.host_and_port[0])


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _exchange(address: Address, plain: tuple[str, str], authorization: str, deadline_s: float) -> bytes:
    """One request and the head of its answer; empty when none comes in time."""
    method, protocol = plain
    target = address.location if protocol.startswith("RTSP") else _path(address.location)
    host, port = address.host_and_port
    head = [f"{method} {target} {protocol}", "CSeq: 1", f"Host: {host}:{port}", "User-Agent: kentongan"]
    head.append("Accept: application/sdp" if protocol.startswith("RTSP") else "Accept: */*")
    if authorization:
        head.append(f"Authorization: {authorization}")
    with _connect(address, deadline_s) as link:
        link.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        return _answer(link, deadline_s)


def _answer(link: socket.socket, deadline_s: float) -> bytes:
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while len(answer) < ANSWER_BYTES and b"\r\n\r\n" not in answer:
            link.settimeout(_left_s(deadline_s))
            piece = link.recv(4096)
            if not piece:
                break
            answer += piece
    return answer


def _path(location: str) -> str:
    return "/" + location.partition("://")[2].partition("/")[2]


def _authorization(address: Address, method: str, answer: bytes) -> str:
    """Answer a challenge: Basic (RFC 7617) or Digest with MD5 (RFC 2617, which RTSP cameras use)."""
    user, password = address.user or "", address.password or ""
    challenges = re.findall(r"(?im)^www-authenticate: *(\w+) *(.*?)\r?$", answer.decode("latin-1"))
    digest = next((rest for scheme, rest in challenges if scheme.lower() == "digest"), None)
    if digest is None:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    asked = dict(_PARAMETER.findall(digest))
    realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
    uri = address.location if method == "DESCRIBE" else _path(address.location)
    secret, request = _md5(f"{user}:{realm}:{password}"), _md5(f"{method}:{uri}")
    fields = f'username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if "auth" in asked.get("qop", ""):
        count, own = "00000001", _md5(nonce + str(time.monotonic()))
        response = _md5(f"{secret}:{nonce}:{count}:{own}:auth:{request}")
        return f'Digest {fields}, response="{response}", qop=auth, nc={count}, cnonce="{own}"'
    return f'Digest {fields}, response="{_md5(f"{secret}:{nonce}:{request}")}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
