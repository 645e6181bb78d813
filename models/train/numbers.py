"""Writes measured numbers into the model card: the tables between two marks, from the JSON of `kentongan models eval`.

    python -m models.train.numbers CARD.md STREET.json PERSONS.json     for a model that is in place already

Nobody copies figures by hand. Pure text: reads no model, measures nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Verdict = dict[str, Any]

BEGIN, END = "<!-- numbers: written by models.train.ship -->", "<!-- end of numbers -->"
SUBJECTS = ("motorcycle", "car", "bus", "truck", "any four-wheeler")
THREADS = (1, 2)


def with_numbers(card: str, street: Sequence[Verdict], persons: Sequence[Verdict]) -> str:
    """The card with fresh tables between its marks.

    Args:
        card: The card's text.
        street: Verdicts on the validation cameras, of one run: the shipped model's first.
        persons: Verdicts on vtest.avi, likewise; a model is found in both by the hash of its bytes.

    Raises:
        ValueError: The card lacks the marks.
    """
    if card.count(BEGIN) != 1 or card.count(END) != 1:
        raise ValueError(f"the card needs one line {BEGIN!r} and one {END!r} around its numbers")
    before, rest = card.split(BEGIN)
    after = rest.split(END)[1]
    tables = "\n".join([*_accuracy(street, persons), "", *_sizes(street[0]), "", *_speed(street)])
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _accuracy(street: Sequence[Verdict], persons: Sequence[Verdict]) -> Iterator[str]:
    by_hash = {verdict["model"]["sha256"]: verdict for verdict in persons}
    yield f"| AP50 | {' | '.join(SUBJECTS)} | person on vtest.avi |"
    yield "|---" + "|---:" * (len(SUBJECTS) + 1) + "|"
    for verdict in street:
        cells = [_ap(verdict, subject) for subject in SUBJECTS]
        cells.append(_ap(by_hash.get(verdict["model"]["sha256"]), "person"))
        yield f"| {_name(verdict)} | {' | '.join(cells)} |"


def _sizes(own: Verdict) -> Iterator[str]:
    yield "| AP50 by height at 640x360 | objects | 12-24 px | 24-64 px | from 64 px | AP50-95 |"
    yield "|---|---:|---:|---:|---:|---:|"
    for subject, row in own["classes"].items():
        bands = [_number(row["ap50_by_size"].get(band)) for band in ("small", "medium", "large")]
        yield f"| {subject} | {row['objects']} | {' | '.join(bands)} | {_number(row['ap50_95'])} |"


def _speed(street: Sequence[Verdict]) -> Iterator[str]:
    yield "| ms a frame, median (95th) | 1 thread | 2 threads | the model alone, 2 threads | peak memory, MB |"
    yield "|---|---:|---:|---:|---:|"
    for verdict in street:
        rows = {row["threads"]: row for row in verdict["latency"]}
        if set(THREADS) - set(rows):
            continue
        cells = [f"{rows[n]['median_ms']:.1f} ({rows[n]['p95_ms']:.1f})" for n in THREADS]
        cells += [f"{rows[2]['model_median_ms']:.1f}", f"{rows[2]['peak_memory_mb']:.0f}"]
        yield f"| {_name(verdict)} | {' | '.join(cells)} |"


def _name(verdict: Verdict) -> str:
    model = verdict["model"]
    return f"{model['name']} {model.get('version', '')}".strip()


def _ap(verdict: Verdict | None, subject: str) -> str:
    return _number(None if verdict is None else verdict["classes"].get(subject, {}).get("ap50"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    """Write fresh tables into a card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("card", "street", "persons"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    street, persons = (json.loads(file.read_text(encoding="utf-8")) for file in (args.street, args.persons))
    args.card.write_text(with_numbers(args.card.read_text(encoding="utf-8"), street, persons), encoding="utf-8")


if __name__ == "__main__":
    main()
