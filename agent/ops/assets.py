"""The files a command finds without being told: the default model and the demo's video.

The video is the pedestrian clip of Debian's opencv-doc package, checked by its sha256 and cached; where it can't be
had the project renders one itself. Nothing is fetched but through the machine's own package manager.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import ModelError, OutputError
from agent.installation import shipped_folders
from agent.ops.rendered import render_clip

DEFAULT_MODEL: Final = "street.onnx"
AGGRESSION_MODEL: Final = "aggression.onnx"
"""Judges clips of movement, not pictures: :mod:`agent.vision.aggression` reads it."""
VTEST_SHA256: Final = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
_PACKAGE: Final = "opencv-doc"
_INSTALLED: Final = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
_FETCH_TIMEOUT_S: Final = 300


@dataclass(frozen=True, slots=True)
class Clip:
    """A video to show, and one sentence that says which it is.

    Attributes:
        source: The file, or a camera's address exactly as somebody wrote it.
        says: What it is and where it came from.
        lines: Counting lines that suit it, in the configuration's form.
        zones: Zones that suit it, likewise.
    """

    source: str
    says: str
    lines: tuple[dict[str, object], ...]
    zones: tuple[dict[str, object], ...]


_VTEST_LINES: Final[tuple[dict[str, object], ...]] = (
    {"name": "east-path", "points": [[0.86, 0.80], [0.86, 0.40]], "interval_s": 10},
    {"name": "west-path", "points": [[0.20, 0.52], [0.20, 0.30]], "interval_s": 10},
)
_VTEST_ZONES: Final[tuple[dict[str, object], ...]] = (
    {"name": "lawn-walk", "polygon": [[0.25, 0.32], [0.80, 0.36], [0.80, 0.80], [0.35, 0.62]], "interval_s": 10},
)


def default_model() -> Path:
    """The model that ships with the agent.

    Raises:
        ModelError: Neither the installed package nor the checkout holds it.
    """
    return shipped(DEFAULT_MODEL)


def example_configs() -> list[Path]:
    """The examples of configurations that ship with the agent: in the installed package, or in the checkout."""
    return next((found for folder in shipped_folders("configs") if (found := sorted(folder.glob("*.yaml")))), [])


def shipped(name: str) -> Path:
    """A model that ships with the agent, by its file's name.

    Raises:
        ModelError: Neither the installed package nor the checkout holds it.
    """
    for folder in model_folders():
        if (folder / name).is_file():
            return folder / name
    raise ModelError(f"the default model {name} is missing from this installation; install kentongan again")


def model_folders() -> tuple[Path, ...]:
    """Where models that ship with the agent lie: in the installed package, or in the checkout."""
    return tuple(folder for folder in shipped_folders("models") if folder.is_dir())


def cache_folder() -> Path:
    """Where fetched and rendered files are kept: ``$XDG_CACHE_HOME/kentongan``.

    Raises:
        OutputError: It can't be made.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "kentongan"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be made: {error.strerror}; set XDG_CACHE_HOME to a folder that is yours"
        ) from error
    return folder


def demo_clip(say: Callable[[str], object] = lambda _: None) -> Clip:
    """The clip the demo plays: vtest.avi where it can be had, else one rendered here.

    Args:
        say: Told in one sentence what takes time.

    Raises:
        OutputError: There is no folder to keep it in.
    """
    path = _cached_vtest() or _fetched_vtest(say)
    if path is not None:
        says = f"vtest.avi, pedestrians on a campus, from Debian's {_PACKAGE} package"
        return Clip(str(path), says, _VTEST_LINES, _VTEST_ZONES)
    return _rendered()


def _rendered() -> Clip:
    path = cache_folder() / "rendered-street.avi"
    scene = render_clip(path)
    says = f"a street rendered by the project itself ({path}), because vtest.avi could not be had from {_PACKAGE}"
    return Clip(str(path), says, scene.lines, scene.zones)


def _is_vtest(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == VTEST_SHA256


def _cached_vtest() -> Path | None:
    for path in (cache_folder() / "vtest.avi", _INSTALLED):
        if _is_vtest(path):
            return path
    return None


def _fetched_vtest(say: Callable[[str], object]) -> Path | None:
    """Download the package as an ordinary user, take the clip out, keep it only if its sha256 is right."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    say(f"Fetching vtest.avi from Debian's {_PACKAGE} package, once.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            subprocess.run(
                ["apt-get", "download", _PACKAGE], cwd=folder, check=True, timeout=_FETCH_TIMEOUT_S, capture_output=True
            )
            package = next(folder.glob("*.deb"))
            subprocess.run(
                ["dpkg-deb", "-x", str(package), "files"], cwd=folder, check=True, timeout=60, capture_output=True
            )
        except (OSError, subprocess.SubprocessError, StopIteration):
            return None
        clip = folder / "files" / _INSTALLED.relative_to("/")
        if not _is_vtest(clip):
            return None
        kept = cache_folder() / "vtest.avi"
        partial = kept.with_suffix(".part")
        shutil.copyfile(clip, partial)
        partial.replace(kept)
        return kept
