"""What a part of the faults report found: one line of its table, one entry of its JSON.

Never judges by itself: each part says which of its numbers it missed.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was done to it.
        size: How much of that.
        found: What came of it, in a few words.
        seconds: How long it took.
        missed: The numbers that were not met; empty when all were.
        figures: Everything that was measured.
    """

    name: str
    size: str
    found: str
    seconds: float
    missed: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)


def machine() -> str:
    """The machine in plain words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}"


def write(path: Path, findings: Iterable[Finding], *, scale: float, seed: int) -> None:
    """Add findings to a JSON file; those of the same name that were there before are replaced."""
    kept = json.loads(path.read_text(encoding="utf-8"))["findings"] if path.exists() else []
    about = {"scale": scale, "seed": seed, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine()}
    rows = {row["name"]: row for row in kept}
    rows |= {one.name: {**asdict(one), **about} for one in findings}
    path.write_text(json.dumps({"findings": list(rows.values())}, indent=1) + "\n", encoding="utf-8")


def table(findings: Iterable[Finding]) -> Table:
    """For people."""
    shown = Table(title="Faults")
    for head in ("what", "how much", "found", "seconds", "met"):
        shown.add_column(head, justify="right" if head == "seconds" else "left")
    for one in findings:
        shown.add_row(one.name, one.size, one.found, f"{one.seconds:,.0f}", "; ".join(one.missed) or "yes")
    return shown
