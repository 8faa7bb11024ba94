"""The names of a blend: the mixture of a network and baselines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

BLEND: Final = "blend"
"""The name of a blend among the models of a run."""
NETWORK: Final = "network"
"""The value of ``use`` for the model that ``--model`` names."""


def blend_name(parts: Iterable[str]) -> str:
    """Return the name of a blend in tables: ``lstm + markov``."""
    return " + ".join(parts)
