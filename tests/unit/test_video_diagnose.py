from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest

from agent.video import parse_address, probe
from agent.video.diagnose import why_no_video
from tests.fakes.ports import free_port
from tests.fakes.tcp import AnsweringServer

SECRET = "op3n:sesame"


def rtsp(status: str, *headers: str) -> bytes:
    return ("\r\n".join([f"RTSP/1.0 {status}", "CSeq: 1", *headers]) + "\r\n\r\n").encode()


def why(answer: Callable[[bytes], bytes], scheme: str = "rtsp", *, login: bool = False, timeout_s: float = 0.5) -> str:
    with AnsweringServer(answer, hang_up=True) as server:
        address = parse_address(
            f"{scheme}://127.0.0.1:{server.port}/live",
            user="viewer" if login else None,
            password=SECRET if login else None,
        )
        return why_no_video(address, timeout_s)


@pytest.mark.parametrize(
    ("status", "part"),
    [
        ("401 Unauthorized", "wants a user and password"),
        ("403 Forbidden", "wants a user and password"),
        ("404 Not Found", "has no stream"),
        ("454 Session Not Found", "has no stream"),
        ("453 Not Enough Bandwidth", "as many viewers"),
        ("503 Service Unavailable", "as many viewers"),
        ("500 Oops", "status 500"),
        ("200 OK", "no video that can be decoded"),
    ],
)
def test_each_status_of_a_camera_becomes_a_sentence(status: str, part: str) -> None:
    assert part in why(lambda _: rtsp(status))


def test_nonsense_on_the_rtsp_port_is_called_nonsense() -> None:
    assert "doesn't speak RTSP" in why(lambda _: b"\x00\x01SSH-2.0-nonsense\r\n\r\n")
    assert "doesn't speak RTSP" in why(lambda _: b"HTTP/1.0 200 OK\r\n\r\n")


def test_an_endless_answer_is_read_only_so_far() -> None:
    assert "doesn't speak RTSP" in why(lambda _: b"x" * 200_000)


def test_a_camera_that_says_nothing_is_told_from_one_that_is_away() -> None:
    assert "says nothing" in why(lambda _: b"", timeout_s=0.2)
    assert "nothing listens" in why_no_video(parse_address(f"rtsp://127.0.0.1:{free_port()}/live"))


def test_a_name_that_does_not_exist_is_said_to_be_unknown() -> None:
    assert "name camera.invalid is not known" in why_no_video(parse_address("rtsp://camera.invalid/live"))


@pytest.mark.parametrize("host", ["cam..local", "c" * 70 + ".local"])
def test_a_name_that_no_host_can_have_is_said_to_be_unknown(host: str) -> None:
    assert f"name {host} is not known" in why_no_video(parse_address(f"rtsp://{host}/s"))
    assert "is not known" in probe(f"rtsp://{host}/s").error


def test_no_time_left_is_no_answer() -> None:
    assert "no answer" in why_no_video(parse_address("rtsp://127.0.0.1/live"), timeout_s=0.0)


def basic(request: bytes) -> bytes:
    wanted = base64.b64encode(f"viewer:{SECRET}".encode())
    if b"Authorization: Basic " + wanted in request:
        return rtsp("404 Not Found")
    return rtsp("401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"')


def digest(qop: str) -> Callable[[bytes], bytes]:
    def answer(request: bytes) -> bytes:
        text = request.decode()
        found = dict(re.findall(r'(\w+)="?([^",\r]*)"?', text.partition("Authorization: Digest ")[2]))
        ha1 = hashlib.md5(f"viewer:cam:{SECRET}".encode(), usedforsecurity=False).hexdigest()
        method, uri = text.split(" ")[:2]
        ha2 = hashlib.md5(f"{method}:{uri}".encode(), usedforsecurity=False).hexdigest()
        middle = f"n0nce:{found.get('nc')}:{found.get('cnonce')}:auth" if qop else "n0nce"
        good = hashlib.md5(f"{ha1}:{middle}:{ha2}".encode(), usedforsecurity=False).hexdigest()
        name = "HTTP/1.0" if method == "GET" else "RTSP/1.0"
        if found.get("response") == good:
            return f"{name} 404 Not Found\r\n\r\n".encode()
        return f'{name} 401 No\r\nWWW-Authenticate: Digest realm="cam", nonce="n0nce"{qop}\r\n\r\n'.encode()

    return answer


@pytest.mark.parametrize("answer", [basic, digest(""), digest(', qop="auth"')])
def test_with_the_right_password_a_wrong_path_is_seen_behind_the_login(answer: Callable[[bytes], bytes]) -> None:
    assert "has no stream" in why(answer, login=True)


def test_http_cameras_are_asked_with_their_own_digest() -> None:
    assert "has no stream" in why(digest(', qop="auth"'), "http", login=True)


def test_a_wrong_password_is_called_wrong_and_never_repeated() -> None:
    said = why(lambda _: rtsp("401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"'), login=True)
    assert "refuses the user or password" in said
    assert SECRET not in said


def test_a_web_page_is_not_video() -> None:
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>"
    assert "is a web page" in why(lambda _: page, "http")


def test_other_protocols_are_only_knocked_at() -> None:
    assert "accepts connections but gives no video" in why(lambda _: b"", "rtmp")
    assert "can't be reached or closes" in why(lambda _: b"no TLS here", "https")
    assert "check the sender" in why_no_video(parse_address("udp://239.0.0.1:1234"))


def test_probing_garbage_and_web_pages_gives_one_sentence() -> None:
    with AnsweringServer(lambda _: b"garbage\r\n\r\n", hang_up=True) as server:
        assert "doesn't speak RTSP" in probe(f"rtsp://127.0.0.1:{server.port}/live").error
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>"
    with AnsweringServer(lambda _: page, hang_up=True) as server:
        assert "is a web page" in probe(f"http://127.0.0.1:{server.port}/").error
