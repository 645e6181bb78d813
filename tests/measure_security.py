"""The report on crowds and vandalism: a table and pictures of how well each sign works.

    python -m tests.measure_security --out DIR [--only tampering] [--hours 1] [--quick]

Writes ``report.md``, ``report.json`` and the pictures to DIR, cheapest section first and after each section anew. What
was measured is kept in DIR piece by piece: called again with the same DIR and models, and with the code that a section
runs through unchanged, it goes on where it ended; the report holds every section measured so far and names the others.
``--quick`` measures a sample of each, to see that it works; its figures are no proof. Needs the data folder ../shared
and vtest.avi (``kentongan demo`` fetches it). Pictures that show frames of the shared data are marked and never belong
into a repository. Exits with 1 where a figure is below its floor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from agent.ops.assets import default_model
from tests.security.bench import VIDEO, VTEST, Bench
from tests.security.table import MEASURES, keep_section, kept_sections, write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the report, and for what is kept")
    parser.add_argument("--only", choices=tuple(MEASURES), action="append", help="may be given again (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure a sample, to see that it works")
    parser.add_argument("--hours", type=float, default=1.0, help="of ordinary footage, of each clip (default: 1)")
    parser.add_argument("--model", type=Path, default=default_model(), help="the detector")
    parser.add_argument("--labels", help="labels of a foreign model: coco, or names with commas between")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    missing = [str(file) for file in (VIDEO / "counts.json", VTEST) if not file.is_file()]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not there; what is measured needs the shared data and vtest.avi")
    cv2.setNumThreads(1)
    bench = Bench(args.out, args.model, args.labels, quick=args.quick, hours=args.hours)
    text = ""
    for name in args.only or MEASURES:
        print(f"measuring {name} …", flush=True)
        keep_section(bench, name, MEASURES[name](bench))
        text = write_report(args.out, kept_sections(bench), quick=args.quick)
    print(text)
    missed = [figure for each in kept_sections(bench).values() for figure in each.figures if figure.reached == "missed"]
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
