"""The keys of the targets in a row of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROW_KEYS: Final = ("id", "step", "time")
"""The keys of a row of forecasts, without the targets' keys."""


def prediction_keys(targets: Sequence[str]) -> list[str]:
    """Return a key for each target in a row of forecasts, different from the row's own keys and from each other.

    The key is the target's name; for a target named ``time`` it is ``target_time``.
    """
    keys: list[str] = []
    for target in targets:
        key = target
        while key in ROW_KEYS or (key != target and key in targets):
            key = f"target_{key}"
        keys.append(key)
    return keys
