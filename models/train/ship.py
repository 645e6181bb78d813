"""Puts a candidate in place of the default model, if its measured numbers reach the floors.

    python -m models.train.ship CANDIDATE.onnx STREET.json PERSONS.json [--output models/street.onnx] [--force]

The JSON files are what `kentongan models eval --json` wrote for this very file: on the validation cameras, with
`--versus yolox_nano_416.onnx` first, and on vtest.avi. Never overwrites a model by one below a floor unless told to.
Writes the numbers into the card beside the output, `street.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from models.train.numbers import with_numbers

STREET_FLOORS = {"motorcycle": 0.78, "car": 0.77, "truck": 0.55, "any four-wheeler": 0.78}
PERSON_FLOOR = 0.90
THREADS = 2


def shortfalls(sha256: str, street: list[dict[str, Any]], persons: list[dict[str, Any]]) -> list[str]:
    """What keeps a candidate from being shipped; empty when nothing does.

    Args:
        sha256: Of the candidate's bytes.
        street: Verdicts on the validation cameras: the candidate's first, then the network to be faster than.
        persons: Verdicts on vtest.avi: the candidate's first.
    """
    found = [
        f"{name}: measured is another file, sha256 {verdicts[0]['model']['sha256'][:12]}; evaluate this one"
        for name, verdicts in (("street", street), ("persons", persons))
        if verdicts[0]["model"]["sha256"] != sha256
    ]
    for subject, floor in STREET_FLOORS.items():
        found += _below(subject, street[0], floor)
    found += _below("person", persons[0], PERSON_FLOOR, where=" on vtest.avi")
    if len(street) < 2:
        return [*found, "latency: nothing to compare with; evaluate with --versus yolox_nano_416.onnx"]
    own, other = _median_ms(street[0]), _median_ms(street[1])
    if own is None or other is None:
        found.append(f"latency: not measured on {THREADS} threads")
    elif own > other:
        found.append(f"latency: {own:.1f} ms on {THREADS} threads, {street[1]['model']['name']} takes {other:.1f} ms")
    return found


def _below(subject: str, verdict: dict[str, Any], floor: float, where: str = "") -> list[str]:
    reached = verdict["classes"].get(subject, {}).get("ap50")
    if reached is None:
        return [f"{subject}{where}: not measured"]
    return [f"{subject}{where}: AP50 {reached:.3f} is below {floor:.2f}"] if reached < floor else []


def _median_ms(verdict: dict[str, Any]) -> float | None:
    return next((float(row["model_median_ms"]) for row in verdict["latency"] if row["threads"] == THREADS), None)


def main() -> None:
    """Compare with the floors, then copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("street", type=Path, help="JSON of the validation cameras")
    parser.add_argument("persons", type=Path, help="JSON of vtest.avi")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent.parent / "street.onnx")
    parser.add_argument("--force", action="store_true", help="ship although it misses a floor")
    args = parser.parse_args()
    sha256 = hashlib.sha256(args.candidate.read_bytes()).hexdigest()
    street, persons = (json.loads(file.read_text(encoding="utf-8")) for file in (args.street, args.persons))
    faults = shortfalls(sha256, street, persons)
    for fault in faults:
        print(fault)
    if faults and not args.force:
        raise SystemExit(f"{args.output} stays as it is; --force ships {args.candidate} all the same")
    card = args.output.with_suffix(".md")
    if card.exists():
        card.write_text(with_numbers(card.read_text(encoding="utf-8"), street, persons), encoding="utf-8")
    shutil.copyfile(args.candidate, args.output)
    print(f"{args.output}: sha256 {sha256}")


if __name__ == "__main__":
    main()
