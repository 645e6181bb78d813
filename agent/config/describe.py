"""What belongs at a place of the configuration, in words, read from the schema itself.

The words can't go stale: they are made from the same types that validate. Knows nothing of what was written.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

from agent.config.fault import Path
from agent.config.schema import Config

Node: TypeAlias = dict[str, Any]

_PATTERN_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "^[a-z0-9]": ("a name of lower-case letters, digits, - and _ (at most 63)", "names"),
    "^[a-z][a-z0-9_]": ("one word of lower-case letters, digits and _, such as lebaran", "words"),
    "^([01]": (
        'local times from 00:00 to 23:59, two digits each, such as "22:00-05:00"',
        'spans of local time such as "22:00-05:00"',
    ),
    "^age1": ("a public key: age1 and 58 letters and digits, as `kentongan evidence keygen` prints it", "public keys"),
}
"""One text and several of them, by how its pattern begins."""
OTHER_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "after": ("after_s", "seconds", "settle_s"),
    "after_s": ("seconds", "settle_s"),
    "area": ("polygon",),
    "broker": ("mqtt",),
    "camera": ("cameras",),
    "cars": ("vehicles",),
    "confidence": ("likeness", "score"),
    "corners": ("polygon",),
    "count": ("people", "vehicles"),
    "density": ("per_m2",),
    "direction": ("along",),
    "distance": ("reach", "gap_m"),
    "duration": ("after_s", "seconds", "settle_s", "for_s", "enter_s"),
    "factor": ("times",),
    "fps": ("detect_fps",),
    "id": ("name",),
    "interval": ("interval_s",),
    "kind": ("what",),
    "level": ("likeness", "people"),
    "pass": ("password_file",),
    "password": ("password_file",),
    "path": ("file",),
    "persons": ("people", "least_people"),
    "points": ("polygon",),
    "radius": ("reach",),
    "resolution": ("frame_size",),
    "rtsp": ("source",),
    "seconds": ("after_s", "settle_s", "for_s"),
    "server": ("host",),
    "size": ("frame_size",),
    "speed_kmh": ("slow_kmh", "standing_kmh", "least_kmh"),
    "threshold": ("likeness", "score", "people", "vehicles"),
    "type": ("what",),
    "uri": ("source",),
    "url": ("source",),
    "username": ("user",),
    "window": ("window_s",),
}
"""Words people write for keys that are called otherwise here: the first that there is at a place is meant."""


@cache
def _root() -> Node:
    return Config.model_json_schema()


def _resolve(node: Node) -> Node:
    """A reference followed, keeping the description that stands beside it."""
    while "$ref" in node:
        target: Node = _root()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _choices(node: Node) -> list[Node]:
    return [_resolve(choice) for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]


def node_at(path: Path) -> Node | None:
    """The schema of the value at a path; ``None`` where the schema knows no such place."""
    node: Node | None = _root()
    for step in path:
        node = next((found for choice in _choices(node or {}) if (found := _child(choice, step)) is not None), None)
        if node is None:
            return None
    return node


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, str):
        properties: Node = node.get("properties", {})
        found = properties.get(step, _any_key(node))
    else:
        items: list[Node] = node.get("prefixItems", [])
        found = items[step] if step < len(items) else node.get("items")
    return _resolve(found) if isinstance(found, dict) else None


def _any_key(node: Node) -> Node | None:
    """The schema of every value in a mapping with free keys."""
    by_pattern: Node = node.get("patternProperties", {})
    found = next(iter(by_pattern.values()), node.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def keys_at(path: Path) -> tuple[str, ...]:
    """The keys a mapping at a path may have, in the schema's order."""
    node = node_at(path)
    return tuple(key for choice in _choices(node or {}) for key in choice.get("properties", {}))


def may_be_left_out(path: Path) -> bool:
    """Whether a mapping belongs at a path, or nothing: a section that is off where it is absent."""
    node = node_at(path) or {}
    kinds = {choice.get("type") for choice in map(_resolve, node.get("anyOf", []))}
    return {"object", "null"} <= kinds


def alike(word: str, words: tuple[str, ...]) -> str | None:
    """The word that was probably meant, out of those that exist."""
    others = {other: key for other, keys in OTHER_WORDS.items() for key in reversed(keys) if key in words}
    meant = others | {key: key for key in words}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), meant, n=1, cutoff=0.6)
    return meant[found[0]] if found else None


def homes_of(key: str) -> tuple[str, ...]:
    """The parts of the configuration that do have a key of this name, by the name of the part."""
    found: list[str] = []
    _search(_root(), key, "", found)
    return tuple(dict.fromkeys(found))


def _search(node: Node, key: str, name: str, found: list[str]) -> None:
    for choice in _choices(_resolve(node)):
        properties: Node = choice.get("properties", {})
        if key in properties and name:
            found.append(name)
        for child_name, child in properties.items():
            _search(child, key, child_name, found)
        for inner in (choice.get("items"), _any_key(choice)):
            if isinstance(inner, dict):
                _search(inner, key, name, found)


def words_for(path: Path) -> str:
    """What may be written at a path: ``a number from 5 to 600``; empty when the schema doesn't know the place."""
    node = node_at(path)
    return "" if node is None else " or ".join(dict.fromkeys(_words(choice) for choice in _choices(node)))


def _words(node: Node) -> str:
    if "enum" in node or "const" in node:
        return _option_words(node.get("enum", [node.get("const")]))
    words = _WORDS_BY_TYPE.get(str(node.get("type")), _text_words)
    return words(node)


def _option_words(options: list[object]) -> str:
    listed = ", ".join(f'"{option}"' if isinstance(option, str) else str(option) for option in options)
    return listed if len(options) == 1 else f"one of {listed}"


def _mapping_words(node: Node) -> str:
    names = ", ".join(node.get("properties", {}))
    return f"a mapping with the keys {names}" if names else "a mapping of names"


def _text_words(node: Node) -> str:
    if (words := _by_pattern(node)) is not None:
        return words[0]
    longest = f" of at most {node['maxLength']} characters" if "maxLength" in node else ""
    return ("the name of a file" if node.get("format") == "path" else "text") + longest + _example(node)


def _by_pattern(node: Node) -> tuple[str, str] | None:
    pattern = str(node.get("pattern", ""))
    return next((words for begin, words in _PATTERN_WORDS.items() if pattern.startswith(begin)), None)


def _example(node: Node) -> str:
    """For what must have a form that words would tell badly."""
    return "".join(f' such as "{example}"' for example in node.get("examples", [])[:1])


def _range(node: Node) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    first = f"from {_plain(low)}" if low is not None else f"above {_plain(above)}" if above is not None else ""
    last = f"to {_plain(high)}" if high is not None else f"below {_plain(below)}" if below is not None else ""
    if first and last:
        return f" {first} {last}" if low is not None and high is not None else f" {first} and {_at_most(high, below)}"
    return f" {first or last}" if first or last else ""


def _at_most(high: float | None, below: float | None) -> str:
    return f"at most {_plain(high)}" if high is not None else f"below {_plain(below)}"


def _plain(value: float | None) -> str:
    """A number as an installer would type it, without an exponent."""
    return "" if value is None else str(int(value)) if value == int(value) else f"{value:g}"


def _list_words(node: Node) -> str:
    least, most = node.get("minItems"), node.get("maxItems")
    inner: Node = (node.get("prefixItems") or [node.get("items", {})])[0]
    what = " or ".join(_plural(choice) for choice in _choices(_resolve(inner)))
    if least == most and least is not None:
        return f"a list of {least} {what}"
    return "a list of " + (f"at least {least} " if least else "") + what


def _plural(node: Node) -> str:
    if "enum" in node:
        return f"values, each {_words(node)}"
    if node.get("type") == "array":
        return "points [x, y]"
    if (words := _by_pattern(node)) is not None:
        return words[1]
    plain = {"integer": "whole numbers", "number": "numbers", "object": "mappings"}.get(str(node.get("type")), "texts")
    return plain + _example(node)


_WORDS_BY_TYPE: Final[dict[str, Callable[[Node], str]]] = {
    "integer": lambda node: "a whole number" + _range(node),
    "number": lambda node: "a number" + _range(node),
    "boolean": lambda _node: "true or false",
    "array": _list_words,
    "object": _mapping_words,
}
