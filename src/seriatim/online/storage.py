"""The file of an online estimator: arrays as safetensors, everything else as JSON in its metadata.

Loading a file runs no code from it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from seriatim.errors import RunError, UsageError
from seriatim.storage import read_arrays_and_note, write_arrays

Slot: TypeAlias = "tuple[str, Hashable]"
"""The name of a network input: ("x", a feature), or ("y", a class or "") for the target of the step before."""

FORMAT = 2
"""Files of format 1 have other statistics, which ``scaling.py`` reads too."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that an estimator has to remember."""

    kind: str
    """The name of its class."""
    options: dict[str, Any]
    """The arguments of its constructor."""
    slots: tuple[Slot, ...]
    """The inputs of the network, in order."""
    feedback: dict[Slot, float]
    """The inputs that the next step gets from the last target."""
    scaler: dict[Hashable, list[float]]
    """The statistics of each feature, as ``RecentMoments.statistics`` returns them."""
    targets: dict[str, Any]
    """The classes, or the statistics of the targets, as JSON values."""
    new_steps: int
    """Steps since the last update."""
    arrays: dict[str, Tensor] | None
    """The tensors of the network; None before the first step."""


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write ``snapshot`` to ``path``, completely or not at all.

    Raises ``UsageError`` if the name of a feature or class cannot be stored as JSON.
    """
    content = {
        "format": FORMAT,
        "kind": snapshot.kind,
        "options": snapshot.options,
        "slots": [[source, _checked(name)] for source, name in snapshot.slots],
        "before": [[source, _checked(name), value] for (source, name), value in snapshot.feedback.items()],
        "scaler": [[_checked(name), *statistics] for name, statistics in snapshot.scaler.items()],
        "fresh": snapshot.new_steps,
        **snapshot.targets,
    }
    arrays = {"draws": np.zeros(0)} if snapshot.arrays is None else snapshot.arrays
    write_arrays(path, arrays, {"online": json.dumps(content, allow_nan=False)})


def read_snapshot(path: Path) -> Snapshot:
    """Read the snapshot at ``path``. Raises ``RunError`` if it is damaged or not one."""
    arrays, metadata = read_arrays_and_note(path)
    if "online" not in metadata:
        raise RunError(f"{path}: not an online estimator")
    try:
        content = json.loads(metadata["online"])
        if content["format"] > FORMAT:
            raise RunError(f"{path}: format {content['format']}, but this version reads up to {FORMAT}: upgrade")
        options = {name: _option(value) for name, value in content["options"].items()}
        return Snapshot(
            kind=content["kind"],
            options=options,
            slots=tuple((source, name) for source, name in content["slots"]),
            feedback={(source, name): value for source, name, value in content["before"]},
            scaler={name: statistics for name, *statistics in content["scaler"]},
            targets={name: content[name] for name in ("labels", "targets") if name in content},
            new_steps=int(content["fresh"]),
            arrays=_tensors(arrays) if "inputs" in arrays else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> RunError:
    """Return the error for a file whose content cannot be used because of ``error``."""
    return RunError(f"{path}: damaged ({(str(error) or type(error).__name__).splitlines()[0]})")


def _option(value: Any) -> Any:
    """Return an option as it was given: JSON has lists in place of tuples."""
    return tuple(value) if isinstance(value, list) else value


def _tensors(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _checked(name: Hashable) -> Any:
    """Return the name of a feature or class if JSON stores it unchanged."""
    if not isinstance(name, (str, int, float, type(None))):
        raise UsageError(f"save: a feature is called {name!r}, wanted a string or a number")
    return name
