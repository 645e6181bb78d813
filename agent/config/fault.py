"""What is wrong in a configuration, as a list a person or a program can work through.

A fault has a place, what is wrong there and what to write instead. Its text is made once, here, and never holds a
secret because whoever makes a fault passes the wrong value through :func:`shown`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from agent.config.redact import redact
from agent.errors import ConfigError

Path: TypeAlias = tuple[str | int, ...]

_LONGEST_SHOWN: Final = 60
_SENSITIVE: Final = re.compile(r"pass?w|pass|pwd|secret|token|login|credential|auth|psk|user.?pw", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file, both counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        mark: Where, in the file.
        path: The keys and list indices that lead to the value; empty for the file as a whole, ``?`` for a key that
            is no word.
        wrong: What is wrong, with the wrong value where it may be shown.
        hint: What to write instead.
    """

    mark: Mark
    path: Path
    wrong: str
    hint: str

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.mark.line

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self.mark.column

    def text(self, file: str) -> str:
        """``file:line: what is wrong - what to write instead``."""
        return f"{file}:{self.mark.line}: {self.wrong} \N{EN DASH} {self.hint}"


class FaultyConfigError(ConfigError):
    """A configuration with faults; its message has one line for each.

    Attributes:
        file: The configuration's name as it was given.
        faults: All faults found in one pass, by line.
    """

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.file = file
        clean = {replace(fault, path=tuple(_shown_step(step) for step in fault.path)) for fault in faults}
        self.faults = tuple(sorted(clean, key=lambda fault: (fault.mark, fault.wrong)))
        lines = [fault.text(file) for fault in self.faults[:_MOST_LISTED]]
        if len(self.faults) > _MOST_LISTED:
            lines.append(f"{file}: and {len(self.faults) - _MOST_LISTED} more faults")
        super().__init__("\n".join(lines))


def is_sensitive(path: Path) -> bool:
    """Whether a value here could be a password, so that it is never shown."""
    return any(isinstance(step, str) and _SENSITIVE.search(step) for step in path)


def shown(value: object, path: Path) -> str:
    """A wrong value as a fault may show it: short, on one line, and without secrets."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if is_sensitive(path):
        return "a value that is not shown"
    text = str(value).lower() if isinstance(value, bool) else redact(str(value))
    text = " ".join(text.split())
    text = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"
    return f'"{text}"' if isinstance(value, str) else text


def shown_key(key: str) -> str:
    """A key nobody knows, if it looks like a word; anything else could be a value in the wrong place."""
    return f'"{key}"' if _WORD.fullmatch(key) else "a key that is no word"


def _shown_step(step: str | int) -> str | int:
    return step if isinstance(step, int) or _WORD.fullmatch(step) else "?"
