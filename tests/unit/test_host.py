"""What the box says of itself, from files that stand for Linux's own; and where its time goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent import host
from agent.stages import STAGES, StageTimes


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


def test_a_box_that_offers_everything(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48312\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "61000\n")
    write(tmp_path, "sys/class/thermal/thermal_zone2/temp", "n/a\n")
    write(tmp_path, "proc/self/statm", "50000 40000 3000 1 0 0 0\n")
    write(tmp_path, "proc/meminfo", "MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: 1000000 kB\nHuge: 0\n")
    write(tmp_path, "proc/loadavg", "1.50 1.00 0.50 1/100 4242\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    facts = host.look(tmp_path, root=tmp_path)
    assert facts.temperature_c == 61.0
    assert facts.memory_rss_mb == 40_000 * os.sysconf("SC_PAGE_SIZE") / 1e6
    assert facts.memory is not None
    assert (facts.memory.total_mb, facts.memory.used_mb) == (4096.0, 3072.0)
    assert facts.load == 1.5 / (os.cpu_count() or 1)
    assert facts.throttled == ("under-voltage", "throttled")
    assert facts.disk is not None
    assert 0 < facts.disk.used_mb <= facts.disk.total_mb


def test_what_a_box_does_not_offer_is_absent(tmp_path: Path) -> None:
    facts = host.look(tmp_path / "gone", root=tmp_path)
    assert facts == host.HostFacts(
        temperature_c=None, memory_rss_mb=None, memory=None, disk=None, load=None, throttled=()
    )


def test_nonsense_in_a_file_is_absent_too(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "no number")
    write(tmp_path, "proc/meminfo", "MemTotal: 4000000 kB\n")
    (tmp_path / "proc/loadavg").write_bytes(b"\xff\xfe")
    facts = host.look(tmp_path, root=tmp_path)
    assert (facts.throttled, facts.memory, facts.load) == ((), None, None)


def test_this_very_machine_can_be_looked_at(tmp_path: Path) -> None:
    facts = host.look(tmp_path)
    assert facts.memory_rss_mb is not None
    assert facts.memory is not None
    assert facts.memory.total_mb > facts.memory_rss_mb > 5


def test_time_is_charged_to_its_stage_also_when_the_stage_fails() -> None:
    times = StageTimes()
    with times.measure("track"):
        end_s = time.thread_time() + 0.02
        while time.thread_time() < end_s:
            pass
    with pytest.raises(ValueError, match="scene"), times.measure("scene"):
        raise ValueError("scene")
    times.add("model", 0.5, 0.4)
    assert times.spent.keys() == set(STAGES)
    assert times.spent["track"].cpu_s >= 0.02
    assert times.spent["track"].wall_s >= 0.02
    assert (times.spent["scene"].times, times.spent["decode"].times) == (1, 0)
    assert (times.spent["model"].wall_s, times.spent["model"].cpu_s, times.spent["model"].times) == (0.5, 0.4, 1)
