"""The run folder, and the verbs as methods of what it holds.

    train(task, data, …) → Run      load(path) → Run      compare([run, run])
    Run: evaluate · predict · write_predictions · generate

A run folder is the one artefact that everything after training reads:

    config.json           format, task, model, every option, where the data came from and their hash
    vocabulary.json       or scaler.json: raw values ↔ arrays
    model.safetensors     weights of the best validation score
    baselines/            the fitted naive models, so that new data can be scored beside them as well
    metrics.jsonl         a row per validation
    checkpoint/           the whole state of the training, for --resume
    result.json           the scores; written last, so it stands for a finished run
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import torch

from seriatim import __version__
from seriatim.data.bundled import bundled
from seriatim.errors import DataError, RunError, SeriatimError, UsageError, nearest
from seriatim.learning.loop import InFolder, InMemory, Outcome
from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.learning.optimization import check_schedule
from seriatim.learning.storage import is_part, read_arrays, read_json, write_arrays, write_bytes, write_json
from seriatim.models.options import check_cell
from seriatim.options import fill
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import GenerateRequest, Model, Prepared, Task, parameter_count

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.tasks.keywords import TrainKeywords

FORMAT = 1
"""Of the run folder."""
FREE_TO_CHANGE = ("out", "resume", "quiet", "threads", "time_limit", "checkpoint_every")
"""Options that a resumed training may be given anew."""

Result = dict[str, Any]

CONFIG = {
    "format": int, "seriatim": str, "task": str, "model": str, "options": dict, "data": dict, "notes": list
}  # fmt: skip
DATA = {"source": (list, NoneType), "train": int, "valid": int, "test": int, "hash": str}
RESULT = {
    "task": str, "model": str, "run": str, "data": dict, "scores": dict, "baselines": dict, "parameters": int,
    "epochs": int, "seconds": (int, float),
}  # fmt: skip
"""Keys of a run folder's files, and what each of them holds."""


def train(task: str, data: object, *, observer: Observer | None = None, **options: Unpack[TrainKeywords]) -> Run:
    """Train a model on ``data``, score it beside the naive baselines on the same split, and keep it all in a folder.

    ``data`` is a path, several paths, the name of a bundled set, a Polars or pandas frame, NumPy arrays or lists; the
    options are those of
    ``seriatim train TASK --help``, with the same names. Raises ``UsageError`` for options that do not exist or do not
    fit, ``DataError`` for data that the task cannot use, ``TrainingError`` when the loss is no longer finite, and
    ``Interrupted`` after Ctrl-C.
    """
    kind = find_task(task)
    data, brought = _bundled(kind, data)
    chosen = _with_absolute_paths(fill(kind.options, {**brought, **options}))
    check_cell(chosen)
    check_schedule(chosen)
    kind.check(chosen)
    folder = _open_folder(kind, chosen)
    if (folder / "result.json").exists():
        return Run(folder)
    watching = observer or (Silent() if chosen.quiet else Plain())
    with _computing(chosen):
        prepared = kind.prepare(chosen, data)
        _begin(folder, kind, chosen, prepared, data)
        for note in prepared.notes:
            watching.note(note)
        model, outcome = _fit(kind, chosen, prepared, folder, watching)
        baselines = _fit_baselines(kind, chosen, prepared, folder, watching)
        scores = _score(kind, model, chosen, prepared.codec, prepared.test)
    result = {
        "task": kind.name,
        "model": chosen.model,
        "run": str(folder),
        "data": {**prepared.sizes, "hash": prepared.hash},
        "scores": scores,
        "baselines": baselines,
        "parameters": parameter_count(model),
        "epochs": outcome.epochs,
        "seconds": round(outcome.seconds, 3),
    }
    write_json(folder / "result.json", result)
    return Run(folder)


def load(path: str | Path) -> Run:
    """Open the run folder at ``path``. Raises ``RunError`` when it is none, damaged, or newer than this package."""
    return Run(Path(path))


def compare(runs: Sequence[Run | str | Path]) -> Result:
    """Put the results of several runs of one task side by side.

    Returns ``{"task", "main_score", "higher_is_better", "runs": [result, …], "notes": […]}``.
    """
    opened = [run if isinstance(run, Run) else load(run) for run in runs]
    if not opened:
        raise UsageError("compare: no runs given")
    tasks = sorted({run.task for run in opened})
    if len(tasks) > 1:
        raise UsageError(f"compare: runs of different tasks ({', '.join(tasks)}) have no score in common")
    results = [run.result for run in opened]
    notes = []
    if len({json.dumps(result["data"], sort_keys=True) for result in results}) > 1:
        notes.append("the runs were not scored on the same data and split: their scores do not compare")
    first = opened[0]
    return {
        "task": first.task,
        "main_score": first.main_score,
        "higher_is_better": first.higher_is_better,
        "runs": results,
        "notes": notes,
    }


class Run:
    """A trained model with its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config = _read_config(path)
        self._kind = _kind_of(path, self._config)
        self._options = _options_of(path, self._kind, self._config)
        self.task: str = self._kind.name
        self.model: str = self._options.model
        self.main_score: str = self._kind.main_score
        self.higher_is_better: bool = self._kind.higher_is_better

    def __repr__(self) -> str:
        return f"Run('{self.path}', task='{self.task}', model='{self.model}')"

    @property
    def options(self) -> TrainOptions:
        """The options that the model was trained with."""
        return self._options

    @property
    def notes(self) -> list[str]:
        """What the reader should know about the data, a line each."""
        return list(self._config["notes"])

    @cached_property
    def result(self) -> Result:
        """Scores on the test split, the baselines' beside them. Raises ``RunError`` for an unfinished run."""
        if not (self.path / "result.json").exists():
            raise RunError(f"{self.path}: this run is not finished; go on with --resume --out {self.path}")
        result = _checked(self.path / "result.json", read_json(self.path / "result.json"), RESULT)
        return {**result, "run": str(self.path)}  # where the folder is now

    @cached_property
    def network(self) -> Model:
        """The fitted model: a ``torch.nn.Module``, or a statistical model with arrays of its own."""
        return self._restore(self._options, self.path / "model.safetensors")

    @cached_property
    def _codec(self) -> Any:
        for name in self._kind.codec_files:
            file = self.path / name
            if file.exists():
                try:
                    return self._kind.codec(read_json(file))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise RunError(f"{file}: damaged ({error!r})") from None
        raise RunError(f"{self.path}: no {' or '.join(self._kind.codec_files)}; this is not a complete run folder")

    def verdict(self) -> str:
        """Say in plain words whether the model beats its baselines."""
        return verdict(self.result, self.main_score, self.higher_is_better)

    def evaluate(self, data: object | None = None) -> Result:
        """Score the model and its baselines on ``data``, or again on the test split of the data it was trained on.

        Returns the same keys as ``result``. Raises ``DataError`` when the original data are gone or have changed.
        """
        with _computing(self._options):
            if data is None:
                prepared = self._prepare_again()
                split, sizes, hash_ = prepared.test, prepared.sizes, prepared.hash
            else:
                fresh = self._kind.read(self._options, self._codec, data)
                split, sizes, hash_ = fresh.split, {"train": 0, "valid": 0, "test": fresh.size}, fresh.hash
            scores = _score(self._kind, self.network, self._options, self._codec, split)
            baselines = {}
            for name in self._stored_baselines():
                options = self._kind.beside(self._options, name)
                model = self._restore(options, self.path / "baselines" / f"{name}.safetensors")
                baselines[name] = _score(self._kind, model, options, self._codec, split)
        return self.result | {"data": {**sizes, "hash": hash_}, "scores": scores, "baselines": baselines}

    def predict(self, data: object, *, format: str | None = None) -> Iterator[dict[str, Any]]:
        """Give one JSON-able row per row or sequence of ``data`` (a path, a frame, arrays, lists).

        ``data`` may be a binary file, such as standard input, of the kind that ``format`` names: csv, tsv, jsonl, txt.
        """
        with _computing(self._options):
            source = self._kind.piped(cast(BinaryIO, data), format) if hasattr(data, "read") else data
            yield from self._kind.predict(self.network, self._options, self._codec, source)

    def write_predictions(self, data: object, file: str | Path, *, format: str | None = None) -> None:
        """Write the predictions to ``file``, CSV where its name says so, else JSON lines; whole or not at all."""
        file = Path(file)
        rows = self.predict(data, format=format)
        text = io.StringIO(newline="")
        if file.suffix == ".csv":
            writer: csv.DictWriter[str] | None = None
            for flat in itertools.chain.from_iterable(map(self._kind.flat, rows)):
                if writer is None:
                    writer = csv.DictWriter(text, list(flat))
                    writer.writeheader()
                writer.writerow(flat)
        else:
            for row in rows:
                text.write(json.dumps(row, ensure_ascii=False) + "\n")
        write_bytes(file, text.getvalue().encode())

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write ``length`` units that go on from ``prompt``, piece by piece (language runs).

        ``temperature`` 0 takes the likeliest unit each time; ``top_k`` and ``top_p`` (Holtzman 2020) cut the tail off.
        """
        request = GenerateRequest(
            prompt=prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )
        return self._kind.generate(self.network, self._options, self._codec, request)

    def _restore(self, options: TrainOptions, file: Path) -> Model:
        arrays = read_arrays(file)
        try:
            model: Model = self._kind.make(options, self._codec)
            tensors = isinstance(model, torch.nn.Module)
            model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in arrays.items()} if tensors else arrays
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"{file}: does not fit the run's options ({str(error).splitlines()[0]})") from None
        return model

    def _stored_baselines(self) -> list[str]:
        kept = {file.stem for file in (self.path / "baselines").glob("*.safetensors")}
        return [name for name in self._kind.baselines if name in kept]

    def _prepare_again(self) -> Prepared[Any, Any]:
        source = self._config["data"]["source"]
        if source is None:
            raise DataError("evaluate: the run was trained on data in memory; give the data to score")
        prepared: Prepared[Any, Any] = self._kind.prepare(self._options, source if len(source) > 1 else source[0])
        if prepared.hash != self._config["data"]["hash"]:
            raise DataError(f"{', '.join(source)}: changed since the run was trained; give the data to score")
        return prepared


def verdict(result: Result, main_score: str, higher_is_better: bool) -> str:
    """Say in plain words how the model of ``result`` stands beside its baselines."""
    own, model = result["scores"].get(main_score), result["model"]
    others = {name: scores[main_score] for name, scores in result["baselines"].items() if main_score in scores}
    if own is None:
        return f"{model} has no {main_score} to compare"
    if not others:
        return f"no baseline to compare {model} with"
    best = (max if higher_is_better else min)(others, key=lambda name: others[name])
    better = own > others[best] if higher_is_better else own < others[best]
    numbers = f"{main_score} {own:.4g}, {best} {others[best]:.4g}"
    if better:
        return f"{model} beats every baseline: {numbers}"
    if own == others[best]:
        return f"{model} is no better than {best}: {numbers}"
    worse = [name for name in others if (own > others[name] if higher_is_better else own < others[name])]
    comfort = f"; it beats {', '.join(worse)}" if worse else "; it beats no baseline"
    return f"{model} LOSES to {best}: {numbers}{comfort}"


@contextmanager
def _computing(options: TrainOptions) -> Iterator[None]:
    """Seed and threads as the options say, and as they were before afterwards."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        try:
            if options.threads:
                torch.set_num_threads(options.threads)
            yield
        finally:
            torch.set_num_threads(before)


def _fit(
    kind: Task[Any, Any, Any], options: TrainOptions, prepared: Prepared[Any, Any], folder: Path, observer: Observer
) -> tuple[Model, Outcome]:
    """Train the model that was asked for, keeping everything in the folder."""
    torch.manual_seed(options.seed)
    model = kind.make(options, prepared.codec)
    outcome = kind.fit(model, options, prepared, InFolder(folder), observer)
    if not isinstance(model, torch.nn.Module):
        write_arrays(folder / "model.safetensors", model.state_dict())
    return model, outcome


def _fit_baselines(
    kind: Task[Any, Any, Any], options: TrainOptions, prepared: Prepared[Any, Any], folder: Path, observer: Observer
) -> dict[str, dict[str, float]]:
    """Fit every baseline that was asked for beside the model, keep it, and score it on the same split."""
    wanted = {
        "all": kind.baselines,
        "fast": tuple(name for name in kind.baselines if name not in kind.neural_baselines),
        "none": (),
    }[options.baselines]
    scores = {}
    for name in wanted:
        if name == options.model:
            continue
        observer.baseline(name)
        beside = kind.beside(options, name)
        torch.manual_seed(options.seed)
        model = kind.make(beside, prepared.codec)
        kind.fit(model, beside, prepared, InMemory(), observer)
        write_arrays(folder / "baselines" / f"{name}.safetensors", model.state_dict())
        scores[name] = _score(kind, model, beside, prepared.codec, prepared.test)
    return scores


def _score(
    kind: Task[Any, Any, Any], model: Model, options: TrainOptions, codec: object, split: object
) -> dict[str, float]:
    """Score a model. A score that is not finite (a forecast that exploded) is left out: JSON has no word for it."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = kind.score(model, options, codec, split)
    return {name: score for name, score in scores.items() if math.isfinite(score)}


def _open_folder(kind: Task[Any, Any, Any], options: TrainOptions) -> Path:
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
    config = _read_config(folder)
    before = _options_of(folder, _kind_of(folder, config), config)
    if config["task"] != kind.name:
        raise UsageError(f"resume: {folder} is a {config['task']} run, not {kind.name}")
    for field in dataclasses.fields(options):
        name = field.name
        if name not in FREE_TO_CHANGE and getattr(before, name) != getattr(options, name):
            raise UsageError(
                f"{name}: got {getattr(options, name)!r}, but {folder} began with {getattr(before, name)!r}; "
                "resume with the same options"
            )


def _begin(
    folder: Path, kind: Task[Any, Any, Any], options: TrainOptions, prepared: Prepared[Any, Any], data: object
) -> None:
    """Write what stands before training: the config and the codec; refuse to resume on other data."""
    if (folder / "config.json").exists():
        before = _read_config(folder)["data"]["hash"]
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


def _bundled(kind: Task[Any, Any, Any], data: object) -> tuple[object, Mapping[str, object]]:
    """Put the file of a bundled set in place of its name, with the options that read it; a user's file goes before."""
    if not isinstance(data, (str, Path)) or os.path.exists(data) or "\n" in str(data):  # a list may be texts
        return data, {}
    sets = {one.name: one for one in bundled()}
    found = sets.get(str(data))
    if found is None:
        raise DataError(f"{data}: no such file, nor a bundled set of that name{nearest(str(data), sets)}")
    if found.task != kind.name:
        raise UsageError(f"data: the bundled set '{found.name}' is for {found.task}, not {kind.name}")
    return found.path, found.options


def _with_absolute_paths(options: TrainOptions) -> TrainOptions:
    """Make the paths of ``--valid`` and ``--test`` mean the same from any folder."""
    valid, test = (str(Path(file).absolute()) if file else None for file in (options.valid, options.test))
    return dataclasses.replace(options, valid=valid, test=test)


def _plain(options: TrainOptions) -> dict[str, Any]:
    """Return the options as JSON; ``out`` and ``resume`` are not the model's business."""
    content = dataclasses.asdict(options)
    return {name: value for name, value in content.items() if name not in ("out", "resume")}


def _source(data: object) -> list[str] | None:
    """Return the absolute paths of the data, or None for data in memory."""
    items = data if isinstance(data, (list, tuple)) else [data]
    paths = [Path(item).absolute() for item in items if isinstance(item, (str, Path))]
    return [str(path) for path in paths] if len(paths) == len(items) and all(map(os.path.exists, paths)) else None


def _read_config(folder: Path) -> Mapping[str, Any]:
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
    _checked(folder / "config.json", config, CONFIG)
    _checked(folder / "config.json", config["data"], DATA)
    return config


def _checked(file: Path, content: Any, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``content`` if it has the keys ``wanted`` and no others. Raises ``RunError``."""
    if not isinstance(content, dict):
        raise RunError(f"{file}: damaged (holds no object)")
    for key in (*wanted, *content):
        if key not in content:
            raise RunError(f"{file}: damaged (no '{key}')")
        if key not in wanted:
            raise RunError(f"{file}: unknown key '{key}'{nearest(key, wanted)}")
        if not isinstance(content[key], wanted[key]):
            raise RunError(f"{file}: damaged ('{key}' is {content[key]!r})")
    return content


def _kind_of(folder: Path, config: Mapping[str, Any]) -> Task[Any, Any, Any]:
    try:
        return find_task(config["task"])
    except (UsageError, TypeError) as error:
        raise RunError(f"{folder}/config.json: {error}") from None


def _options_of(folder: Path, kind: Task[Any, Any, Any], config: Mapping[str, Any]) -> TrainOptions:
    try:
        options: TrainOptions = fill(kind.options, config["options"])
    except (SeriatimError, AttributeError, TypeError) as error:
        raise RunError(f"{folder}/config.json: damaged ({error})") from None
    return options
