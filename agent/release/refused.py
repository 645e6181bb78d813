"""Rules that can't be signed, in a sentence: which option, what was written, and what to write instead.

The limits are those of :mod:`agent.update.offer`; a test holds the words here against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from agent.release.faults import ReleaseError

_TAGS: Final = "names of lower-case letters, digits, '.', '_' and '-'"
_VERSION: Final = "a version such as 0.4.1"
WANTED: Final[Mapping[str, tuple[str, str]]] = {
    "percent": ("--percent", "a whole number from 0 to 100"),
    "groups": ("--groups", _TAGS),
    "hardware": ("--hardware", _TAGS),
    "min_agent": ("--min-agent", _VERSION),
    "max_agent": ("--max-agent", _VERSION),
    "hold.failed_percent": ("--hold-percent", "a whole number from 1 to 99"),
    "hold.min_failed": ("--hold-least", "a whole number from 1"),
    "slot": ("--slot", "the model's name in the boxes' configurations"),
    "max_slowdown_percent": ("--max-slowdown-percent", "a whole number from 100 to 10000"),
    "why": ("--why", "at most 500 characters"),
    "name": ("the name in the model file", "at most 200 characters (kentongan models describe)"),
    "version": ("the version in the model file", "at most 200 characters (kentongan models describe)"),
}
"""By field of an offer or a rollout: what the maintainer knows it as, and what may be written there."""


def refused(error: ValidationError) -> ReleaseError:
    """The error for the first field that is wrong."""
    first = error.errors(include_url=False)[0]
    field = ".".join(step for step in first["loc"] if isinstance(step, str)).removeprefix("rollout.")
    option, wanted = WANTED.get(field, (field or "the rules", "what `kentongan release add --help` shows"))
    written = " ".join(str(first["input"]).split())
    return ReleaseError(f"{option} can't be {written[:60] or 'empty'}; write {wanted}")
