"""The report's pictures: bars against a floor, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def bars(
    path: Path, title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]], *, floor: float | None = None
) -> None:
    """Bars side by side, a group for each name, with a line where the floor is."""
    figure = Figure(figsize=(max(6, 1.1 * len(groups) + 2), 3.6), layout="constrained")
    axis = figure.subplots()
    places, width = np.arange(len(groups)), 0.8 / max(1, len(series))
    for number, (name, values) in enumerate(series.items()):
        axis.bar(places + (number - (len(series) - 1) / 2) * width, values, width * 0.92, label=name)
    if floor is not None:
        axis.axhline(floor, color="black", linestyle="--", linewidth=1, label="floor")
    axis.set_xticks(places, groups)
    axis.set_title(title)
    axis.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def curves(
    path: Path,
    title: str,
    axes: tuple[str, str],
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    level: float | None = None,
) -> None:
    """Curves over one axis, with a line at a level of the other."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axis = figure.subplots()
    for name, (x, y) in series.items():
        axis.plot(x, y, label=name, linewidth=1.4)
    if level is not None:
        axis.axhline(level, color="black", linestyle="--", linewidth=1, label="level")
    axis.set(xlabel=axes[0], ylabel=axes[1], title=title)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
