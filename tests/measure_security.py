"""The report on crowds and vandalism: a table and pictures of how well each sign works.

    python -m tests.measure_security --out DIR [--only tampering] [--quick]

Writes ``report.md``, ``report.json`` and the pictures to DIR, and what the detector saw to DIR/seen, which the next
run reads. Needs the data folder ../shared and vtest.avi (``kentongan demo`` fetches it). Pictures that show frames of
the shared data are marked and never belong into a repository. Exits with 1 where a figure is below its floor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from agent.ops.assets import default_model
from tests.security.bench import Bench
from tests.security.table import MEASURES, write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--only", choices=tuple(MEASURES), action="append", help="may be given again (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure less, to see that it works")
    parser.add_argument("--model", type=Path, default=default_model(), help="the detector")
    parser.add_argument("--labels", help="labels of a foreign model: coco, or names with commas between")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    bench = Bench(args.out, args.model, args.labels, quick=args.quick)
    sections = {}
    for name in args.only or MEASURES:
        print(f"measuring {name} …", flush=True)
        sections[name] = MEASURES[name](bench)
        text = write_report(args.out, sections, quick=args.quick)
    print(text)
    return int(any(figure.reached == "missed" for section in sections.values() for figure in section.figures))


if __name__ == "__main__":
    sys.exit(main())
