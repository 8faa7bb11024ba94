"""What can be done with a run: the verbs as methods, and runs side by side."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import torch

from seriatim.decoding.stops import cut_at_stop
from seriatim.errors import DataError, RunError, UsageError
from seriatim.learning.observer import Observer, Plain
from seriatim.options import fill
from seriatim.run.folder import FOUND, RESULT, checked, kind_of, options_of, read_config
from seriatim.storage import read_arrays, read_json, write_bytes
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.options.update import UpdateOptions
from seriatim.tasks.task import GenerateRequest, Model, Prepared, Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.tasks.options.keywords import WritingKeywords

Result = dict[str, Any]


class Run:
    """A trained model with its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config = read_config(path)
        self.kind = kind_of(path, self._config)
        self._options = options_of(path, self.kind, self._config)
        self.kind = self.kind.variant(self._options)
        self.task: str = self.kind.name
        self.model: str = self._options.model
        self.main_score: str = self.kind.main_score
        self.higher_is_better: bool = self.kind.higher_is_better
        self.writing: str | None = self.kind.writing
        self.anew: tuple[str, ...] = self.kind.anew

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
        result = checked(self.path / "result.json", read_json(self.path / "result.json"), RESULT, FOUND)
        return {**result, "run": str(self.path)}  # where the folder is now

    @cached_property
    def network(self) -> Model:
        """The fitted model: a ``torch.nn.Module``, or a statistical model with arrays of its own."""
        return self._restore(self._options, self.path / "model.safetensors")

    @cached_property
    def codec(self) -> Any:
        """What turns raw values into arrays and back."""
        for name in self.kind.codec_files:
            file = self.path / name
            if file.exists():
                try:
                    return self.kind.codec(read_json(file))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise RunError(f"{file}: damaged ({error!r})") from None
        raise RunError(f"{self.path}: no {' or '.join(self.kind.codec_files)}; this is not a complete run folder")

    def verdict(self) -> str:
        """Say in plain words whether the model beats its baselines."""
        return verdict(self.result, self.main_score, self.higher_is_better)

    def evaluate(
        self, data: object | None = None, *, observer: Observer | None = None, **anew: Unpack[WritingKeywords]
    ) -> Result:
        """Score the model and its baselines on ``data``, or again on the test split of the data it was trained on.

        ``anew``: other options of writing than those of the training (translate and caption runs). ``observer`` is told
        what is to be known of ``data``; without one it goes to standard error. Returns the same
        keys as ``result``. Raises ``DataError`` when the original data are gone or have changed.
        """
        options = self._with(anew)
        with computing(self._options):
            if data is None:
                prepared = self.prepare_again()
                split, sizes, hash_ = prepared.test, prepared.sizes, prepared.hash
            else:
                fresh = self.kind.read(self._options, self.codec, data)
                for note in fresh.notes:
                    (observer or Plain()).note(note)
                split, sizes, hash_ = fresh.split, {"train": 0, "valid": 0, "test": fresh.size}, fresh.hash
            scores = score(self.kind, self.network, options, self.codec, split)
            baselines = self.baseline_scores(split, options)
        return self.result | {"data": {**sizes, "hash": hash_}, "scores": scores, "baselines": baselines}

    def baseline_scores(self, split: object, options: TrainOptions) -> dict[str, dict[str, float]]:
        """Score the stored baselines on an encoded split."""
        scores = {}
        for name in self._stored_baselines():
            beside = self.kind.beside(options, name)
            model = self._restore(beside, self.path / "baselines" / f"{name}.safetensors")
            scores[name] = score(self.kind, model, beside, self.codec, split)
        return scores

    def update(
        self,
        data: object,
        *,
        replay: float = 0.0,
        epochs: int | None = None,
        time_limit: str | float | None = None,
        lr: float | None = None,
        out: str | Path | None = None,
        threads: int | None = None,
        quiet: bool = False,
        observer: Observer | None = None,
    ) -> Result:
        """Go on training with ``data``; the run folder gets the result, or ``out`` does.

        The optimizer's averages, the vocabulary and the scalers are those of the training; ``replay`` mixes that share
        of its data in; what else is not given is as it was. Returns ``before`` and ``after``, each with the scores on
        the ``new`` data's test part and on the ``old`` data's (None where those are gone), so that what was forgotten
        is seen. Until all is done the old weights stay. Raises as ``train`` does.
        """
        from seriatim.run.update import update

        given = {
            "replay": replay, "epochs": epochs, "time_limit": time_limit, "lr": lr, "out": str(out) if out else None,
            "threads": threads, "quiet": quiet,
        }  # fmt: skip
        found = update(self, data, fill(UpdateOptions, given), observer)
        for name in ("result", "network"):  # read again when they are asked for
            self.__dict__.pop(name, None)
        self._config = read_config(self.path)
        return found

    def predict(
        self, data: object, *, format: str | None = None, **anew: Unpack[WritingKeywords]
    ) -> Iterator[dict[str, Any]]:
        """Give one JSON-able row per row or sequence of ``data`` (a path, a frame, arrays, lists).

        ``data`` may be a binary file, such as standard input, of the kind that ``format`` names: csv, tsv, jsonl, txt.
        ``anew``: other options of writing than those of the training (translate and caption runs).
        """
        options = self._with(anew)
        with computing(self._options):
            source = self.kind.piped(cast(BinaryIO, data), format) if hasattr(data, "read") else data
            yield from self.kind.predict(self.network, options, self.codec, source)

    def write_predictions(self, data: object, file: str | Path, *, format: str | None = None) -> None:
        """Write the predictions to ``file``, CSV where its name says so, else JSON lines; whole or not at all."""
        self.write_rows(self.predict(data, format=format), file)

    def write_rows(self, rows: Iterable[dict[str, Any]], file: str | Path) -> None:
        """Write rows of ``predict`` to ``file``, as ``write_predictions`` does."""
        file = Path(file)
        text = io.StringIO(newline="")
        if file.suffix == ".csv":
            writer: csv.DictWriter[str] | None = None
            for flat in itertools.chain.from_iterable(map(self.kind.flat, rows)):
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
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write at most ``length`` units that go on from ``prompt`` (language) or answer it (translate), as they come.

        ``temperature`` 0 takes the likeliest unit each time; ``top_k`` and ``top_p`` (Holtzman 2020) cut the tail off;
        ``repetition_penalty`` above 1 makes units that were there less likely (Keskar 2019). The text ends before the
        first of the strings ``stop``.
        """
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        request = GenerateRequest(
            prompt=prompt,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            stop=stops,
            seed=seed,
        )
        return cut_at_stop(self.kind.generate(self.network, self._options, self.codec, request), stops)

    def _restore(self, options: TrainOptions, file: Path) -> Model:
        arrays = read_arrays(file)
        try:
            model: Model = self.kind.make(options, self.codec)
            tensors = isinstance(model, torch.nn.Module)
            model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in arrays.items()} if tensors else arrays
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"{file}: does not fit the run's options ({str(error).splitlines()[0]})") from None
        return model

    def _with(self, anew: Mapping[str, object]) -> TrainOptions:
        """The run's options with some of them given anew."""
        for name in anew:
            if name not in self.anew:
                some = f"; it takes {', '.join(self.anew)}" if self.anew else ""
                raise UsageError(f"{name}: not to be given anew to a {self.task} run{some}")
        options: TrainOptions = fill(self.kind.options, {**dataclasses.asdict(self._options), **anew})
        self.kind.check(options)
        return options

    def _stored_baselines(self) -> list[str]:
        kept = {file.stem for file in (self.path / "baselines").glob("*.safetensors")}
        return [name for name in self.kind.baselines if name in kept]

    def prepare_again(self) -> Prepared[Any, Any]:
        """Read the data of the training again. Raises ``DataError`` when they are gone or have changed."""
        source = self._config["data"]["source"]
        if source is None:
            raise DataError("evaluate: the run was trained on data in memory; give the data to score")
        prepared: Prepared[Any, Any] = self.kind.prepare(self._options, source if len(source) > 1 else source[0])
        if prepared.hash != self._config["data"]["hash"]:
            raise DataError(f"{', '.join(source)}: changed since the run was trained; give the data to score")
        return prepared


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
def computing(options: TrainOptions) -> Iterator[None]:
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


def score(
    kind: Task[Any, Any, Any], model: Model, options: TrainOptions, codec: object, split: object
) -> dict[str, float]:
    """Score a model. A score that is not finite (a forecast that exploded) is left out: JSON has no word for it."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = kind.score(model, options, codec, split)
    return {name: score for name, score in scores.items() if math.isfinite(score)}
