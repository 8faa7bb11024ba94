"""The files of a run folder, and the checks that refuse a foreign, damaged or newer one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

from seriatim.errors import DataError, RunError, SeriatimError, UsageError, nearest
from seriatim.options import fill
from seriatim.run.claim import claim, claim_numbered
from seriatim.storage import is_part, read_json, write_json
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import PreparedData, Task
from seriatim.version import __version__

FORMAT = 1
"""The version of the run folder's format."""
CONFIG_FILES = ("config.json", "vocabulary.json", "scaler.json")
"""The files that a training writes at its start."""
ONLY_FOR_TRAINING = ("checkpoint", "tensorboard", "wandb", "logger.json", "report.html")
"""Parts of a run folder that predictions do not need. The report among them may quote the data."""
FREE_TO_CHANGE = ("out", "resume", "quiet", "threads", "time_limit", "checkpoint_every", "log")
"""Options that may change when a training is resumed."""

CONFIG = {
    "format": int, "seriatim": str, "task": str, "model": str, "options": dict, "data": dict, "notes": list
}  # fmt: skip
DATA = {"source": (list, NoneType), "train": int, "valid": int, "test": int, "hash": str}
RESULT = {
    "task": str, "model": str, "run": str, "data": dict, "scores": dict, "baselines": dict, "parameters": int,
    "epochs": int, "seconds": (int, float),
}  # fmt: skip
"""The keys of a run folder's files, and the type of each value."""
OPTIONAL_RESULT = {"lr": (int, float), "blend": (dict, NoneType), "best": str, "ensemble": list, "limited": dict}
"""``lr`` is in the result of a training that searched for a learning rate, ``ensemble`` in that of several networks,
``limited`` if the time limit cut the fit of a model: the name of the model, and the part of the work that it allowed.
Old runs have no ``blend`` and ``best``."""


def network_folder(folder: Path, number: int) -> Path:
    """Return the folder of network ``number``, from 0, of a run: the first is in the run folder itself."""
    return folder / "members" / str(number + 1) if number else folder


@contextmanager
def open_folder(task: Task[Any, Any, Any], options: TrainOptions) -> Iterator[Path]:
    """Choose, check and lock the folder of a training. Refuses a folder with other content."""
    if options.out is None:
        if options.resume:
            raise UsageError("resume: needs --out, the run folder to go on from")
        with claim_numbered(Path("runs"), f"{task.name}-{options.model}") as folder:
            yield folder
        return
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"out: '{folder}' is a file, wanted a folder")
    with claim(folder):
        if folder.exists() and any(not is_part(file) for file in folder.iterdir()) and has_progress(folder):
            if not options.resume:
                raise UsageError(f"out: '{folder}' is not empty; give another folder, or --resume to go on from it")
            if not (folder / "config.json").exists():
                raise RunError(f"{folder}: no config.json, so this is not a run folder; nothing to resume")
            _check_same_options(folder, task, options)
        yield folder


def has_progress(folder: Path) -> bool:
    """Return whether ``folder`` has more content than the config and the codec of a training that failed early."""
    if any(file.name not in CONFIG_FILES and not is_part(file) for file in folder.iterdir()):
        return True
    try:
        read_config(folder)
    except RunError:
        return True
    return False


def options_to_resume(folder: Path, task: Task[Any, Any, Any]) -> Mapping[str, object] | None:
    """Return the options of the run in ``folder`` that a resumed training must repeat. None if there is no such run.

    They stand for options that the user does not give again, because a later version may have other defaults.
    """
    if not (folder / "config.json").exists():
        return None
    config = read_config(folder)
    if config["task"] != task.name:
        return None
    names = {field.name for field in dataclasses.fields(task.options)} - {*FREE_TO_CHANGE}
    return {name: value for name, value in config["options"].items() if name in names}


def _check_same_options(folder: Path, task: Task[Any, Any, Any], options: TrainOptions) -> None:
    """Refuse to resume with other options than the run began with."""
    config = read_config(folder)
    original = options_of(folder, task_of(folder, config), config)
    if config["task"] != task.name:
        raise UsageError(f"resume: {folder} is a {config['task']} run, not {task.name}")
    for field in dataclasses.fields(options):
        name = field.name
        if name not in FREE_TO_CHANGE and getattr(original, name) != getattr(options, name):
            raise UsageError(
                f"{name}: got {getattr(options, name)!r}, but {folder} began with {getattr(original, name)!r}; "
                "resume with the same options"
            )


def begin(
    folder: Path, task: Task[Any, Any, Any], options: TrainOptions, data: PreparedData[Any, Any], source: object
) -> None:
    """Write the config and the codec, before training. Refuse to resume with other data."""
    if folder.exists() and not has_progress(folder):
        for name in CONFIG_FILES:
            (folder / name).unlink(missing_ok=True)
    check_same_data(folder, data.hash)
    config = {
        "format": FORMAT,
        "seriatim": __version__,
        "task": task.name,
        "model": options.model,
        "options": _json_options(options),
        "data": {"source": _source_paths(source), **data.sizes, "hash": data.hash},
        "notes": list(data.notes),
    }
    write_json(folder / "config.json", config)  # first, because a folder with a config can be resumed
    write_json(folder / task.codec_file(data.codec), data.codec.to_json())


def check_same_data(folder: Path, hash: str) -> None:
    """Refuse to resume the run in ``folder``, if there is one, with data of another hash."""
    if (folder / "config.json").exists():
        original = read_config(folder)["data"]["hash"]
        if original != hash:
            raise DataError(f"resume: the data have changed since {folder} began ({original} → {hash})")


def _json_options(options: TrainOptions) -> dict[str, Any]:
    """Return the options as JSON, without ``out`` and ``resume``, which do not affect the model."""
    content = dataclasses.asdict(options)
    return {name: value for name, value in content.items() if name not in ("out", "resume")}


def _source_paths(source: object) -> list[str] | None:
    """Return the absolute paths of the data, or None for data in memory."""
    items = source if isinstance(source, (list, tuple)) else [source]
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
    check_keys(folder / "config.json", config, CONFIG)
    check_keys(folder / "config.json", config["data"], DATA)
    return config


def check_keys(
    file: Path, content: Any, required: Mapping[str, Any], optional: Mapping[str, Any] = MappingProxyType({})
) -> Mapping[str, Any]:
    """Return ``content`` if it has all ``required`` keys and no other keys than these and the ``optional`` ones.

    Both map a key to the type of its value. Raises ``RunError``.
    """
    if not isinstance(content, dict):
        raise RunError(f"{file}: damaged (holds no object)")
    types = {**required, **{key: type_ for key, type_ in optional.items() if key in content}}
    for key in (*types, *content):
        if key not in content:
            raise RunError(f"{file}: damaged (no '{key}')")
        if key not in types:
            raise RunError(f"{file}: unknown key '{key}'{nearest(key, types)}")
        if not isinstance(content[key], types[key]):
            raise RunError(f"{file}: damaged ('{key}' is {content[key]!r})")
    return content


def task_of(folder: Path, config: Mapping[str, Any]) -> Task[Any, Any, Any]:
    """Return the task of a run. Raises ``RunError`` for an unknown one."""
    try:
        return find_task(config["task"])
    except (UsageError, TypeError) as error:
        raise RunError(f"{folder}/config.json: {error}") from None


def options_of(folder: Path, task: Task[Any, Any, Any], config: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a run. Raises ``RunError`` for damaged ones, and for a model that is not registered."""
    model = config["options"].get("model")
    known = {field.name: field.metadata for field in dataclasses.fields(task.options)}["model"]
    if isinstance(model, str) and model not in known["choices"] and model not in known["registered"]:
        raise RunError(
            f"{folder}: '{model}' is no model of seriatim's own; if it is a cell of yours, register it before "
            f"loading: seriatim.nn.register('{model}', …)"
        )
    try:
        options: TrainOptions = fill(task.options, config["options"])
    except (SeriatimError, AttributeError, TypeError) as error:
        raise RunError(f"{folder}/config.json: damaged ({error})") from None
    return options
