"""An example that was copied and not filled in yet: its own marks say so, and which keys wait for what.

Judging an example's values would give a list of faults that nobody made. Reads the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agent.config.document import Document
from agent.config.explain import place
from agent.config.fault import Path
from agent.ops.findings import Finding, Level

MARK: Final = "CHANGE"
_MARKED: Final = re.compile(rf"(?<!\S)# {MARK}\b")


def check_filled_in(text: str, document: Document) -> list[Finding]:
    """One finding that names every key still marked; none for a configuration without marks.

    Args:
        text: The configuration as it is written.
        document: The same, read.
    """
    marked = list(_marked_keys(text, document))
    if not marked:
        return []
    wrong = f"this example is not filled in: {MARK} still stands at {', '.join(place(key, document) for key in marked)}"
    hint = "write what is true of your box in each of these lines, delete the mark, and check again"
    return [Finding(Level.ERROR, marked[0], wrong, hint)]


def _marked_keys(text: str, document: Document) -> Iterator[Path]:
    """The first key of every line with a mark, in the order of the file; a comment on a line of its own is none."""
    keys: dict[int, Path] = {}
    for path, mark in document.marks.items():
        if path and isinstance(path[-1], str):
            keys.setdefault(mark.line, path)
    for number, line in enumerate(text.split("\n"), start=1):
        if number in keys and _MARKED.search(line):
            yield keys[number]
