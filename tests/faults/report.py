"""The faults report: every campaign at full size, as a table and as JSON.

``python -m tests.faults.report --scale 0.1 --json faults.json`` runs a tenth. Ends with 1 when a number isn't met.
Promises to repeat the same choices for the same seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import campaigns
from tests.faults.campaigns import Outcome

AGENT_KILLS = 1_000
BROKER_KILLS = 100
RECEIVER_KILLS = 100


def run(scale: float, seed: int, folder: Path) -> Iterator[Outcome]:
    """Every campaign, one after the other."""
    few = max(2, round(BROKER_KILLS * scale))
    yield campaigns.kill_agents(folder / "agents", kills=max(8, round(AGENT_KILLS * scale)), seed=seed)
    for delivery in ("application", "broker"):
        yield campaigns.kill_broker(folder / f"broker-{delivery}", kills=few, seed=seed, delivery=delivery)
    yield campaigns.kill_receivers(folder / "receivers", kills=max(2, round(RECEIVER_KILLS * scale)), seed=seed)
    yield from campaigns.network_faults(folder / "network", seed=seed)


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
    if outcome.name.startswith("kill -9 of the agent") and outcome.duplicates >= outcome.committed * 0.01:
        missed.append("1 % duplicates or more")
    if outcome.notes.get("resumed_s") == "never":
        missed.append("it did not go on")
    return missed


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--seed", type=int, default=20260319)
    parser.add_argument("--folder", type=Path, default=_memory(), help="where outboxes live meanwhile")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    args = parser.parse_args()
    console = Console(width=130)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="faults-", dir=args.folder) as folder:
        for outcome in run(args.scale, args.seed, Path(folder)):
            outcomes.append(outcome)
            console.print(f"{outcome.name}: {'; '.join(faults_of(outcome)) or 'met'}", highlight=False)
            if args.json:
                args.json.write_text(_as_json(outcomes, args.scale), encoding="utf-8")
    console.print(_as_table(outcomes))
    return int(any(faults_of(outcome) for outcome in outcomes))


def _memory() -> Path | None:
    """A file system in memory, where there is one.

    A killed process loses nothing the kernel was handed, so the disk's own speed would only slow the campaigns down.
    """
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


def _as_json(outcomes: list[Outcome], scale: float) -> str:
    rows = [{**outcome.as_plain(), "missed": faults_of(outcome)} for outcome in outcomes]
    return json.dumps({"scale": scale, "campaigns": rows}, indent=2) + "\n"


def _as_table(outcomes: list[Outcome]) -> Table:
    table = Table(title="Faults")
    for head in (
        "campaign",
        "kills",
        "committed",
        "lost",
        "duplicates",
        "share",
        "wrong",
        "seconds",
        "resumed after",
        "met",
    ):
        table.add_column(head, justify="left" if head == "campaign" else "right")
    for one in outcomes:
        share = f"{one.duplicates / one.committed:.2%}" if one.committed else "-"
        table.add_row(
            one.name, str(one.kills), str(one.committed), str(one.lost), str(one.duplicates), share, str(one.wrong),
            str(one.seconds), str(one.notes.get("resumed_s", "")), "no" if faults_of(one) else "yes",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
