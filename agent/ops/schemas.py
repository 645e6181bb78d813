"""The wire contract as files: a JSON Schema for every message, and an AsyncAPI document over them all.

Promises that the files say exactly what the types in :mod:`agent.records` and those of :mod:`agent.mqtt` say: they
are generated, and a test compares. JSON Schema draft 7, which AsyncAPI 3 and every validator understand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from pydantic import TypeAdapter

from agent.config.editor import FILE_NAME, editor_schema_text
from agent.errors import OutputError
from agent.mqtt.coding import MAX_PAYLOAD_BYTES
from agent.mqtt.messages import MESSAGES, Envelope
from agent.mqtt.topics import BOX_LEAVES, CAMERA_LEAVES, DURABLE, RETAINED, ROOT, TO_BOX
from agent.records import BODIES, CONTRACT_VERSION

Plain: TypeAlias = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
ASYNCAPI_FILE: Final = "asyncapi.yaml"

_ABOUT: Final[Mapping[str, str]] = {
    "status": "Whether the box is there; the broker itself says offline when the box is cut off.",
    "birth": "Who and where this box is: version, cameras, lines, zones, models.",
    "health": "How the box fares, every minute while it is connected.",
    "gap": "Records that had to be dropped: which, how many, why.",
    "ack": "To the box: the highest seq up to which everything is safely stored.",
    "command": "To the box: do this.",
    "reply": "From the box: what became of a command.",
    "count": "What crossed one line in one direction during one interval.",
    "zone": "What was in one zone during one interval.",
    "event": "Something began, changed or ended.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("folder", type=Path, help="where the files go; made when missing")


def execute(args: argparse.Namespace) -> int:
    """Write the files and name them.

    Raises:
        OutputError: The folder can't be written.
    """
    try:
        paths = write(args.folder)
    except OSError as error:
        raise OutputError(f"{args.folder} can't be written: {error.strerror}; name a folder of yours") from error
    for path in paths:
        print(path)
    return 0


def schema_of(leaf: str) -> Plain:
    """The JSON Schema of the messages whose topic ends in ``leaf``: ``count``, ``status``, and so on."""
    if leaf in MESSAGES:
        schema = _from_type(MESSAGES[leaf], always_whole=leaf not in TO_BOX)
    else:
        schema = _joined(
            _from_type(Envelope, always_whole=True),
            _from_type(BODIES[leaf], always_whole=True),  # type: ignore[index]
        )
        camera = schema["properties"].pop("camera")
        if leaf in CAMERA_LEAVES:
            schema["properties"]["camera"] = camera
            schema["required"] = sorted([*schema["required"], "camera"])
    head = {"$schema": DIALECT, "$id": f"urn:kentongan:v{CONTRACT_VERSION}:{leaf}", "title": leaf}
    return {**head, "description": _ABOUT[leaf], **{key: value for key, value in schema.items() if key not in head}}


def asyncapi() -> Plain:
    """The AsyncAPI 3 document: every channel, who sends on it, and which message."""
    leaves = (*BOX_LEAVES, *CAMERA_LEAVES)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kentongan",
            "version": f"{CONTRACT_VERSION}.0.0",
            "description": (
                "Counts and events from a city's cameras. Operations are seen from the box: it sends records, "
                f"receives acks and commands. No payload is larger than {MAX_PAYLOAD_BYTES} bytes."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {leaf: _channel(leaf) for leaf in leaves},
        "operations": {_operation_name(leaf): _operation(leaf) for leaf in leaves},
        "components": {"messages": {leaf: _message(leaf) for leaf in leaves}},
    }


def files() -> dict[str, str]:
    """Every file of the contract, and the schema of configurations, by name."""
    texts = {
        f"{leaf}.schema.json": json.dumps(schema_of(leaf), indent=2, ensure_ascii=False) + "\n"
        for leaf in (*BOX_LEAVES, *CAMERA_LEAVES)
    }
    texts[FILE_NAME] = editor_schema_text()
    texts[ASYNCAPI_FILE] = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=110)
    return texts


def write(folder: Path) -> list[Path]:
    """Write every file of the contract into a folder, and return where they are.

    Raises:
        OSError: The folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
        paths.append(folder / name)
    return paths


def _from_type(of: type[Any], *, always_whole: bool) -> Plain:
    """A type's schema; ``always_whole`` when every field that isn't missing is sent, defaults included."""
    schema: Plain = TypeAdapter(of).json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs", {})
    for part in (schema, *schema["definitions"].values()):
        if always_whole and "properties" in part:
            part["required"] = sorted(name for name, one in part["properties"].items() if not _may_miss(one))
    plain: Plain = _without_null(schema)
    return plain


def _may_miss(one: Plain) -> bool:
    return any(option == {"type": "null"} for option in one.get("anyOf", ()))


def _without_null(node: Any) -> Any:
    """What is missing is absent, never null; draft 7 writes a tuple's items as a list; made-up titles say nothing."""
    if isinstance(node, list):
        return [_without_null(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _without_null(value) for key, value in node.items() if not _is_noise(key, value)}
    if "prefixItems" in plain:
        plain["items"] = plain.pop("prefixItems")
    if _may_miss(plain):
        options = [option for option in plain.pop("anyOf") if option != {"type": "null"}]
        plain = {**(options[0] if len(options) == 1 else {"anyOf": options}), **plain}
    return plain


def _is_noise(key: str, value: Any) -> bool:
    return (key == "default" and value is None) or (key == "title" and isinstance(value, str))


def _joined(envelope: Plain, body: Plain) -> Plain:
    """Two objects as one flat one."""
    return {
        "type": "object",
        "properties": {**envelope["properties"], **body["properties"]},
        "required": sorted([*envelope["required"], *body["required"]]),
        "additionalProperties": False,
        "definitions": {**envelope["definitions"], **body["definitions"]},
    }


def _channel(leaf: str) -> Plain:
    parameters: Plain = {"device": {"description": "The box's name, which is also its MQTT user."}}
    address = f"{ROOT}/{{device}}/{leaf}"
    if leaf in CAMERA_LEAVES:
        parameters["camera"] = {"description": "The camera's name on this box."}
        address = f"{ROOT}/{{device}}/{{camera}}/{leaf}"
    return {
        "address": address,
        "description": _ABOUT[leaf],
        "messages": {leaf: {"$ref": f"#/components/messages/{leaf}"}},
        "parameters": parameters,
    }


def _operation_name(leaf: str) -> str:
    return f"{'receive' if leaf in TO_BOX else 'send'}_{leaf}"


def _operation(leaf: str) -> Plain:
    operation: Plain = {
        "action": "receive" if leaf in TO_BOX else "send",
        "channel": {"$ref": f"#/channels/{leaf}"},
        "messages": [{"$ref": f"#/channels/{leaf}/messages/{leaf}"}],
        "bindings": {
            "mqtt": {"qos": 0 if leaf == "health" else 1, "retain": leaf in RETAINED, "bindingVersion": "0.2.0"}
        },
    }
    if leaf == "command":
        operation["reply"] = {"channel": {"$ref": "#/channels/reply"}}
    return operation


def _message(leaf: str) -> Plain:
    message: Plain = {
        "name": leaf,
        "title": leaf,
        "summary": _ABOUT[leaf],
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-07",
            "schema": {"$ref": f"./{leaf}.schema.json"},
        },
    }
    if leaf in DURABLE:
        message["tags"] = [{"name": "durable", "description": "Kept in the outbox until it is delivered."}]
    if leaf in {"command", "reply"}:
        message["correlationId"] = {
            "description": "MQTT 5 correlation data; id in the payload comes back as well, for MQTT 3.1.1.",
            "location": "$message.payload#/id",
        }
    return message
