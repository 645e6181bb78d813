"""A JSON Schema of the configuration for editors: completion, hints and red lines while one types.

Generated from the very types that validate, so the two can't differ. JSON Schema draft 7, which the YAML language
server understands whole. Checks between parts (names used once, models that exist) stay with the loader.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from agent.config.schema import Config

Node: TypeAlias = dict[str, Any]

FILE_NAME: Final = "kentongan.schema.json"
DIALECT: Final = "http://json-schema.org/draft-07/schema#"


def editor_schema() -> Node:
    """The schema as plain values."""
    schema = Config.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    plain: Node = _draft_7(schema)
    head = {"$schema": DIALECT, "$id": "urn:kentongan:configuration", "title": "Kentongan configuration"}
    return {**head, **{key: value for key, value in plain.items() if key not in head}}


def editor_schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


def _draft_7(node: Any) -> Any:
    """Write what newer drafts say in the words of draft 7, and leave out what tells a reader nothing."""
    if isinstance(node, list):
        return [_draft_7(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _draft_7(value) for key, value in node.items() if not _says_nothing(key, value)}
    if "prefixItems" in plain:
        # All our tuples hold values of one kind, and their length is said by minItems and maxItems.
        plain["items"] = plain.pop("prefixItems")[0]
    return plain


def _says_nothing(key: str, value: object) -> bool:
    made_up_title = key == "title" and isinstance(value, str)
    return made_up_title or (key == "default" and (value is None or isinstance(value, dict | list)))
