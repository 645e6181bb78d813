"""Long measurements done piece by piece: what a piece came to is kept at once, and a run that was cut short goes on.

Pieces are kept by the code they ran through, the models and the clip they belong to; with any other they are measured
anew. Progress is a bar on a terminal, and elsewhere a line every half minute.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).resolve().parents[2]
LINE_S: Final = 30.0
"""Where no bar can be drawn, a line comes so often."""
_BAR: Final = 30


def stamp_of(module: str, models: Iterable[Path], root: Path = ROOT) -> str:
    """What the results depend on besides the clips: the code that a module imports, directly or not, and models.

    Comments and how code is laid out don't count, and what is imported by no import statement isn't found.

    Args:
        module: What measures, ``tests.security.crowd`` for instance.
        models: Files.
        root: Where the packages lie.
    """
    digest = hashlib.sha256()
    for path in sorted(_imported(module, root)):
        plain = ast.dump(ast.parse(path.read_bytes()))
        digest.update(hashlib.sha256(f"{path.relative_to(root)} {plain}".encode()).digest())
    for path in models:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _imported(module: str, root: Path) -> set[Path]:
    """The files of a module, of its packages, and of all they import that lies under a root."""
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        parts = waiting.pop().split(".")
        for depth in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:depth])
            fresh = {file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()} - files
            files |= fresh
            waiting += [name for file in fresh for name in _names(ast.parse(file.read_bytes()))]
    return files


def _names(code: ast.Module) -> Iterator[str]:
    """What is imported to run; of ``from a import b`` both, as the second may be a module too."""
    waiting: list[ast.AST] = [code]
    while waiting:
        node = waiting.pop()
        only_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        waiting += node.orelse if only_types else ast.iter_child_nodes(node)  # type: ignore[attr-defined]
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)


class Pieces:
    """Results in a folder, one small JSON file a piece.

    Args:
        folder: Where; made when something is kept.
        out: Where progress is told.
    """

    def __init__(self, folder: Path, out: TextIO = sys.stderr) -> None:
        self._folder = folder
        self._out = out

    def each(self, what: str, work: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Do every piece that is not kept yet, in order, and give the results of all by name: JSON values."""
        found: dict[str, Any] = {}
        bar = _Progress(what, len(work), self._out)
        for name, piece in work.items():
            path = self._folder / f"{what}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
            if not path.is_file():
                _write(path, {"piece": name, "result": piece()})
            found[name] = json.loads(path.read_bytes())["result"]
            bar.step(name)
        return found


class _Progress:
    """How far a measurement is."""

    def __init__(self, what: str, total: int, out: TextIO) -> None:
        self._what, self._total, self._out = what, total, out
        self._done, self._began_s = 0, time.monotonic()
        self._told_s = self._began_s

    def step(self, name: str) -> None:
        """One piece more is done."""
        self._done += 1
        now_s = time.monotonic()
        over = self._done == self._total
        if not self._out.isatty() and not over and now_s - self._told_s < LINE_S:
            return
        self._told_s = now_s
        full = _BAR * self._done // self._total
        text = f"{self._what} [{'#' * full:{_BAR}}] {self._done}/{self._total}, {now_s - self._began_s:.0f} s, {name}"
        ends = "\n" if over or not self._out.isatty() else ""
        self._out.write(f"\r{text:100.100}{ends}" if self._out.isatty() else f"{text}\n")
        self._out.flush()


def _write(path: Path, value: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".new")
    half.write_text(json.dumps(value) + "\n", encoding="utf-8")
    half.replace(path)
