"""What the box says about itself: temperature, memory, disk, throttling.

Reads /proc and /sys of Linux and nothing else; a fact that a box does not offer is absent, never zero. Never starts
a process and never writes.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# Bits of the Raspberry Pi firmware's get_throttled: what is wrong now, in its lowest four bits.
_THROTTLED_BITS: Final = ((0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "too warm"))


@dataclass(frozen=True, slots=True)
class Fill:
    """How full something of limited size is, MB (10**6 bytes)."""

    used_mb: float
    total_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """One look at the box.

    Attributes:
        temperature_c: The hottest thermal zone, degrees Celsius.
        memory_rss_mb: Resident memory of this process, MB (10**6 bytes).
        memory: The system's memory; what it could give back counts as free.
        disk: The disk that holds the state.
        load: The load average over one minute divided by the number of processors.
        throttled: Why the processor runs slower than it could; empty when it does not.
    """

    temperature_c: float | None
    memory_rss_mb: float | None
    memory: Fill | None
    disk: Fill | None
    load: float | None
    throttled: tuple[str, ...]


def look(state_dir: Path, *, root: Path = Path("/")) -> HostFacts:
    """Read the facts now; ``root`` stands for the file system's root, so that a test can hand in its own."""
    return HostFacts(
        temperature_c=_temperature_c(root),
        memory_rss_mb=_rss_mb(root),
        memory=_memory(root),
        disk=_disk(state_dir),
        load=_load(root),
        throttled=_throttled(root),
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _numbers(paths: list[Path]) -> list[float]:
    texts = [_read(path) for path in paths]
    return [float(text) for text in texts if text is not None and text.lstrip("-").isdigit()]


def _temperature_c(root: Path) -> float | None:
    zones = _numbers(sorted((root / "sys/class/thermal").glob("thermal_zone*/temp")))
    return max(zones) / 1000 if zones else None


def _rss_mb(root: Path) -> float | None:
    text = _read(root / "proc/self/statm")
    return None if text is None else int(text.split()[1]) * _PAGE_BYTES / 1e6


def _memory(root: Path) -> Fill | None:
    lines = (_read(root / "proc/meminfo") or "").splitlines()
    megabytes = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if line.endswith("kB")}
    try:
        total, free = megabytes["MemTotal"], megabytes["MemAvailable"]
    except KeyError:
        return None
    return Fill(total - free, total)


def _disk(folder: Path) -> Fill | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Fill((usage.total - usage.free) / 1e6, usage.total / 1e6)


def _load(root: Path) -> float | None:
    text = _read(root / "proc/loadavg")
    return None if text is None else float(text.split()[0]) / (os.cpu_count() or 1)


def _throttled(root: Path) -> tuple[str, ...]:
    text = _read(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        bits = int(text, 16) if text else 0
    except ValueError:
        return ()
    return tuple(name for bit, name in _THROTTLED_BITS if bits >> bit & 1)
