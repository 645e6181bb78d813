"""Messages as bytes and back.

Promises that whatever is sent fits 64 kB, and that whatever arrives and doesn't fit its type is refused with one
sentence that repeats nothing of it: it may be a secret, or very long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, NoReturn, TypeVar

from pydantic import ValidationError

from agent.errors import KentonganError
from agent.mqtt.messages import Envelope, Message
from agent.mqtt.topics import Address
from agent.records import BODIES, Body, dump, load

MAX_PAYLOAD_BYTES: Final = 64 * 1024
_MAX_DEPTH: Final = 16
_ENVELOPE_FIELDS: Final = frozenset(one.name for one in fields(Envelope))

_T = TypeVar("_T")


class MessageError(KentonganError):
    """A message is larger than it may be, is no JSON, or doesn't fit its type."""

    exit_code = 65  # EX_DATAERR


def compact(plain: object) -> bytes:
    """Plain JSON values as they go on the wire: UTF-8, no spaces.

    Raises:
        MessageError: More than 64 kB.
    """
    payload = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"a message of {len(payload)} bytes is not sent; the contract allows {MAX_PAYLOAD_BYTES}")
    return payload


def encode(message: object) -> bytes:
    """A status, birth, health, ack, command or reply as it goes on the wire.

    Raises:
        MessageError: More than 64 kB.
    """
    return compact(dump(message))


def envelope_plain(envelope: Envelope, body: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope and a body's plain values as one flat object."""
    return {**dump(envelope), **body}


def parse_json(payload: bytes, where: str) -> dict[str, Any]:
    """Read a JSON object from the network.

    Raises:
        MessageError: It is too large, no JSON, too deep, or no object.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"{where}: a message of {len(payload)} bytes is refused; {MAX_PAYLOAD_BYTES} are allowed")
    try:
        plain = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{where}: is no JSON message; send one UTF-8 JSON object") from error
    if not isinstance(plain, dict) or _depth(plain) > _MAX_DEPTH:
        raise MessageError(f"{where}: is no flat JSON object; see the schema of this topic")
    return plain


def decode(of: type[_T], payload: bytes, where: str) -> _T:
    """Read a status, birth, health, ack, command or reply.

    Raises:
        MessageError: It doesn't fit the type.
    """
    return _checked(of, parse_json(payload, where), where)


def decode_record(payload: bytes, address: Address) -> Message:
    """Read a durable record from its topic.

    Raises:
        MessageError: It doesn't fit the contract, or lies about where it comes from.
    """
    where = str(address)
    plain = parse_json(payload, where)
    head = {key: value for key, value in plain.items() if key in _ENVELOPE_FIELDS}
    rest = {key: value for key, value in plain.items() if key not in _ENVELOPE_FIELDS}
    envelope = _checked(Envelope, head, where)
    if (envelope.device, envelope.camera) != (address.device, address.camera):
        raise MessageError(f"{where}: names another device or camera than its topic; it is refused")
    body: Body = _checked(BODIES[address.leaf], rest, where)  # type: ignore[index]
    return Message(envelope, address.leaf, body)


def _checked(of: type[_T], plain: dict[str, Any], where: str) -> _T:
    try:
        value: _T = load(of, plain)
    except (ValidationError, RecursionError, OverflowError) as error:
        raise MessageError(f"{where}: {_first_fault(error)}") from error
    return value


def _first_fault(error: Exception) -> str:
    """One fault in words, without the value, which may be a secret or very long."""
    if not isinstance(error, ValidationError):
        return "holds a number or a nesting beyond all bounds"
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:40] for part in fault["loc"][:6]) or "the message"
    return f"{place}: {fault['msg'][:200]}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _depth(plain: object) -> int:
    level, depth = [plain], 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth
