"""``Run.export``: writes a runtime folder, and compares it with the run before it says done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.export.folder import write_folder
from seriatim.export.networks import describe
from seriatim.export.rounding import DTYPES, round_network
from seriatim.run.opened import Opened, torch_settings
from seriatim.run.parity import compare
from seriatim.runtime.loading import load
from seriatim.tasks.task import Model

Result = dict[str, Any]
Scores = Mapping[str, Mapping[str, float]]


def export(run: Opened, folder: str | Path, dtype: str) -> Result:
    """Write the runtime folder of ``run``, with weights in ``dtype``.

    Returns ``run``, ``folder``, ``dtype``, ``bytes``, ``difference`` (the largest one between run and runtime) and
    ``scores`` (before and after rounding on the test part; None without rounding, or if the data are gone). Raises
    ``UsageError`` for a folder that is not empty and for a model without a runtime, and ``RunError`` if the runtime
    gives other results than the run.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype: got '{dtype}'{nearest(dtype, DTYPES)}")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"folder: '{target}' is not empty; give another one")
    is_network = isinstance(run.network, torch.nn.Module)
    if dtype != "float32" and not is_network:
        raise UsageError(f"dtype: {run.options.model} has counts and estimates, which are never rounded")
    with torch_settings(run.options):
        network: Model = run.network
        scores = None
        if dtype != "float32":
            network = run.restore(run.options, run.path / "model.safetensors")
            assert isinstance(network, torch.nn.Module)
            round_network(network, dtype)
            scores = _scores(run, network)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            write_exported(run, part, network, dtype, scores)
            difference = compare(run, network, load(part))
            if target.exists():
                target.rmdir()
            os.chmod(part, 0o777 & ~_umask())
            os.replace(part, target)
        except OSError as error:
            raise RunError(f"{target}: cannot be written ({error.strerror}); nothing was changed") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.iterdir())
    return {
        "run": str(run.path), "folder": str(target), "dtype": dtype, "bytes": size, "difference": difference,
        "scores": scores,
    }  # fmt: skip


def write_exported(
    run: Opened, folder: Path, network: Model | None = None, dtype: str = "float32", scores: Scores | None = None
) -> None:
    """Write a runtime folder, without a comparison. ``network`` replaces the run's own if it is rounded."""
    description, arrays = describe(network or run.network)
    settings = {name: getattr(run.options, name) for name in run.task.exported_options}
    content = {
        "task": run.task.name,
        "model": run.options.model,
        **description,
        "codec": run.codec.to_json(),
        **({"settings": settings} if settings else {}),
        **({"scores": scores} if scores else {}),
    }
    write_folder(folder, content, arrays, dtype)


def _scores(run: Opened, rounded: Model) -> Scores | None:
    """Return the scores on the test part before and after rounding, or None if the data are gone or have changed."""
    try:
        test = run.prepare_again().test
    except DataError:
        return None
    scores = {"float32": run.network, "rounded": rounded}
    return {name: run.task.score(model, run.options, run.codec, test) for name, model in scores.items()}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
