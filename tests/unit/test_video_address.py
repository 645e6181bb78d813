from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import SourceError
from agent.video.address import Kind, parse_address, redact
from agent.video.probe import probe


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("rtsp://10.0.0.5/live", Kind.NETWORK, "rtsp://10.0.0.5/live"),
        ("RTSP://10.0.0.5:8554/live", Kind.NETWORK, "rtsp://10.0.0.5:8554/live"),
        ("http://[fe80::1]:81/video", Kind.NETWORK, "http://[fe80::1]:81/video"),
        ("street.mp4", Kind.FILE, "street.mp4"),
        ("file:///srv/a%20b.mp4", Kind.FILE, "/srv/a b.mp4"),
        ("0", Kind.DEVICE, "/dev/video0"),
        (2, Kind.DEVICE, "/dev/video2"),
        ("/dev/v4l/by-id/usb", Kind.DEVICE, "/dev/v4l/by-id/usb"),
        ("/dev/null", Kind.DEVICE, "/dev/null"),
        ("/dev/shm/street.mp4", Kind.FILE, "/dev/shm/street.mp4"),
        ("gst: videotestsrc ! appsink", Kind.GSTREAMER, "videotestsrc ! appsink"),
        ("ffmpeg: -f lavfi -i testsrc2", Kind.FFMPEG, "-f lavfi -i testsrc2"),
    ],
)
def test_an_address_is_told_by_how_it_is_written(text: str | int, kind: Kind, location: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.location) == (kind, location)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("ftp://host/x", "ftp://"),
        ("rtsp:///path", "host and port"),
        ("rtsp://host:port/path", "host and port"),
        ("rtsp://admin:pa/ss@host/path", "percent-encoded"),
        ("gst://x", "gst://"),
        ("rtsp://host:99999/path", "host and port"),
        ("rtsp:/host/path", "two slashes"),
    ],
)
def test_an_address_that_means_nothing_gets_one_sentence(text: str, part: str) -> None:
    with pytest.raises(SourceError, match=part):
        parse_address(text)


def test_a_password_broken_off_by_a_slash_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SourceError) as caught:
        parse_address("rtsp://admin:sesame/ss@host/path")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "admin:sesame@192.168.1.5/stream",
        "admin:sesame@192.168.1.5",
        "sesame@192.168.1.5/stream",
        "rtsp:/admin:sesame@cam/1",
        "rtsp:admin:sesame@cam/1",
        "rtsp//admin:sesame@cam/1",
        "rtsp;//admin:sesame@cam/1",
        "//admin:sesame@cam/1",
        "/etc/kentongan/1admin:sesame@cam/1",
        "admin:ses/ame@cam/1",
        "file://admin:sesame@cam/1",
        "file:///admin%3Asesame%40cam/1",
    ],
)
def test_a_mistyped_address_with_a_password_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SourceError, match="rtsp://host/path") as caught:
        parse_address(text)
    assert not any(part in str(caught.value) for part in ("sesame", "ses/", "ame@"))
    assert "sesame" not in probe(text).error
    assert probe(text).address == ""


@pytest.mark.parametrize("text", ["clip@noon.mp4", "/srv/cam@gate/10:00.mp4", "./cam@gate/x.mp4", "10:00.mp4", "@"])
def test_a_file_s_name_may_hold_an_at_or_a_colon(text: str) -> None:
    assert parse_address(text).kind is Kind.FILE


def test_a_login_inside_the_address_is_cut_out_and_decoded() -> None:
    address = parse_address("rtsp://admin:p%40ss#1@cam:8554/live")
    assert (address.user, address.password) == ("admin", "p@ss#1")
    assert address.location == "rtsp://cam:8554/live"
    assert address.with_login() == "rtsp://admin:p%40ss%231@cam:8554/live"
    assert address.host_and_port == ("cam", 8554)


def test_a_login_that_stands_apart_wins_over_one_inside() -> None:
    address = parse_address("rtsp://old:older@cam/live", user="new", password="newer")
    assert address.with_login() == "rtsp://new:newer@cam/live"


def test_a_user_without_password_stays_one() -> None:
    assert parse_address("rtsp://admin@cam/live").with_login() == "rtsp://admin@cam/live"
    assert parse_address("rtsp://cam/live").with_login() == "rtsp://cam/live"


@pytest.mark.parametrize(
    ("text", "port"), [("rtsp://c/x", 554), ("http://c", 80), ("https://c?x=1", 443), ("udp://c:9", 9)]
)
def test_an_address_without_port_has_its_scheme_s_usual_one(text: str, port: int) -> None:
    assert parse_address(text).host_and_port == ("c", port)


def test_only_harmless_parts_of_a_query_are_shown() -> None:
    shown = parse_address("rtsp://cam/real?channel=1&subtype=0&pwd=sesame&x=sesame&sesame").shown
    assert shown == "rtsp://cam/real?channel=1&subtype=0&pwd=…&x=…&…"


def test_secrets_in_paths_and_pipelines_are_blanked() -> None:
    assert redact("rtsp://cam/user=admin&password=sesame&channel=1") == "rtsp://cam/user=…&password=…&channel=1"
    pipeline = redact("gst: rtspsrc location=rtsp://admin:sesame@cam/live?key=sesame user-pw=sesame ! appsink")
    assert "sesame" not in pipeline
    assert pipeline.endswith("! appsink")


def test_a_file_has_no_scheme_and_no_login() -> None:
    address = parse_address("a.mp4", user="x", password="y")
    assert address.scheme == ""
    assert address.with_login() == "a.mp4"


@given(user=st.text(min_size=1, max_size=12), end=st.text(alphabet="@:?#/&=% aé", max_size=8))
def test_whatever_the_password_it_reaches_ffmpeg_and_never_a_log(user: str, end: str) -> None:
    secret = f"{end}SECRET{end}"
    address = parse_address("rtsp://cam/live", user=user, password=secret)
    assert "SECRET" not in repr(address)
    assert "SECRET" not in address.shown
    again = parse_address(address.with_login())
    assert (again.user, again.password) == (user, secret)
    assert "SECRET" not in repr(again)
