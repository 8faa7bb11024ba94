"""``Run.export``: writes a runtime folder, and compares it with the run before it says done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.export.bodies import Array
from seriatim.export.folder import write_folder
from seriatim.export.networks import describe
from seriatim.export.onnx.graphs import Source
from seriatim.export.onnx.networks import graphs
from seriatim.export.onnx.parity import check
from seriatim.export.rounding import DTYPES, round_network
from seriatim.run.opened import Opened, torch_settings
from seriatim.run.parity import Case, compare
from seriatim.run.stepped import stepped
from seriatim.runtime.loading import load
from seriatim.runtime.model import Model as RuntimeModel
from seriatim.storage import write_bytes
from seriatim.tasks.common.blend import Blend
from seriatim.tasks.options.blending import BLEND

Result = dict[str, Any]
Scores = Mapping[str, Mapping[str, float]]


def export(run: Opened, folder: str | Path, dtype: str, use: str | None, onnx: bool) -> Result:
    """Write the model ``use`` as a runtime folder with weights in ``dtype``, or as ONNX files; see ``Run.export``."""
    if dtype not in DTYPES:
        raise UsageError(f"dtype: got '{dtype}'{nearest(dtype, DTYPES)}")
    if onnx and dtype != "float32":
        raise UsageError(f"dtype: got {dtype}, but ONNX files have float32 weights; leave out --dtype or --onnx")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"folder: '{target}' is not empty; give another one")
    with torch_settings(run.options):
        case, scores, test = _case(run, use), dict[str, Mapping[str, float]](), None
        if dtype != "float32":
            rounded, test = replace(case, model=_rounded(case, dtype)), _test_part(run)
            if test is not None:
                scores = {
                    "float32": _score(run, case, case.model, test),
                    "rounded": _score(run, case, rounded.model, test),
                }
            case = rounded
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            description, arrays, exact = _described(case, scores)
            write_folder(part, description, arrays, dtype, exact)
            model = load(part)
            difference = compare(case, model)
            if test is not None and (in_steps := stepped(load(part, arithmetic="stored"))) is not None:
                scores["stored"] = _score(run, case, in_steps, test)
                write_folder(part, description | {"scores": scores}, arrays, dtype, exact)
            if onnx:
                difference = _replace_by_onnx(part, Source(description, arrays, model))
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
        "run": str(run.path), "folder": str(target), "model": description["model"], "dtype": dtype, "bytes": size,
        "difference": difference, "scores": scores or None,
    }  # fmt: skip


def exported(run: Opened, use: str | None) -> RuntimeModel:
    """Return the model ``use`` as the runtime has it, without a comparison and without a folder that stays."""
    with tempfile.TemporaryDirectory() as folder:
        description, arrays, _ = _described(_case(run, use), None)
        write_folder(Path(folder), description, arrays, "float32")
        return load(folder)


def _case(run: Opened, use: str | None) -> Case:
    """Return the model ``use``, by default the one that validation chose."""
    member = run.member_in_use(use)
    return Case(run.task, member.model, member.options, run.codec)


def _rounded(case: Case, dtype: str) -> Any:
    """Return the model with rounded weights. In a blend, the networks are rounded."""
    if isinstance(case.model, Blend):
        members = [
            replace(member, model=round_network(member.model, dtype)) if _is_network(member.model) else member
            for member in case.model.members
        ]
        return replace(case.model, members=tuple(members))
    if not _is_network(case.model):
        raise UsageError(f"dtype: {case.options.model} has counts and estimates, which are never rounded")
    network: Any = case.model
    return round_network(network, dtype)


def _is_network(model: Any) -> bool:
    return isinstance(model, torch.nn.Module)


def _described(case: Case, scores: Scores | None) -> tuple[Result, Mapping[str, Array], set[str]]:
    """Return the description of the runtime folder, the weights, and the names of those that are never rounded."""
    if isinstance(case.model, Blend):
        description, arrays, exact = _described_blend(case, case.model)
    else:
        description, arrays = _described_model(case, case.model, case.options)
        exact = set() if _is_network(case.model) else set(arrays)
    columns = {name: value for name in case.task.exported_columns if (value := getattr(case.options, name))}
    content = {
        "task": case.task.name,
        **description,
        "codec": case.codec.to_json(),
        **({"columns": columns} if columns else {}),
        **({"scores": scores} if scores else {}),
    }
    return content, arrays, exact


def _described_model(case: Case, model: Any, options: Any) -> tuple[Result, Mapping[str, Array]]:
    """Return the description of one model, and its weights."""
    description, arrays = describe(model)
    settings = {name: getattr(options, name) for name in case.task.exported_options}
    return {"model": options.model, **description, **({"settings": settings} if settings else {})}, arrays


def _described_blend(case: Case, blend: Blend) -> tuple[Result, Mapping[str, Array], set[str]]:
    """Return the description of a blend, its weights, and the names of those that are never rounded."""
    parts: list[Result] = []
    arrays: dict[str, Array] = {}
    exact: set[str] = set()
    for number, (member, weight) in enumerate(zip(blend.members, blend.weights, strict=True)):
        description, own = _described_model(case, member.model, member.options)
        named = {f"{number}.{name}": values for name, values in own.items()}
        parts.append({"weight": weight.tolist(), **description})
        arrays |= named
        exact |= set() if _is_network(member.model) else set(named)
    return {"model": BLEND, "blend": {"form": blend.form, "parts": parts}}, arrays, exact


def _replace_by_onnx(folder: Path, source: Source) -> float:
    """Write the ONNX files of a model in place of its runtime folder, if they are right; return the difference."""
    models = {}
    difference = 0.0
    for name, graph in graphs(source).items():
        models[name] = graph.builder.model(source.description).SerializeToString()
        difference = max(difference, check(name, graph, models[name]))
    for file in list(folder.iterdir()):
        file.unlink()
    for name, content in models.items():
        write_bytes(folder / f"{name}.onnx", content)
    return difference


def _test_part(run: Opened) -> Any:
    """Return the test part of the training data, or None if the data are gone or have changed."""
    try:
        return run.prepare_again().test
    except DataError:
        return None


def _score(run: Opened, case: Case, model: Any, test: Any) -> Mapping[str, float]:
    scores: Mapping[str, float] = run.task.score(model, case.options, run.codec, test)
    return scores


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
