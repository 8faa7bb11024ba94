"""Reads ``model.json``: every value is checked before it is used, and an unknown key is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seriatim.errors import RunError, nearest

LARGEST_FILE = 1 << 28
"""Bytes of the largest ``model.json`` that is read."""
LARGEST_SIZE = 1 << 31
"""The largest whole number of a description."""

Value = TypeVar("Value")


class Description:
    """One JSON object of ``model.json``. Each method returns the value of a key, or raises ``RunError``."""

    def __init__(self, place: str, content: object) -> None:
        if not isinstance(content, dict):
            raise RunError(f"{place}: damaged (got {_shown(content)}, wanted an object)")
        self.place, self._content = place, content
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether the key is there and not null."""
        return self.value(key, None) is not None

    def value(self, key: str, *default: Any) -> Any:
        """Return any JSON value, or the default if there is one and the key is missing."""
        self._read.add(key)
        if key in self._content:
            return self._content[key]
        if default:
            return default[0]
        raise RunError(f"{self.place}: damaged (no '{key}')")

    def text(self, key: str) -> str:
        value = self.value(key)
        return value if isinstance(value, str) else self.refuse(key, "a text")

    def flag(self, key: str) -> bool:
        value = self.value(key)
        return value if isinstance(value, bool) else self.refuse(key, "true or false")

    def size(self, key: str, smallest: int = 1) -> int:
        """Return a whole number from ``smallest`` to ``LARGEST_SIZE``."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= LARGEST_SIZE:
            self.refuse(key, f"a whole number from {smallest} to {LARGEST_SIZE}")
        return int(value)

    def number(self, key: str, lowest: float = -math.inf, highest: float = math.inf) -> float:
        """Return a finite number from ``lowest`` to ``highest``."""
        value = self.value(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not lowest <= value <= highest:
            self.refuse(key, f"a number from {lowest:g} to {highest:g}")
        return float(value)

    def choice(self, key: str, table: Mapping[str, Value]) -> Value:
        """Return the entry of ``table`` that the key names."""
        name = self.text(key)
        if name not in table:
            raise RunError(f"{self.place}: '{key}' is '{name}'{nearest(name, table)}")
        return table[name]

    def part(self, key: str) -> Description:
        return Description(f"{self.place}: {key}", self.value(key))

    def parts(self, key: str) -> list[Description]:
        return [Description(f"{self.place}: {key} {index}", value) for index, value in enumerate(self.items(key))]

    def items(self, key: str) -> list[Any]:
        value = self.value(key)
        return value if isinstance(value, list) else self.refuse(key, "a list")

    def mapping(self) -> dict[str, Any]:
        """Return the whole object: names of columns, each a text, a list of texts, or null."""
        for key, value in self._content.items():
            items = value if isinstance(value, list) else [] if value is None else [value]
            if not all(isinstance(item, str) for item in items):
                self.refuse(key, "a text or a list of texts")
        return self._content

    def texts(self, key: str) -> list[str]:
        value = self.items(key)
        return value if all(isinstance(item, str) for item in value) else self.refuse(key, "a list of texts")

    def decoded(self, key: str, decode: Callable[[Any], Value]) -> Value:
        """Return ``decode`` of the value. Its errors become ``RunError``."""
        value = self.value(key)
        try:
            return decode(value)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise RunError(f"{self.place}: '{key}' is damaged ({error!r})") from None

    def done(self) -> None:
        """Refuse a key that nobody read."""
        for key in self._content:
            if key not in self._read:
                raise RunError(f"{self.place}: unknown key {key!r}{nearest(key, self._read)}")

    def refuse(self, key: str, wanted: str) -> Any:
        raise RunError(f"{self.place}: '{key}' is {_shown(self._content.get(key))}, wanted {wanted}")


def read_description(file: Path) -> tuple[Description, bytes]:
    """Read ``model.json``; return its content and its bytes."""
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise RunError(f"{file}: {size} bytes, wanted at most {LARGEST_FILE}")
        raw = file.read_bytes()
        return Description(str(file), json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)), raw
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: damaged ({error})") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
