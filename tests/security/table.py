"""The table of what is measured, and the report made of it: Markdown, JSON and pictures in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.security import aggression, cost, crowd, far_crowd, lookalikes, protected, tampering
from tests.security.section import Measure, Section

MEASURES: Final[Mapping[str, Measure]] = {
    "tampering": tampering.measure,
    "protected": protected.measure,
    "lookalikes": lookalikes.measure,
    "crowd": crowd.measure,
    "far_crowd": far_crowd.measure,
    "aggression": aggression.measure,
    "cost": cost.measure,
}
"""In the order of the report. A new measurement is one line here."""

_HEAD: Final = ("", "value", "floor", "aim", "reached")


def write_report(folder: Path, sections: Mapping[str, Section], *, quick: bool = False) -> str:
    """Write ``report.md`` and ``report.json`` beside the pictures; returns the Markdown."""
    rows = [figure.cells() for section in sections.values() for figure in section.figures]
    parts = ["# Crowds and vandalism, measured", _table((_HEAD, *rows))]
    if quick:
        parts.insert(1, "Quick run: it shows that measuring works. The figures are no proof.")
    parts += [_part(section) for section in sections.values()]
    text = "\n\n".join(parts) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    plain = {
        name: {"figures": {f.what: {"value": f.value, "reached": f.reached} for f in section.figures}, **section.data}
        for name, section in sections.items()
    }
    (folder / "report.json").write_text(json.dumps({"quick": quick, **plain}, indent=1) + "\n", encoding="utf-8")
    return text


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
