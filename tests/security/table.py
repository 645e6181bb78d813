"""The table of what is measured, and the report made of it: Markdown, JSON and pictures in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.security import aggression, cost, crowd, far_crowd, lookalikes, protected, tampering
from tests.security.bench import Bench
from tests.security.section import Figure, Measure, Picture, Section

MEASURES: Final[Mapping[str, Measure]] = {
    "crowd": crowd.measure,
    "cost": cost.measure,
    "tampering": tampering.measure,
    "lookalikes": lookalikes.measure,
    "far_crowd": far_crowd.measure,
    "aggression": aggression.measure,
    "protected": protected.measure,
}
"""Cheapest first. A new measurement is one line here."""

_HEAD: Final = ("", "value", "floor", "aim", "reached")


def keep_section(bench: Bench, name: str, section: Section) -> None:
    """Keep what a measurement came to."""
    path = _kept(bench, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(section), indent=1) + "\n", encoding="utf-8")


def kept_sections(bench: Bench) -> dict[str, Section]:
    """Every section measured so far with the present code and models, and as quickly, in the order of the table."""
    kept = {name: _kept(bench, name) for name in MEASURES}
    return {name: _read(json.loads(path.read_bytes())) for name, path in kept.items() if path.is_file()}


def write_report(folder: Path, sections: Mapping[str, Section], *, quick: bool = False) -> str:
    """Write ``report.md`` and ``report.json`` beside the pictures; returns the Markdown."""
    rows = [figure.cells() for section in sections.values() for figure in section.figures]
    parts = ["# Crowds and vandalism, measured", _table((_HEAD, *rows))]
    if quick:
        parts.insert(1, "Quick run, a sample: it shows that measuring works. The figures are no proof.")
    if absent := [name for name in MEASURES if name not in sections]:
        parts.append(f"Not measured with this code: {', '.join(absent)}.")
    parts += [_part(section) for section in sections.values()]
    text = "\n\n".join(parts) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    plain = {
        name: {"figures": {f.what: {"value": f.value, "reached": f.reached} for f in section.figures}, **section.data}
        for name, section in sections.items()
    }
    (folder / "report.json").write_text(json.dumps({"quick": quick, **plain}, indent=1) + "\n", encoding="utf-8")
    return text


def _kept(bench: Bench, name: str) -> Path:
    return bench.out / "kept" / bench.stamp(name) / ("quick" if bench.quick else "whole") / f"{name}.json"


def _read(plain: Mapping[str, Any]) -> Section:
    return Section(
        plain["title"],
        tuple(Figure(**each) for each in plain["figures"]),
        plain["text"],
        tuple(tuple(row) for row in plain["details"]),
        tuple(Picture(**each) for each in plain["pictures"]),
        plain["data"],
    )


def _part(section: Section) -> str:
    parts = [f"## {section.title}", section.text, _table(section.details)]
    for picture in section.pictures:
        private = " *Shows frames of the shared data: not for publishing.*" if picture.private else ""
        parts.append(f"![{picture.caption}]({picture.name})\n\n{picture.caption}{private}")
    return "\n\n".join(part for part in parts if part)


def _table(rows: tuple[tuple[str, ...], ...]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
