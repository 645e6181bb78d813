"""The validator's findings in words an installer can act on.

Each finding becomes one fault: what is wrong at which key, the wrong value where it may be shown, and what to write
instead. Findings that only follow from another one are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from agent.config.describe import alike, homes_of, keys_at, words_for
from agent.config.document import Document
from agent.config.fault import Fault, Path, is_sensitive, shown, shown_key
from agent.config.redact import redact

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_TRUTH_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false", "y": "true", "n": "false"}
_KEYS_OF: Final = {"calendar": ("day", "write a day such as 2026-03-20 before the colon")}
"""What the keys of a mapping are where they are no names."""
_POINTS_EXAMPLE: Final = "points: [[0.1, 0.6], [0.9, 0.6]]"


def explain(findings: Iterable[Mapping[str, Any]], document: Document) -> list[Fault]:
    """Faults for the validator's findings (pydantic's ``errors()``) and for texts that YAML readers disagree on.

    Args:
        findings: Dictionaries with ``type``, ``loc`` and ``msg``.
        document: What was validated, with its places.
    """
    known = {fault.path for fault in document.faults}
    faults: dict[Path, Fault] = {}
    for finding in findings:
        path = _path_in(document, finding["loc"], missing=finding["type"] == "missing")
        follows = path in known or path in faults or _is_wrong_length_of_right_list(finding, path, document)
        if not follows:
            faults[path] = _fault(finding, path, document)
    for path, text in document.ambiguous.items():
        if path not in faults and words_for(path):
            faults[path] = _ambiguous(path, text, document)
    return list(faults.values())


def place(path: Path, document: Document) -> str:
    """A path as people read it: ``cameras[simpang-lima].lines[0].points``."""
    words = ""
    for depth, step in enumerate(path):
        if isinstance(step, int):
            item = document.at(path[: depth + 1])
            name = item.get("name") if isinstance(item, dict) else None
            words += f"[{name if isinstance(name, str) and _NAME.fullmatch(name) else step}]"
        else:
            words += ("." if words else "") + (step if _NAME.fullmatch(step.lower()) else "?")
    return words or "the file"


def _path_in(document: Document, location: tuple[str | int, ...], *, missing: bool) -> Path:
    """The part of the validator's location that leads through the document; it also names types on its way."""
    path: Path = ()
    for number, step in enumerate(location):
        if (*path, step) in document.marks:
            path = (*path, step)
        elif missing and number == len(location) - 1:
            return (*path, step)
    return path


def _is_wrong_length_of_right_list(finding: Mapping[str, Any], path: Path, document: Document) -> bool:
    """The validator also calls a list too short whose items are all there, but wrong."""
    value = document.at(path)
    least = finding.get("ctx", {}).get("min_length", 0)
    return finding["type"] == "too_short" and isinstance(value, list) and len(value) >= least


def _fault(finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    if finding["loc"] and finding["loc"][-1] == "[key]":
        kind, hint = _KEYS_OF.get(str(path[-2]), ("name", "write a name of lower-case letters, digits, - and _"))
        wrong = f"{place(path[:-1], document)} has a key that is no {kind}: {shown_key(str(path[-1]))}"
        return Fault(document.mark(path), path, wrong, hint)
    tell = _TELLERS.get(finding["type"], _wrong_value)
    return tell(finding, path, document)


def _missing(_finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    mark = document.mark(path)
    if isinstance(path[-1], int):
        return Fault(mark, path, f"{place(path[:-1], document)} has too few values", f"write {words_for(path[:-1])}")
    return Fault(mark, path, f"{place(path, document)} is missing", f'add "{path[-1]}:" with {words_for(path)}')


def _disagreement(finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    """A validator of our own: its message has a semicolon between what is wrong and what to do."""
    said, _, todo = str(finding["ctx"]["error"]).partition("; ")
    return Fault(document.mark(path), path, f"{place(path, document)}: {redact(said)}", todo or "change one of them")


def _wrong_length(finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    value = document.at(path)
    # The validator counts only the items that are right.
    count = len(value) if isinstance(value, list) else finding["ctx"]["actual_length"]
    wrong = f"{place(path, document)} has {count} {'value' if count == 1 else 'values'}"
    most = f"keep it to at most {finding['ctx']['max_length']}" if finding["type"] == "too_long" else ""
    return Fault(document.mark(path), path, wrong, most or f"write {words_for(path)}")


def _wrong_value(_finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    mark, value, where = document.mark(path), document.at(path), place(path, document)
    words = words_for(path)
    if path in document.ambiguous and words.startswith(("a number", "a whole number")):
        wrong = f"{where}: {shown(value, path)} is not the same number to all YAML readers"
        return Fault(mark, path, wrong, f"write {words}, in plain decimal digits")
    wrong = f"{where} is empty" if value is None else f"{where} can't be {shown(value, path)}"
    return Fault(mark, path, wrong, _hint(path, value))


def _hint(path: Path, value: object) -> str:
    """What to write instead: the best of the special hints, else what the schema says."""
    words = words_for(path)
    for special in (_special_key, _nothing_there, _wrongly_quoted, _truth_word, _name_from):
        hint = special(path, value, words)
        if hint:
            return hint
    return f"write {words}" if words else "compare it with an example"


def _special_key(path: Path, value: object, _words: str) -> str:
    key = path[-1] if path else ""
    if key == "tls":
        return "TLS is on by itself: leave the key out; only for a broker on this very box write plaintext: true"
    if key == "source" and isinstance(value, int):
        return f'write "/dev/video{value}" for a camera on USB'
    if key == "points" and "lines" in path:
        return f"write two points, {_POINTS_EXAMPLE}"
    return ""


def _nothing_there(path: Path, value: object, words: str) -> str:
    return f"delete the key, or write {words} after it" if value is None and path else ""


def _wrongly_quoted(_path: Path, value: object, words: str) -> str:
    number_wanted = words.startswith(("a number", "a whole number", "one of"))
    if isinstance(value, str) and _NUMBER.fullmatch(value) and number_wanted and '"' not in words:
        return f"write {words}, without quotes"
    text_wanted = words.startswith(("text", "a name", "the name of")) or '"' in words
    if isinstance(value, bool | int | float) and text_wanted:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f'write {words}; if "{text}" is meant, put it in quotes'
    return ""


def _truth_word(_path: Path, value: object, words: str) -> str:
    if words == "true or false" and isinstance(value, str):
        word = _TRUTH_WORDS.get(value.lower(), value.lower())
        return f"write {word}" if word in {"true", "false"} else "write true or false"
    return ""


def _name_from(_path: Path, value: object, words: str) -> str:
    return f"write {words}, such as {_slug(value)}" if words.startswith("a name") and isinstance(value, str) else ""


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].rstrip("-")
    return f'"{slug or "camera-1"}"'


def _unknown_key(_finding: Mapping[str, Any], path: Path, document: Document) -> Fault:
    key, parent = str(path[-1]), path[:-1]
    around = place(parent, document)
    known = keys_at(parent)
    meant, homes = alike(key, known), homes_of(key)
    if meant:
        hint = f'did you mean "{meant}"?'
    elif homes:  # a key of another part, so no secret
        hint = f'"{key}" belongs under {" or ".join(homes[:3])}; the keys here are {", ".join(known)}'
    else:
        hint = f"delete it; the keys here are {', '.join(known)}" if known else "delete it"
    # Where passwords live, a key that resembles nothing may be one that lost its place.
    named = f" {shown_key(key)}" if meant or not is_sensitive(parent) else " of that name"
    return Fault(
        document.mark(path), path if meant or not is_sensitive(parent) else parent, f"{around} has no key{named}", hint
    )


def _ambiguous(path: Path, text: str, document: Document) -> Fault:
    """A text that is fine here, but that another YAML reader takes for a truth value, a number or a date."""
    kind = "a truth value" if text.lower() in _TRUTH_WORDS else "a number or a date"
    wrong = f"{place(path, document)}: {shown(text, path)} without quotes is {kind} to some YAML readers"
    return Fault(document.mark(path), path, wrong, "put the text in quotes")


_TELLERS: Final[Mapping[str, Callable[[Mapping[str, Any], Path, Document], Fault]]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "value_error": _disagreement,
    "too_short": _wrong_length,
    "too_long": _wrong_length,
}
