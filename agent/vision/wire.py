"""The protobuf wire format, as far as an ONNX file needs it: fields in, fields out.

Promises to end on any bytes and to copy none of them; what does not parse is :class:`NotOnnxError`. Knows nothing of
what the fields mean. The format is https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5

Value: TypeAlias = int | memoryview
"""What a field holds: a number, or the bytes of a string, a message or a fixed-width number."""


class NotOnnxError(ValueError):
    """The bytes are no ONNX model; the message says what was found, as the rest of a sentence."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Every field of a message, in order: its number and its content."""
    return ((number, value) for number, value, _, _ in spans(message))


def spans(message: memoryview) -> Iterator[tuple[int, Value, int, int]]:
    """Every field of a message, in order: its number, its content, and where it starts and ends."""
    position, end = 0, len(message)
    while position < end:
        start = position
        tag, position = varint(message, position)
        kind, number = tag & 7, tag >> 3
        value: Value
        if kind == _VARINT:
            value, position = varint(message, position)
        elif kind in {_FIXED64, _BYTES, _FIXED32}:
            length, position = varint(message, position) if kind == _BYTES else ({1: 8, 5: 4}[kind], position)
            value = message[position : position + length]
            position += length
        else:
            raise NotOnnxError(f"byte {start} starts no field")
        if number == 0 or position > end:
            raise NotOnnxError("it is damaged or cut short")
        yield number, value, start, position


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """One base-128 integer and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise NotOnnxError("it is damaged or cut short")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise NotOnnxError("it is damaged: an integer does not end")


def encoded(number: int, content: bytes) -> bytes:
    """One length-delimited field."""
    return encoded_varint(number << 3 | _BYTES) + encoded_varint(len(content)) + content


def encoded_varint(value: int) -> bytes:
    """One base-128 integer, 0 or more."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def as_message(value: Value) -> memoryview:
    """The content of a field that holds a message or a string."""
    if isinstance(value, int):
        raise NotOnnxError("it is damaged: a number stands where a message should be")
    return value


def as_number(value: Value) -> int:
    """The content of a field that holds a number."""
    if isinstance(value, int):
        return value
    raise NotOnnxError("it is damaged: a message stands where a number should be")


def as_text(value: Value) -> str:
    """The content of a field that holds a string."""
    try:
        return bytes(as_message(value)).decode()
    except UnicodeDecodeError as error:
        raise NotOnnxError("it is damaged: a name is no UTF-8") from error


def strings(message: memoryview, first: int, second: int) -> tuple[str, str]:
    """Two string fields of a message; the last occurrence counts, an absent one is empty."""
    found = {first: "", second: ""}
    for number, value in fields(message):
        if number in found:
            found[number] = as_text(value)
    return found[first], found[second]
