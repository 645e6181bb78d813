"""What must agree between parts of a configuration: names used once, models that exist, one place for a password.

Reads the plain values, so that these faults are found in the same pass as all the others, whatever else is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from agent.config.describe import may_be_left_out, words_for
from agent.config.document import Document
from agent.config.explain import place
from agent.config.fault import Fault, Path, shown

BUILT_IN_MODEL: Final = "street"
CONFIGURATION: Final = "configuration"
"""The slot of signed lines and zones, beside those of the models."""
_NO_PAIR: Final = "a client certificate needs both cert_file and key_file"


def disagreements(document: Document) -> list[Fault]:
    """Every fault between parts, in the order of the file."""
    return [
        *_names_twice(document, (("cameras",),), "cameras"),
        *(fault for path, _ in _cameras(document) for fault in _in_camera(document, path)),
        *_models(document),
        *_passwords(document),
        *_certificates(document),
    ]


def empty_sections(document: Document) -> Iterator[Fault]:
    """Sections whose keys stand there with nothing below: off by the schema, though the contrary is surely meant."""
    for path, mark in document.marks.items():
        above = document.at(path[:-1])  # of a key written twice only one value is there, but the marks of both
        is_there = isinstance(above, dict) and path[-1:] and path[-1] in above
        if is_there and document.at(path) is None and may_be_left_out(path):
            wrong = f"{place(path, document)} is empty, so it would count as not written"
            yield Fault(mark, path, wrong, f"delete the key, or write {words_for(path)} below it")


def _cameras(document: Document) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield from _items(document, ("cameras",))


def _items(document: Document, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings in a list, each with its path; anything else there is the validator's to refuse."""
    value = document.at(path)
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield (*path, index), item


def _in_camera(document: Document, path: Path) -> Iterator[Fault]:
    # Lines, zones and protected regions share one space of names: an event says `where` by name alone.
    lists = tuple((*path, part) for part in ("lines", "zones", "protected"))
    yield from _names_twice(document, lists, "lines, zones or protected regions of this camera")


def _names_twice(document: Document, lists: tuple[Path, ...], what: str) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for path, item in (pair for list_path in lists for pair in _items(document, list_path)):
        name = item.get("name")
        if not isinstance(name, str):
            continue
        name_path = (*path, "name")
        line = document.mark(name_path).line
        if name in seen:
            wrong = f"two {what} are called {shown(name, name_path)}, the other on line {seen[name]}"
            yield Fault(document.mark(name_path), name_path, wrong, "give each its own name")
        seen.setdefault(name, line)


def _models(document: Document) -> Iterator[Fault]:
    models = document.at(("models",))
    if isinstance(models, dict) and CONFIGURATION in models:
        path: Path = ("models", CONFIGURATION)
        wrong = f'no model can be called "{CONFIGURATION}": updates of lines and zones are told under that name'
        yield Fault(document.mark(path), path, wrong, "give it another name")
    known = [*models, BUILT_IN_MODEL] if isinstance(models, dict) else [BUILT_IN_MODEL]
    for path, camera in _cameras(document):
        wanted, model_path = camera.get("model"), (*path, "model")
        if isinstance(wanted, str) and wanted not in known:
            near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"write one of {', '.join(sorted(set(known)))}"
            wrong = f"{place(model_path, document)}: no model is called {shown(wanted, model_path)}"
            yield Fault(document.mark(model_path), model_path, wrong, f"{hint} Models are named under models:")


def _passwords(document: Document) -> Iterator[Fault]:
    logins: list[tuple[Path, object]] = [(("mqtt", "login"), "")]
    logins += [((*path, "login"), camera.get("source")) for path, camera in _cameras(document)]
    for path, source in logins:
        login = document.at(path)
        if not isinstance(login, dict):
            continue
        if login.get("password_file") is not None and login.get("password_env") is not None:
            wrong = f"{place(path, document)} names both password_file and password_env"
            yield Fault(document.mark(path), path, wrong, "keep one of them")
        if isinstance(source, str) and login and has_user(source):
            wrong = f"{place(path, document)} is given, and the source's address holds a user as well"
            yield Fault(document.mark(path), path, wrong, "take user and password out of the address")


def _certificates(document: Document) -> Iterator[Fault]:
    path: Path = ("mqtt", "tls")
    tls = document.at(path)
    if isinstance(tls, dict) and (tls.get("cert_file") is None) != (tls.get("key_file") is None):
        yield Fault(document.mark(path), path, f"mqtt.tls: {_NO_PAIR}", "give both or neither")


def has_user(source: str) -> bool:
    """Whether an address names a user in front of its host."""
    try:
        return "@" in urlsplit(source).netloc
    except ValueError:
        return False
