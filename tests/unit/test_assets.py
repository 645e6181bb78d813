"""The demo's video: the known clip where it can be had and is the right one, else one of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import OutputError
from agent.ops import assets
from agent.ops.assets import cache_folder, default_model, demo_clip
from agent.ops.rendered import FPS, HEIGHT_PX, WIDTH_PX, render_clip
from agent.vision.model_file import read_model

IS_INSTALLED = assets._INSTALLED.is_file()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A machine with an empty cache and no programs, but for those a test writes into ``bin``."""
    kept = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "PATH")}
    (tmp_path / "bin").mkdir()
    os.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    os.environ["PATH"] = str(tmp_path / "bin")
    yield tmp_path
    for name, value in kept.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


def program(home: Path, name: str, text: str) -> None:
    path = home / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.skipif(IS_INSTALLED, reason="opencv-doc is installed on this machine, so its clip is taken")
def test_without_a_package_manager_the_street_is_rendered_and_it_says_so(home: Path) -> None:
    clip = demo_clip()
    assert Path(clip.source) == home / "cache" / "kentongan" / "rendered-street.avi"
    assert "rendered by the project itself" in clip.says
    assert clip.lines[0]["name"] == "street"
    video = cv2.VideoCapture(clip.source)
    assert video.get(cv2.CAP_PROP_FPS) == FPS
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 200


@pytest.mark.skipif(IS_INSTALLED, reason="opencv-doc is installed on this machine, so its clip is taken")
def test_a_wrong_file_in_the_cache_or_in_the_package_is_not_played(home: Path) -> None:
    (cache_folder() / "vtest.avi").write_bytes(b"something else")
    clip = f"files{assets._INSTALLED}"
    program(home, "apt-get", "/bin/echo package > opencv-doc_1_all.deb")
    program(home, "dpkg-deb", f"/bin/mkdir -p $(/usr/bin/dirname {clip}) && /bin/echo wrong > {clip}")
    said: list[str] = []
    assert assets._cached_vtest() is None
    assert assets._fetched_vtest(said.append) is None
    assert said == ["Fetching vtest.avi from Debian's opencv-doc package, once."]
    program(home, "apt-get", "exit 100")
    assert assets._fetched_vtest(said.append) is None
    program(home, "apt-get", "exit 0")
    assert assets._fetched_vtest(said.append) is None


def _real_vtest() -> Path | None:
    """Where this machine keeps the clip, if it does: its own cache, from before any test changed where that is."""
    own = Path.home() / ".cache" / "kentongan" / "vtest.avi"
    return next((path for path in (own, assets._INSTALLED) if assets._is_vtest(path)), None)


@pytest.mark.skipif(_real_vtest() is None, reason="vtest.avi is not in this machine's cache; run kentongan demo once")
def test_the_known_clip_is_taken_from_the_cache_or_the_package_when_its_sha256_is_right(home: Path) -> None:
    real = _real_vtest()
    assert real is not None
    clip = f"files{assets._INSTALLED}"
    program(home, "apt-get", "/bin/echo package > opencv-doc_1_all.deb")
    program(home, "dpkg-deb", f"/bin/mkdir -p $(/usr/bin/dirname {clip}) && /bin/cp {real} {clip}")
    assert assets._fetched_vtest(lambda _: None) == home / "cache" / "kentongan" / "vtest.avi"
    (home / "bin" / "apt-get").unlink()
    found = demo_clip()
    assert Path(found.source) == home / "cache" / "kentongan" / "vtest.avi"
    assert "vtest.avi" in found.says


def test_a_cache_that_cannot_be_made_gets_one_sentence(home: Path) -> None:
    (home / "cache").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME"):
        cache_folder()


def test_the_model_that_ships_is_there_and_describes_itself() -> None:
    assert read_model(default_model()).description.labels


def test_the_rendered_street_is_the_same_for_the_same_arguments(tmp_path: Path) -> None:
    first, second = (render_clip(tmp_path / f"{name}.avi", cars=1) for name in ("first", "second"))
    assert first == second
    assert (tmp_path / "first.avi").read_bytes() == (tmp_path / "second.avi").read_bytes()
    video = cv2.VideoCapture(str(tmp_path / "first.avi"))
    pictures = [video.read()[1] for _ in range(30)]
    assert pictures[0].shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert np.abs(pictures[29].astype(int) - pictures[0]).max() > 60, "a car came into the picture"
    assert render_clip(tmp_path / "other.avi", cars=1, seed=8) is not None
    assert (tmp_path / "other.avi").read_bytes() != (tmp_path / "first.avi").read_bytes()
