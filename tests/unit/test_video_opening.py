"""Opening: FFmpeg's options, OpenCV's pictures, and the sentence for everything that doesn't open."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import SourceError
from agent.video import LiveCamera, Phase, open_source, parse_address, probe
from agent.video.capture import CaptureOptions, OpenCvCapture, ffmpeg_arguments, open_capture
from agent.video.native import OPTIONS_VARIABLE, OptionTurns
from tests.fakes.clips import render_clip
from tests.fakes.clock import ManualClock
from tests.fakes.tcp import wait_until


def test_an_opening_sees_its_own_options_and_the_next_one_none() -> None:
    environ: dict[str, str] = {}
    turns = OptionTurns(environ)
    with turns.with_options("rtsp_transport;tcp", 1.0):
        assert environ == {OPTIONS_VARIABLE: "rtsp_transport;tcp"}
    with turns.with_options("", 1.0):
        assert environ == {}


def test_what_the_person_set_stays_in_force_and_comes_last_so_that_it_wins() -> None:
    environ = {OPTIONS_VARIABLE: "rtsp_transport;udp"}
    turns = OptionTurns(environ)
    with turns.with_options("rtsp_transport;tcp", 1.0):
        assert environ[OPTIONS_VARIABLE] == "rtsp_transport;tcp|rtsp_transport;udp"
    with turns.with_options("", 1.0):
        assert environ[OPTIONS_VARIABLE] == "rtsp_transport;udp"


def test_openings_with_the_same_options_run_side_by_side() -> None:
    turns = OptionTurns({})
    with turns.with_options("a;1", 0.0), turns.with_options("a;1", 0.0):
        pass


def test_openings_with_other_options_wait_and_say_so_when_they_wait_too_long() -> None:
    turns = OptionTurns({})
    with (
        turns.with_options("a;1", 0.0),
        pytest.raises(SourceError, match="other cameras"),
        turns.with_options("b;2", 0.01),
    ):
        pass
    with turns.with_options("b;2", 0.0):
        pass


def test_an_opening_that_waited_gets_its_turn_before_more_of_the_same() -> None:
    environ: dict[str, str] = {}
    turns, order = OptionTurns(environ), []

    def other(options: str) -> None:
        with turns.with_options(options, 5.0):
            order.append(environ[OPTIONS_VARIABLE])

    threads = [threading.Thread(target=other, args=(options,)) for options in ("b;2", "a;1")]
    with turns.with_options("a;1", 0.0):
        threads[0].start()
        assert wait_until(lambda: turns._others_waiting == 1)
        threads[1].start()
        assert wait_until(lambda: turns._others_waiting == 2)
        assert order == []
    for thread in threads:
        thread.join(5)
    assert sorted(order) == ["a;1", "b;2"]


@pytest.mark.parametrize(
    ("text", "options", "url"),
    [
        ("-i udp://239.0.0.1:1234", "", "udp://239.0.0.1:1234"),
        ("-f lavfi -i testsrc2=size=64x48", "input_format;lavfi", "testsrc2=size=64x48"),
        ("-f v4l2 -framerate 15 -i '/dev/my cam'", "input_format;v4l2|framerate;15", "/dev/my cam"),
    ],
)
def test_an_ffmpeg_source_is_written_as_on_ffmpeg_s_command_line(text: str, options: str, url: str) -> None:
    assert ffmpeg_arguments(parse_address(f"ffmpeg: {text}")) == (options, url)


@pytest.mark.parametrize(
    "text", ["x", "-i", "-i a -i b", "-i a -vf scale=1:1", "f lavfi -i a", "-i 'a", "-x 1;y -i a", "-f lavfi a b"]
)
def test_an_ffmpeg_source_that_says_more_or_less_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="then -i and the input"):
        ffmpeg_arguments(parse_address(f"ffmpeg: {text}"))


def test_an_ffmpeg_source_delivers_pictures(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi")
    capture = open_capture(parse_address(f"ffmpeg: -f avi -i {clip}"), CaptureOptions(decode_threads=0))
    assert capture.grab()
    capture.close()
    with pytest.raises(SourceError, match="ffplay"):
        open_capture(parse_address(f"ffmpeg: -i {tmp_path / 'none.avi'}"))


@pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer")
def test_a_gstreamer_pipeline_without_gstreamer_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"without GStreamer.*use the rtsp"):
        open_capture(parse_address("gst: videotestsrc ! appsink"))


@pytest.mark.skipif(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV lacks GStreamer")
def test_a_gstreamer_pipeline_delivers_pictures() -> None:
    capture = open_capture(parse_address("gst: videotestsrc num-buffers=3 ! videoconvert ! appsink"))
    assert capture.grab()
    capture.close()


@pytest.mark.parametrize(
    ("path", "part"), [("/dev/video97", "no device"), ("/dev/null", "delivers no video"), ("/dev/shm", "no camera")]
)
def test_a_device_that_is_no_camera_gets_one_sentence(path: str, part: str) -> None:
    with pytest.raises(SourceError, match=part):
        open_capture(parse_address(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_file_that_may_not_be_read_gets_one_sentence(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi")
    clip.chmod(0)
    with pytest.raises(SourceError, match="may not be read"):
        open_capture(parse_address(str(clip)))


class Pictures:
    """As much of ``cv2.VideoCapture`` as hands out one picture, of any shape."""

    def __init__(self, picture: object, *, ok: bool = True, broken: bool = False) -> None:
        self._picture, self._ok, self._broken = picture, ok, broken

    def retrieve(self) -> tuple[bool, object]:
        if self._broken:
            raise cv2.error
        return self._ok, self._picture

    def get(self, _: int) -> float:
        return float(0x20202020)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
def test_pictures_of_any_colour_format_become_bgr(shape: tuple[int, ...]) -> None:
    image = OpenCvCapture(Pictures(np.full(shape, 7, np.uint8))).retrieve()
    assert image is not None
    assert image.shape == (4, 6, 3)
    assert int(image[0, 0, 0]) == 7


@pytest.mark.parametrize(
    "native",
    [
        Pictures(np.zeros((4, 6), np.uint16)),
        Pictures(np.zeros((4, 6, 2), np.uint8)),
        Pictures(np.zeros((0, 6, 3), np.uint8)),
        Pictures(None, ok=False),
        Pictures(None),
        Pictures(None, broken=True),
    ],
)
def test_what_is_no_picture_is_none(native: Pictures) -> None:
    assert OpenCvCapture(native).retrieve() is None


def test_a_codec_of_blanks_is_unknown() -> None:
    assert OpenCvCapture(Pictures(None)).facts().codec == ""


def test_a_camera_is_opened_in_the_background_and_may_be_away() -> None:
    clock = ManualClock()
    camera = open_source("/dev/video97", "gate", clock)
    try:
        assert isinstance(camera, LiveCamera)
        assert wait_until(lambda: camera.state().phase is Phase.LOST)
        assert "no device /dev/video97" in camera.state().reason
    finally:
        camera.close()


def test_probing_an_address_that_means_nothing_says_so() -> None:
    assert "ftp://" in probe("ftp://x/y").error
    assert "no device" in probe(97).error


def test_probing_a_pipeline_measures_its_rate(tmp_path: Path) -> None:
    found = probe(f"ffmpeg: -i {render_clip(tmp_path / 'clip.avi')}")
    assert found.ok
    assert found.width_px == 160
