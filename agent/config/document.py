"""A YAML file as plain values, each with its place; nothing of YAML's surprises gets through.

Promises plain mappings, lists, texts, numbers, truth values and nothing else, no deeper than 20 levels, with every
fault of the notation collected. Never builds an object from a tag, never expands an alias, never reads a device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from stat import S_ISREG
from typing import Any, Final

import yaml

from agent.config.fault import Fault, FaultyConfigError, Mark, Path, shown_key

LARGEST_BYTES: Final = 1_000_000
DEEPEST: Final = 20
MOST_VALUES: Final = 200_000
LONGEST_TEXT: Final = 4096
_LONGEST_NUMBER: Final = 30

_TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
_WHOLE: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# What YAML 1.1 and 1.2 read differently: truth words, octal, hexadecimal, base 60, underscores, dates.
_AMBIGUOUS: Final = re.compile(
    r"(?:yes|no|on|off|y|n)|[-+]?0[0-9]+|[-+]?0[xob][0-9a-f_]+|[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"
    r"|[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?",
    re.IGNORECASE,
)
# Control characters, and the line ends that only YAML counts: line numbers would differ from the editor's.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        value: Plain values of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``.
        marks: Where each value begins, by its path; the keys of mappings have the path of their value.
        faults: What is wrong with the notation, in the order it was met.
        ambiguous: Texts that some YAML readers would take for something else, by path.
    """

    value: Any = None
    marks: dict[Path, Mark] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    ambiguous: dict[Path, str] = field(default_factory=dict)

    def mark(self, path: Path) -> Mark:
        """The place of a value, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                return self.marks[path[:length]]
        return Mark(1, 1)

    def at(self, path: Path) -> Any:
        """The value a path leads to; ``None`` when the path leaves the document."""
        value = self.value
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value


def read_text(file: FilePath) -> str:
    """The text of a configuration file.

    Raises:
        FaultyConfigError: It can't be read, is no plain file, is too large, or is not UTF-8.
    """
    try:
        if not S_ISREG(file.stat().st_mode):
            raise _whole_file(file, "this is no plain file", "give the name of a YAML file")
        with file.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "the name is not usable"
        raise _whole_file(file, f"can't be read ({reason})", "check the name and who may read it") from None
    if len(content) > LARGEST_BYTES:
        limit = f"more than {LARGEST_BYTES // 1000} kB"
        raise _whole_file(file, f"the file is too large ({limit})", "keep it to the settings of one box")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = Fault(Mark(line, 1), (), "this is not UTF-8", "save the file with the encoding UTF-8")
        raise FaultyConfigError(str(file), [fault]) from None


def parse(text: str, file: str, loader: Any = _LOADER) -> Document:
    """The values of a YAML text.

    Args:
        text: The YAML, its lines ending in a line feed.
        file: How faults call it.
        loader: PyYAML's class that parses: the one in C where the machine has it.

    Raises:
        FaultyConfigError: The text can't be read to its end as YAML; faults that leave it readable are in the result.
    """
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        mark = _mark_of(text, odd.start())
        hint = "delete it, and save the file as plain UTF-8 text"
        raise FaultyConfigError(file, [Fault(mark, (), f"a character that can't be seen (U+{ord(odd[0]):04X})", hint)])
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise FaultyConfigError(file, [*builder.document.faults, _syntax_fault(error, text)]) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        last = Mark(builder.line, 1)
        fault = Fault(last, (), "the file can't be read as YAML from here", "compare it with an example")
        raise FaultyConfigError(file, [*builder.document.faults, fault]) from None
    except _StopReading as stop:
        raise FaultyConfigError(file, [*builder.document.faults, stop.fault]) from None
    return builder.document


def _whole_file(file: FilePath, wrong: str, hint: str) -> FaultyConfigError:
    return FaultyConfigError(str(file).replace("\0", "?"), [Fault(Mark(1, 1), (), wrong, hint)])


def _mark_of(text: str, offset: int) -> Mark:
    return Mark(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


class _StopReading(Exception):  # noqa: N818 - it ends the reading; the error is the fault it carries
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    key_lines: dict[str, int] = field(default_factory=dict)
    twice: bool = False


class _Builder:
    """Builds a document from the parser's events, without recursion."""

    def __init__(self) -> None:
        self.document = Document()
        self.line = 1
        self._open: list[_Open] = []
        self._documents = 0
        self._values = 0

    def take(self, event: Any) -> None:
        """Take the next event of the parser."""
        self.line = event.start_mark.line + 1
        mark = Mark(self.line, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _StopReading(Fault(mark, (), "a second document begins here (---)", "keep one document a file"))
        elif isinstance(event, yaml.AliasEvent):
            self._fault(mark, "an alias (*) is not used here", "write the value out")
            self._place(None, mark)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, mark)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event, mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()

    def _path(self) -> Path:
        if not self._open:
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return (*top.path, top.key if top.key is not None else "?")

    def _fault(self, mark: Mark, wrong: str, hint: str) -> None:
        self.document.faults.append(Fault(mark, self._path(), wrong, hint))

    def _plain(self, event: Any, mark: Mark) -> None:
        """Refuse what only YAML knows: tags and anchors."""
        if event.anchor is not None:
            self._fault(mark, "an anchor (&) is not used here", "delete it and write each value out")
        if event.tag is not None:
            self._fault(mark, "a tag (!) is not used here", "delete it; put text that begins with ! in quotes")

    def _expects_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _begin(self, event: Any, mark: Mark) -> None:
        self._plain(event, mark)
        if len(self._open) >= DEEPEST:
            wrong = f"values are nested more than {DEEPEST} deep"
            raise _StopReading(Fault(mark, self._path()[:4], wrong, "no setting is so deep; look for a stray [ or {"))
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if self._expects_key():
            self._fault(mark, "a mapping or list stands where a key belongs", "write a plain word and a colon")
            # What lies inside is read for its own faults and then forgotten.
            self._open.append(_Open(value, (*self._path(), "?")))
            self._open[-2].key, self._open[-2].twice = "?", True
            return
        path = self._path()
        self._place(value, mark)
        self._open.append(_Open(value, path))

    def _scalar(self, event: Any, mark: Mark) -> None:
        self._plain(event, mark)
        text: str = event.value
        if self._expects_key():
            self._key(text, mark)
            return
        value: Any = text
        if _UNPRINTABLE.search(text) or "\n" in text:
            self._fault(mark, "a text with a line break or control character", "write it on one line; fold with >-")
        elif len(text) > LONGEST_TEXT:
            self._fault(mark, f"a text of {len(text)} characters", f"write at most {LONGEST_TEXT}")
            value = None
        elif event.implicit[0] and event.tag is None:
            value = self._resolve(text, mark)
        self._place(value, mark)

    def _key(self, text: str, mark: Mark) -> None:
        top = self._open[-1]
        top.key, top.twice = text, text in top.key_lines
        if top.twice:
            where = f"it is already on line {top.key_lines[text]}"
            self._fault(mark, f"{shown_key(text)} is written twice; {where}", "keep one of them")
        else:
            top.key_lines[text] = mark.line
            self.document.marks[self._path()] = mark

    def _resolve(self, text: str, mark: Mark) -> Any:
        """A plain scalar by YAML 1.2's core schema; what YAML 1.1 reads differently stays text and is noted."""
        if text in _NOTHING:
            return None
        if text in _TRUTH:
            return _TRUTH[text]
        if _NOT_FINITE.fullmatch(text) or (len(text) > _LONGEST_NUMBER and _DECIMAL.fullmatch(text)):
            self._fault(mark, "a number without end, or of too many digits", "write a plain number")
            return None
        if _WHOLE.fullmatch(text):
            return int(text)
        if _AMBIGUOUS.fullmatch(text):
            self.document.ambiguous[self._path()] = text
            return text
        return float(text) if _DECIMAL.fullmatch(text) else text

    def _place(self, value: Any, mark: Mark) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            hint = "keep it to the settings of one box"
            raise _StopReading(Fault(mark, (), f"more than {MOST_VALUES} values in one file", hint))
        if not self._open:
            self.document.value = value
            self.document.marks.setdefault((), mark)
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            self.document.marks[self._path()] = mark
            top.value.append(value)
            return
        if top.key is None:  # an alias in the place of a key
            top.key, top.twice = "?", True
            return
        if not top.twice:
            top.value[top.key] = value
        top.key, top.twice = None, False


_INDENT: Final = "indent keys of one mapping by the same number of spaces"
_SYNTAX: Final = (
    ("\\t", "a tab stands where YAML wants spaces", "indent with spaces only"),
    ("mapping values are not allowed", "a colon that YAML can't place", "indent like the lines around it; quote text"),
    ("could not find expected ':'", "a line without its colon", 'write "key: value"'),
    ("unexpected end of stream", "a quote or bracket that is never closed", "close it"),
    ("while scanning a quoted scalar", "a quote that is never closed", "close it, or escape what is inside"),
    ("',' or ']'", "a list [ that is never closed", "put commas between its values and a ] at its end"),
    ("',' or '}'", "a mapping { that is never closed", "put commas between its keys and a } at its end"),
    ("block end", "an indentation that fits nothing above", "indent keys of one mapping by the same number of spaces"),
    (
        "expected key",
        "an indentation that fits nothing above",
        "indent keys of one mapping by the same number of spaces",
    ),
    ("cannot start any token", "a character that can't begin a value", "put the text in quotes"),
    ("escape", "an escape after \\ that YAML doesn't know", "use single quotes for text with a backslash"),
    ("tag", "a tag (!) is not used here", "delete it; put text that begins with ! in quotes"),
)


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    """The parser's complaint in words that help; none of the file's own text is shown."""
    at = error.problem_mark or error.context_mark
    line, column = (at.line + 1, at.column + 1) if at is not None else (1, 1)
    lines = text.split("\n")
    mark = Mark(min(line, len(lines)), column)
    said = f"{error.context} {error.problem}"
    here = lines[mark.line - 1]
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or ("\t" in here[: mark.column] and "token" in said):
        said = "\\t"
    for sign, wrong, hint in _SYNTAX:
        if sign in said:
            return Fault(mark, (), wrong, hint)
    return Fault(mark, (), "this is not YAML", "compare the line and the one above it with an example")
