"""An example that was copied and not filled in yet: its own marks say so, and which keys wait for what.

A mark alone proves nothing, since who fills a line in may leave it: a key is unfilled where its mark is there and its
value is still a shipped example's, or plainly a placeholder. Other marks are worth a hint. Reads texts alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from agent.config.document import Document, parse
from agent.config.explain import place
from agent.config.fault import Path
from agent.ops.findings import Finding, Level

MARK: Final = "CHANGE"
_MARKED: Final = re.compile(rf"(?<!\S)# {MARK}\b")
_PLACEHOLDER: Final = re.compile(rf"\b{MARK}(_?ME)?\b|\bexample\b|\.invalid\b")
_SCANNER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[int, int]
"""A line and a column, both from 1."""


def check_filled_in(text: str, document: Document, examples: Sequence[str] = ()) -> list[Finding]:
    """An error that names every key that still waits, a warning that names the marks left at others; either or none.

    Args:
        text: The configuration as it is written.
        document: The same, read.
        examples: The texts of the examples that ship with the agent.
    """
    marked = list(_marked_keys(text, document))
    if not marked:
        return []
    shipped = {each for example in examples for each in _shipped_values(example)}
    waiting = [key for key in marked if _is_unfilled(key, document, shipped)]
    left = [key for key in marked if key not in waiting]
    findings = []
    if waiting:
        wrong = f"this example is not filled in: {MARK} still stands at {_places(waiting, document)}"
        hint = "write what is true of your box in each of these lines, delete the mark, and check again"
        findings.append(Finding(Level.ERROR, waiting[0], wrong, hint))
    if left:
        wrong = f"the mark {MARK} was left at {_places(left, document)}, where the example's value is no more"
        findings.append(Finding(Level.WARNING, left[0], wrong, "delete the mark where the value is true of your box"))
    return findings


def _places(keys: Sequence[Path], document: Document) -> str:
    return ", ".join(place(key, document) for key in keys)


# What a key holds


def _is_unfilled(key: Path, document: Document, shipped: set[tuple[Path, str]]) -> bool:
    value = document.at(key)
    return _held(key, value) in shipped or any(map(_PLACEHOLDER.search, _texts(value)))


def _shipped_values(example: str) -> Iterator[tuple[Path, str]]:
    document = parse(example, "an example")
    for key in _marked_keys(example, document):
        yield _held(key, document.at(key))


def _held(key: Path, value: object) -> tuple[Path, str]:
    """A key wherever it stands in its lists, with its value: cameras may have been put in another order."""
    return tuple("*" if isinstance(step, int) else step for step in key), json.dumps(value, sort_keys=True)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


# Which keys are marked


def _marked_keys(text: str, document: Document) -> Iterator[Path]:
    """The key or list item of every line with a mark, in the order of the file; a comment line of its own is none."""
    if MARK not in text:
        return
    lines = text.split("\n")
    values = _scalars(text)
    for number, line in enumerate(lines, start=1):
        for mark in _MARKED.finditer(line):
            at = (number, mark.start() + 1)
            if line[: mark.start()].strip() and not any(begin <= at < end for begin, end in values):
                yield _key_of(number, line[: mark.start()], lines, document)
                break


def _scalars(text: str) -> list[tuple[Place, Place]]:
    """From where to where texts go, in which a # begins no comment; of a folded one, the lines after its > or |."""
    found = []
    for token in yaml.scan(text, Loader=_SCANNER):
        if isinstance(token, yaml.ScalarToken) and token.end_mark.index > token.start_mark.index:
            begin = (token.start_mark.line + 1, token.start_mark.column + 1)
            if token.style in {"|", ">"}:
                begin = (token.start_mark.line + 2, 1)
            end = (token.end_mark.line + 1, token.end_mark.column + 1)
            if MARK in text[token.start_mark.index : token.end_mark.index]:
                found.append((begin, end))
    return found


def _key_of(number: int, before: str, lines: Sequence[str], document: Document) -> Path:
    """What a mark on a line is about, by what stands before it on the line."""
    places = [(path, mark) for path, mark in document.marks.items() if path]
    here = [(path, mark) for path, mark in places if mark.line == number]
    if here:
        path, mark = here[0]
        item_of_keys = isinstance(path[-1], int) and isinstance(document.at(path), dict)
        if item_of_keys and not lines[number - 1].startswith("{", mark.column - 1) and len(here) > 1:
            return here[1][0]  # "- name: x": the mark is about the name, not about all of the item
        return path
    if not before.strip("- "):  # a dash alone: its item begins below
        return next((path for path, mark in places if mark.line > number), ())
    above = [path for path, mark in places if mark.line < number and isinstance(path[-1], str)]
    return above[-1] if above else ()  # the end of what was begun above
