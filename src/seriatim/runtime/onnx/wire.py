"""The wire format of protocol buffers: numbered fields, each a whole number, a few bytes, or a text of bytes.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
LONGEST_VARINT: Final = 10

Field = int | bytes | memoryview


class Message:
    """The fields of one message, by their numbers. Raises ``ValueError`` for a message that ends too early.

    A field of the wrong type raises ``ValueError`` when it is read.
    """

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        for number, type_, value in _fields(content):
            self._fields.setdefault(number, []).append((type_, value))

    def messages(self, number: int) -> list[Message]:
        """Return the messages in a repeated field."""
        return [Message(part) for part in self.parts(number)]

    def message(self, number: int) -> Message:
        """Return the message in a field; an empty one if it is missing."""
        parts = self.parts(number)
        return Message(parts[-1] if parts else memoryview(b""))

    def has(self, number: int) -> bool:
        return number in self._fields

    def parts(self, number: int) -> list[memoryview]:
        """Return the bytes of a repeated field."""
        parts = []
        for type_, value in self._fields.get(number, []):
            if type_ != BYTES or isinstance(value, int):
                raise ValueError(f"field {number} is not bytes")
            parts.append(value)
        return parts

    def texts(self, number: int) -> list[str]:
        return [str(part, "utf-8") for part in self.parts(number)]

    def text(self, number: int) -> str:
        """Return the text in a field; an empty one if it is missing."""
        return (self.texts(number) or [""])[-1]

    def integers(self, number: int) -> list[int]:
        """Return signed whole numbers of a repeated field, packed or not."""
        result: list[int] = []
        for type_, value in self._fields.get(number, []):
            if type_ == VARINT and isinstance(value, int):
                result.append(_signed(value))
            elif type_ == BYTES and not isinstance(value, int):
                place = 0
                while place < len(value):
                    whole, place = _varint(value, place)
                    result.append(_signed(whole))
            else:
                raise ValueError(f"field {number} is not a whole number")
        return result

    def integer(self, number: int, default: int = 0) -> int:
        return (self.integers(number) or [default])[-1]

    def floats(self, number: int) -> list[float]:
        """Return the numbers of 4 bytes of a repeated field, packed or not."""
        result: list[float] = []
        for type_, value in self._fields.get(number, []):
            if type_ not in (FOUR, BYTES) or isinstance(value, int) or len(value) % 4:
                raise ValueError(f"field {number} is not a number of 4 bytes")
            result += struct.unpack(f"<{len(value) // 4}f", value)
        return result


def _fields(content: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, type and value of each field. A number of 4 or 8 bytes stays bytes."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, type_ = key >> 3, key & 7
        if type_ == VARINT:
            whole, place = _varint(content, place)
            yield number, type_, whole
            continue
        if type_ == BYTES:
            length, place = _varint(content, place)
        elif type_ in (FOUR, EIGHT):
            length = 4 if type_ == FOUR else 8
        else:
            raise ValueError(f"field {number} has the unknown type {type_}")
        if length > len(content) - place:
            raise ValueError(f"field {number} is cut off")
        yield number, type_, content[place : place + length]
        place += length


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """Read a whole number of 7 bits a byte; return it and the place after it."""
    value = 0
    for index in range(LONGEST_VARINT):
        if place + index >= len(content):
            raise ValueError("a number is cut off")
        byte = content[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + index + 1
    raise ValueError("a number is too long")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
