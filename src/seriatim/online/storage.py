"""An online estimator in one file: arrays as safetensors, the rest as JSON beside them. Loading it runs no code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from seriatim.errors import RunError, UsageError
from seriatim.online.live import Live
from seriatim.online.scaling import Moments, RunningScaler
from seriatim.storage import read_arrays_and_note, write_arrays

if TYPE_CHECKING:
    from seriatim.online.estimators import Online

FORMAT = 1

E = TypeVar("E", bound="Online")


def save(estimator: Online, path: Path) -> None:
    """Write ``estimator`` to ``path``. Raises ``UsageError`` for names that JSON has no word for."""
    live = estimator.live
    content = {
        "format": FORMAT,
        "kind": type(estimator).__name__,
        "options": {name: getattr(estimator, name) for name in inspect.signature(type(estimator)).parameters},
        "slots": [[part, _checked(name)] for part, name in estimator.slots],
        "before": [[part, _checked(name), value] for (part, name), value in estimator.before.items()],
        "scaler": [[_checked(name), one.count, one.mean, one.squares] for name, one in estimator.scaler.names.items()],
        "fresh": live.fresh if live else 0,
        **estimator.stored(),
    }
    arrays = live.tensors() if live else {"draws": np.zeros(0)}
    write_arrays(path, arrays, {"online": json.dumps(content, allow_nan=False)})


def load(kind: type[E], path: Path) -> E:
    """Read what ``save`` wrote. Raises ``RunError`` for a damaged file or something else."""
    arrays, note = read_arrays_and_note(path)
    if "online" not in note:
        raise RunError(f"{path}: not an online estimator")
    try:
        content = json.loads(note["online"])
        if content["format"] > FORMAT:
            raise RunError(f"{path}: format {content['format']}, but this version reads up to {FORMAT}: upgrade")
        if content["kind"] != kind.__name__:
            raise RunError(f"{path}: {content['kind']}, not {kind.__name__}")
        given = content["options"].items()
        options: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in given}
        estimator = kind(**options)
        estimator.restore(content)
        estimator.slots = {(part, name): place for place, (part, name) in enumerate(content["slots"])}
        estimator.before = {(part, name): value for part, name, value in content["before"]}
        estimator.scaler = RunningScaler({name: Moments(*three) for name, *three in content["scaler"]})
        if "inputs" in arrays:
            estimator.live = Live(*estimator.options(), 0 if kind.classes else 1, classes=kind.classes)
            estimator.live.take(
                {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}, int(content["fresh"])
            )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise RunError(f"{path}: damaged ({str(error).splitlines()[0]})") from None
    return estimator


def _checked(name: Hashable) -> Any:
    """A feature's name, if JSON gives it back as it was."""
    if not isinstance(name, (str, int, float, type(None))):
        raise UsageError(f"save: a feature is called {name!r}, wanted a string or a number")
    return name
