"""A real file system of one megabyte for evidence that fills up: it is told, nothing half-written stays, it goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.evidence import WitnessedBox, config_of, key_pair
from tests.faults.test_full_disk import fill


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


@pytest.mark.parametrize("ring", [None, {"minutes": 1}])
def test_given_others_fill_the_disk_then_it_is_told_and_the_next_clip_is_kept_whole(
    small_disk: Path, tmp_path: Path, ring: dict[str, int] | None, caplog: pytest.LogCaptureFixture
) -> None:
    box = WitnessedBox(config_of(small_disk, key_pair(tmp_path)[0], ring=ring))
    box.film(3)
    hog = fill(small_disk)
    box.tell()
    box.film(8)
    state = box.keeper.state()
    assert not state.ok
    assert "No space left on device; look at the disk" in str(state.reason)
    assert [record for record in caplog.records if record.exc_info] == [], "sentences, and no traceback"
    assert box.paths("clips/*") == box.paths("clips/.*") == box.paths("ring/.*") == [], "nothing of it is left"
    hog.unlink()
    box.film(62)  # it looks again once a minute
    box.tell("next")
    box.film(8)
    (path,) = box.paths()
    assert path.stat().st_size == box.finished[0].clip.bytes
    state = box.keeper.state()
    assert (state.ok, state.reason, state.clips) == (True, None, 1)
