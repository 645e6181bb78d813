"""The faults report: every campaign at full size, as a table and as JSON.

``python -m tests.faults.report --scale 0.1 --json faults.json`` runs a tenth; ``--only`` runs a part, and renews only
that part of the JSON. Ends with 1 when a number isn't met. Promises to repeat the same choices for the same seed.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.faults import campaigns, endurance
from tests.faults.backlog import outage
from tests.faults.campaigns import Outcome
from tests.faults.findings import Finding, table, write
from tests.faults.hostile import DOORS, attack

AGENT_KILLS = 1_000
BROKER_KILLS = 100
RECEIVER_KILLS = 100
ATTACKS = 100_000
MINUTES = 60.0
DUPLICATES_SHARE = 0.01

Part = Callable[[float, int, Path], Iterator[Finding]]


def agents(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """kill -9 of the agent."""
    kills = max(16, round(AGENT_KILLS * scale))
    yield told(campaigns.kill_agents(folder, kills=kills, seed=seed, at_once=16, life_s=10.0))


def brokers(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """kill -9 of Mosquitto, with both deliveries."""
    kills = max(2, round(BROKER_KILLS * scale))
    for delivery in ("application", "broker"):
        yield told(campaigns.kill_broker(folder / delivery, kills=kills, seed=seed, delivery=delivery))


def receivers(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """kill -9 of one of two receivers."""
    yield told(campaigns.kill_receivers(folder, kills=max(2, round(RECEIVER_KILLS * scale)), seed=seed))


def network(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """Eight faults at three moments; there is no smaller size."""
    for outcome in campaigns.network_faults(folder, seed=seed):
        yield told(outcome)


def backlog(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """Three days without a network."""
    yield outage(folder, share=scale, seed=seed)


def hostile(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """Nonsense for every door."""
    for door in DOORS:
        yield attack(door, max(100, round(ATTACKS * scale)), seed)


def flapping(scale: float, seed: int, folder: Path) -> Iterator[Finding]:
    """A network and a camera that come and go; at least three minutes, or nothing has settled."""
    yield endurance.endure(folder, minutes=max(3.0, MINUTES * scale), seed=seed).told()


PARTS: dict[str, Part] = {
    "agents": agents, "brokers": brokers, "receivers": receivers, "network": network, "backlog": backlog,
    "hostile": hostile, "flapping": flapping,
}  # fmt: skip


def faults_of(outcome: Outcome) -> list[str]:
    """Which numbers an outcome misses."""
    missed = []
    if outcome.wrong:
        missed.append(f"{outcome.wrong} contradictions")
    if outcome.name.endswith(", broker"):
        if not outcome.lost:
            missed.append("nothing was lost with delivery by the broker, so the test proves nothing")
    elif outcome.lost:
        missed.append(f"{outcome.lost} records lost")
    if outcome.name.startswith("kill -9 of the agent") and outcome.duplicates >= outcome.committed * DUPLICATES_SHARE:
        missed.append("1 % duplicates or more")
    if outcome.notes.get("resumed_s") == "never":
        missed.append("it did not go on")
    return missed


def told(outcome: Outcome) -> Finding:
    """A campaign's outcome as a line of the report."""
    share = f" ({outcome.duplicates / outcome.committed:.2%})" if outcome.committed else ""
    resumed = f", went on after {outcome.notes['resumed_s']} s" if "resumed_s" in outcome.notes else ""
    return Finding(
        name=outcome.name,
        size=f"{outcome.kills:,} kills" if outcome.name.startswith("kill") else "1 fault",
        found=f"{outcome.committed:,} records, {outcome.lost:,} lost, {outcome.duplicates:,} twice{share}{resumed}",
        seconds=outcome.seconds,
        missed=tuple(faults_of(outcome)),
        figures=outcome.as_plain(),
    )


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--seed", type=int, default=20260319)
    parser.add_argument("--folder", type=Path, default=_memory(), help="where outboxes live meanwhile")
    parser.add_argument("--json", type=Path, help="write the findings there")
    parser.add_argument("--plot", type=Path, help="draw there what the flapping agent held (needs the report extra)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of it (default: all)")
    args = parser.parse_args()
    logging.getLogger("agent").setLevel(logging.CRITICAL)  # every fault would be told
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # each line as it comes, into a file too
    console = Console(width=150)
    findings: list[Finding] = []
    for name in args.only:
        with tempfile.TemporaryDirectory(prefix="faults-", dir=args.folder) as folder:
            for one in PARTS[name](args.scale, args.seed, Path(folder)):
                findings.append(one)
                console.print(f"{one.name}: {one.found}: {'; '.join(one.missed) or 'met'}", highlight=False)
                if args.json:
                    write(args.json, [one], scale=args.scale, seed=args.seed)
                if args.plot and one.name == endurance.NAME:
                    endurance.draw(one.figures, args.plot)
    console.print(table(findings))
    return int(any(one.missed for one in findings))


def _memory() -> Path | None:
    """A file system in memory, where there is one.

    A killed process loses nothing the kernel was handed, so the disk's own speed would only slow the campaigns down.
    """
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
