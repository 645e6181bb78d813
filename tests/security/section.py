"""What a measurement hands back: figures against their floor and aim, a table of details, pictures, plain data.

Nothing here measures or draws. A figure knows by itself whether it is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from tests.security.bench import Bench

Reached: TypeAlias = Literal["aim", "floor", "missed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the report.

    Attributes:
        what: Of what, in words.
        value: The number, in the unit of floor and aim.
        floor: What is the least that is promised.
        aim: What is aimed at.
        form: How numbers are written: a format, ``{:.1%}`` for instance.
        small_is_good: Less is better, as for errors; else more.
    """

    what: str
    value: float
    floor: float
    aim: float
    form: str = "{:.2f}"
    small_is_good: bool = False

    @property
    def reached(self) -> Reached:
        """Whether the value is as good as the aim, the floor, or neither; what is no number is missed."""
        for name, level in (("aim", self.aim), ("floor", self.floor)):
            if self.value <= level if self.small_is_good else self.value >= level:
                return name
        return "missed"

    def cells(self) -> tuple[str, ...]:
        """As a row: what, value, floor, aim, reached."""
        sign = "≤ " if self.small_is_good else "≥ "
        floor, aim = (sign + self.form.format(level) for level in (self.floor, self.aim))
        return self.what, self.form.format(self.value), floor, aim, self.reached


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the report.

    Attributes:
        name: The file's name in the report's folder.
        caption: What it shows.
        private: It shows frames of the shared data: never commit or publish it.
    """

    name: str
    caption: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What one measurement found.

    Attributes:
        title: Its heading.
        figures: Numbers against what is promised.
        text: How it was measured, and what the numbers can't say; Markdown.
        details: A table, its head first; may be empty.
        pictures: Files that were written.
        data: Everything, for machines: JSON values only.
    """

    title: str
    figures: tuple[Figure, ...]
    text: str = ""
    details: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


class Measure(Protocol):
    """Measures one thing on a bench."""

    def __call__(self, bench: Bench) -> Section:
        """Measure; pictures go into the bench's folder."""
        ...
