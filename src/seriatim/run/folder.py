"""The run folder: what stands in it, and how a foreign, damaged or newer one is refused."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

from seriatim.errors import DataError, RunError, SeriatimError, UsageError, nearest
from seriatim.options import fill
from seriatim.storage import is_part, read_json, write_json
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import Prepared, Task
from seriatim.version import __version__

FORMAT = 1
"""Of the run folder."""
FREE_TO_CHANGE = ("out", "resume", "quiet", "threads", "time_limit", "checkpoint_every")
"""Options that a resumed training may be given anew."""

CONFIG = {
    "format": int, "seriatim": str, "task": str, "model": str, "options": dict, "data": dict, "notes": list
}  # fmt: skip
DATA = {"source": (list, NoneType), "train": int, "valid": int, "test": int, "hash": str}
RESULT = {
    "task": str, "model": str, "run": str, "data": dict, "scores": dict, "baselines": dict, "parameters": int,
    "epochs": int, "seconds": (int, float),
}  # fmt: skip
"""Keys of a run folder's files, and what each of them holds."""
FOUND = {"lr": (int, float)}
"""What a result holds beside them where it was looked for."""


def open_folder(kind: Task[Any, Any, Any], options: TrainOptions) -> Path:
    """Find the folder that the run is to stand in, and refuse one that holds something else."""
    if options.out is None:
        if options.resume:
            raise UsageError("resume: needs --out, the run folder to go on from")
        number = 1
        while (folder := Path("runs") / f"{kind.name}-{options.model}-{number}").exists():
            number += 1
        return folder
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out: '{folder}' is a file, wanted a folder")
    if folder.exists() and any(not is_part(file) for file in folder.iterdir()):
        if not options.resume:
            raise UsageError(f"out: '{folder}' is not empty; give another folder, or --resume to go on from it")
        if not (folder / "config.json").exists():
            raise RunError(f"{folder}: no config.json, so this is not a run folder; nothing to resume")
        _check_same(folder, kind, options)
    return folder


def _check_same(folder: Path, kind: Task[Any, Any, Any], options: TrainOptions) -> None:
    """Refuse to go on with options other than those the run began with."""
    config = read_config(folder)
    before = options_of(folder, kind_of(folder, config), config)
    if config["task"] != kind.name:
        raise UsageError(f"resume: {folder} is a {config['task']} run, not {kind.name}")
    for field in dataclasses.fields(options):
        name = field.name
        if name not in FREE_TO_CHANGE and getattr(before, name) != getattr(options, name):
            raise UsageError(
                f"{name}: got {getattr(options, name)!r}, but {folder} began with {getattr(before, name)!r}; "
                "resume with the same options"
            )


def begin(
    folder: Path, kind: Task[Any, Any, Any], options: TrainOptions, prepared: Prepared[Any, Any], data: object
) -> None:
    """Write what stands before training: the config and the codec; refuse to resume on other data."""
    if (folder / "config.json").exists():
        before = read_config(folder)["data"]["hash"]
        if before != prepared.hash:
            raise DataError(f"resume: the data have changed since {folder} began ({before} → {prepared.hash})")
    config = {
        "format": FORMAT,
        "seriatim": __version__,
        "task": kind.name,
        "model": options.model,
        "options": _plain(options),
        "data": {"source": _source(data), **prepared.sizes, "hash": prepared.hash},
        "notes": list(prepared.notes),
    }
    write_json(folder / "config.json", config)  # first, for what has one can be resumed
    write_json(folder / kind.codec_file(prepared.codec), prepared.codec.to_json())


def _plain(options: TrainOptions) -> dict[str, Any]:
    """Return the options as JSON; ``out`` and ``resume`` are not the model's business."""
    content = dataclasses.asdict(options)
    return {name: value for name, value in content.items() if name not in ("out", "resume")}


def _source(data: object) -> list[str] | None:
    """Return the absolute paths of the data, or None for data in memory."""
    items = data if isinstance(data, (list, tuple)) else [data]
    paths = [Path(item).absolute() for item in items if isinstance(item, (str, Path))]
    return [str(path) for path in paths] if len(paths) == len(items) and all(map(os.path.exists, paths)) else None


def read_config(folder: Path) -> Mapping[str, Any]:
    """Read and check config.json."""
    if not folder.exists():
        raise RunError(f"{folder}: no such run folder")
    if not (folder / "config.json").exists():
        raise RunError(f"{folder}: no config.json, so this is not a run folder")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise RunError(f"{folder}/config.json: no format number, so this is not a run folder")
    if config["format"] > FORMAT:
        raise RunError(
            f"{folder}: format {config['format']}, but seriatim {__version__} reads up to {FORMAT}; "
            f"it was written by seriatim {config.get('seriatim', 'of a later version')}: upgrade"
        )
    checked(folder / "config.json", config, CONFIG)
    checked(folder / "config.json", config["data"], DATA)
    return config


def checked(
    file: Path, content: Any, wanted: Mapping[str, Any], optional: Mapping[str, Any] = MappingProxyType({})
) -> Mapping[str, Any]:
    """Return ``content`` if it has the keys ``wanted``, and of others ``optional`` ones alone. Raises ``RunError``."""
    if not isinstance(content, dict):
        raise RunError(f"{file}: damaged (holds no object)")
    wanted = {**wanted, **{key: held for key, held in optional.items() if key in content}}
    for key in (*wanted, *content):
        if key not in content:
            raise RunError(f"{file}: damaged (no '{key}')")
        if key not in wanted:
            raise RunError(f"{file}: unknown key '{key}'{nearest(key, wanted)}")
        if not isinstance(content[key], wanted[key]):
            raise RunError(f"{file}: damaged ('{key}' is {content[key]!r})")
    return content


def kind_of(folder: Path, config: Mapping[str, Any]) -> Task[Any, Any, Any]:
    try:
        return find_task(config["task"])
    except (UsageError, TypeError) as error:
        raise RunError(f"{folder}/config.json: {error}") from None


def options_of(folder: Path, kind: Task[Any, Any, Any], config: Mapping[str, Any]) -> TrainOptions:
    model = config["options"].get("model")
    known = {field.name: field.metadata for field in dataclasses.fields(kind.options)}["model"]
    if isinstance(model, str) and model not in known["choices"] and model not in known["registered"]:
        raise RunError(
            f"{folder}: '{model}' is no model of seriatim's own; where it is a cell of yours, register it before "
            f"loading: seriatim.nn.register('{model}', …)"
        )
    try:
        options: TrainOptions = fill(kind.options, config["options"])
    except (SeriatimError, AttributeError, TypeError) as error:
        raise RunError(f"{folder}/config.json: damaged ({error})") from None
    return options
