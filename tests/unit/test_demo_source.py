"""What somebody gives to the demo reaches the camera as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.ops.demo import demo_config, own_clip
from agent.video import Kind, parse_address


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://user:word@cam.example/stream", Kind.NETWORK),
        ("http://cam.example/video.mjpg", Kind.NETWORK),
        ("/dev/video0", Kind.DEVICE),
        ("gst: rtspsrc location=rtsp://cam.example/s ! appsink", Kind.GSTREAMER),
        ("clip.avi", Kind.FILE),
    ],
)
def test_given_any_source_then_the_demo_watches_exactly_that(source: str, kind: Kind, tmp_path: Path) -> None:
    config = demo_config(own_clip(source), 1883, tmp_path)
    address = parse_address(config.cameras[0].source)
    assert address.kind is kind
    assert config.cameras[0].source == source


def test_given_a_password_then_what_the_demo_says_holds_none_of_it() -> None:
    assert "geheim" not in own_clip("rtsp://user:geheim@cam.example/stream").says
