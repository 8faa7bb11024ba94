"""``Run`` and ``load``: a trained model, with the verbs as methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from seriatim.data.predictions import check_output, write_rows
from seriatim.decoding.stops import cut_at_stop
from seriatim.errors import MissingExtra, UsageError
from seriatim.learning.observer import Observer, Plain
from seriatim.options import fill
from seriatim.run.evaluation import evaluate, inspect
from seriatim.run.export import export, exported
from seriatim.run.forecast_frame import forecast_frame
from seriatim.run.hub import download, push
from seriatim.run.inspection.inspect import read_rows
from seriatim.run.notebook import as_html
from seriatim.run.opened import Opened, Result, torch_settings
from seriatim.run.update import update
from seriatim.run.verdict import verdict
from seriatim.runtime.model import Model, Stream
from seriatim.tasks.options import ForecastOptions, TrainOptions
from seriatim.tasks.options.blending import NETWORK
from seriatim.tasks.options.update import UpdateOptions
from seriatim.tasks.task import GenerateRequest
from seriatim.tasks.task import Model as FittedModel

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.tasks.options.keywords import WritingKeywords


class Run:
    """A trained model with its run folder. ``seriatim.train`` and ``seriatim.load`` return one.

    >>> import seriatim, tempfile
    >>> folder = tempfile.mkdtemp() + "/run"
    >>> texts = ["the sun is warm", "the sea is cold"] * 20, ["warm", "cold"] * 20
    >>> run = seriatim.train("classify", texts, model="gru", epochs=2, hidden=8, out=folder, quiet=True)
    >>> run.task, run.model
    ('classify', 'gru')
    >>> [row["row"] for row in run.predict(["the sea is warm", "the sun"])]
    [1, 2]
    >>> sorted(run.evaluate(texts)["scores"])
    ['accuracy', 'macro_f1']
    """

    def __init__(self, path: Path) -> None:
        self._opened = Opened(path)
        self._exported: dict[str | None, Model] = {}
        task = self._opened.task
        self.path = path
        self.task: str = task.name
        self.model: str = self._opened.options.model
        self.main_score: str = task.main_score
        self.higher_is_better: bool = task.higher_is_better
        self.writing: str | None = task.writing
        self.decoding_options: tuple[str, ...] = task.decoding_options

    def __repr__(self) -> str:
        return f"Run('{self.path}', task='{self.task}', model='{self.model}')"

    def _repr_html_(self) -> str:
        """Return the scores and the curves of the training, as a notebook shows them."""
        is_finished = (self.path / "result.json").exists()
        result, sentence = (self.result, self.verdict()) if is_finished else (None, "")
        rows = read_rows(self.path / "metrics.jsonl")
        return as_html(repr(self), result, rows, sentence, self.main_score, self.higher_is_better)

    @property
    def options(self) -> TrainOptions:
        """The options of the training."""
        return self._opened.options

    @property
    def notes(self) -> list[str]:
        """Remarks about the data, one line each."""
        return list(self._opened.config["notes"])

    @property
    def result(self) -> Result:
        """The scores of the model and its baselines on the test part. Raises ``RunError`` for an unfinished run."""
        return self._opened.result

    @property
    def network(self) -> FittedModel:
        """The fitted model: a ``torch.nn.Module``, or a statistical model with NumPy arrays."""
        return self._opened.network

    @property
    def codec(self) -> Any:
        """The codec, which turns raw values into arrays and back."""
        return self._opened.codec

    def verdict(self) -> str:
        """Say in one sentence whether the model beats its baselines."""
        return verdict(self.result, self.main_score, self.higher_is_better)

    def evaluate(
        self,
        data: object | None = None,
        *,
        use: str | None = None,
        observer: Observer | None = None,
        **decoding_options: Unpack[WritingKeywords],
    ) -> Result:
        """Score the model, its baselines and their blend on ``data``, or again on the test part of the training data.

        ``use`` names the model of interest, ``network``, ``blend`` or a baseline, which the result calls ``best``.
        ``decoding_options`` replace the options of the training (translate and caption runs). ``observer`` receives the
        notes about ``data``; by default they go to standard error. Returns the same keys as ``result``. Raises
        ``DataError`` if the training data are needed but are gone or have changed.
        """
        options = self._opened.options_with(decoding_options)
        return evaluate(self._opened, options, data, use, observer or Plain())

    def inspect(self, data: object | None = None, *, observer: Observer | None = None) -> Result:
        """Measure how far back the model looks, how far back the data need it to, and what limits it.

        The measures are of the test and training parts, or of ``data``. Writes ``report.html`` into the run folder.
        Returns ``run``, ``horizons``, ``verdict`` and ``checks``. Raises ``DataError`` if the training data are needed
        but are gone or have changed.
        """
        return inspect(self._opened, data, observer or Plain())

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
        """Continue the training with ``data``, and write the result to the run folder, or to ``out``.

        The optimizer's averages and the codec come from the training. ``replay`` mixes in old training data, as a
        share of the new data. The other options are as in the training unless they are passed. Returns ``before`` and
        ``after``, each with the scores on the test part of the ``new`` data and of the ``old`` data (None if these are
        gone), which shows what the model has forgotten. The old weights stay until the update is complete. Raises as
        ``train`` does.
        """
        values = {
            "replay": replay, "epochs": epochs, "time_limit": time_limit, "lr": lr, "out": str(out) if out else None,
            "threads": threads, "quiet": quiet,
        }  # fmt: skip
        result = update(self._opened, data, fill(UpdateOptions, values), observer)
        self._opened, self._exported = Opened(self.path), {}
        return result

    def predict(
        self,
        data: object,
        *,
        use: str | None = None,
        format: str | None = None,
        **decoding_options: Unpack[WritingKeywords],
    ) -> Iterator[dict[str, Any]]:
        """Yield one row of JSON values for each row or sequence of ``data`` (a path, a frame, arrays, lists).

        ``use`` is ``network``, ``blend`` or the name of a baseline; by default the model that validation chose.
        ``data`` may be a binary file, such as standard input, with the ``format`` csv, tsv, jsonl, conllu or txt.
        ``decoding_options`` replace the options of the training (translate and caption runs).
        """
        run, options = self._opened, self._opened.options_with(decoding_options)
        with torch_settings(run.options):
            source = run.task.from_stream(cast(BinaryIO, data), format) if hasattr(data, "read") else data
            member = run.member_in_use(use)
            used = options if member.options is run.options else member.options
            yield from run.task.predict(member.model, used, run.codec, source)

    def forecast(self, data: object, *, use: str | None = None) -> Any:
        """Forecast the steps after the end of each series, as a frame: of pandas if ``data`` is one, else of Polars.

        Its columns are the id, the stamp, and for a single target ``MODEL, MODEL-lo-80, MODEL-hi-80``, as in Nixtla's
        libraries: the median and the interval of 80 %. With several targets the name of the target comes first. ``use``
        is as in ``predict``. Raises ``UsageError`` for a run of another task.
        """
        options = self.options
        if not isinstance(options, ForecastOptions):
            raise UsageError(f"forecast: for forecast runs; this is a {self.task} run")
        name = self._opened.best if use is None else self.model if use == NETWORK else use
        targets = self.codec.targets
        rows = self.predict(data, use=use)
        return forecast_frame(rows, data, model=name, targets=targets, id=options.id, time=options.time)

    def write_predictions(
        self, data: object, file: str | Path, *, use: str | None = None, format: str | None = None
    ) -> None:
        """Write the predictions to ``file``: CSV, TSV, Parquet or JSON lines, by its extension; ``.gz`` compresses.

        The file is complete or not written at all. Raises ``UsageError`` for another extension, or if ``file`` is
        ``data``.
        """
        check_output(file, data)
        self.write_rows(self.predict(data, use=use, format=format), file)

    def write_rows(self, rows: Iterable[dict[str, Any]], file: str | Path) -> None:
        """Write rows of ``predict`` to ``file``, as ``write_predictions`` does."""
        write_rows(rows, self._opened.task.csv_rows, file)

    def csv_rows(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a CSV file that represent ``row`` of ``predict``."""
        yield from self._opened.task.csv_rows(row)

    def generate(
        self,
        prompt: str = "",
        *,
        use: str | None = None,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield text in pieces, at most ``length`` units. It continues ``prompt`` (language) or answers it (translate).

        ``temperature`` 0 takes the most probable unit each time. ``top_k`` and ``top_p`` (Holtzman 2020) exclude
        improbable units. A ``repetition_penalty`` above 1 makes earlier units less probable (Keskar 2019). The text
        ends before the first string of ``stop``. ``use`` is as in ``predict``.
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
        run = self._opened
        member = run.member_in_use(use)
        return cut_at_stop(run.task.generate(member.model, member.options, run.codec, request), stops)

    def export(
        self, folder: str | Path, *, use: str | None = None, dtype: str = "float32", onnx: bool = False
    ) -> Result:
        """Write a runtime folder, which runs with NumPy alone (``seriatim.runtime.load``), or ONNX files.

        ``onnx`` writes ``model.onnx``, or ``encoder.onnx`` and ``decoder.onnx``, of standard operators
        (``docs/onnx.md``). onnxruntime runs them before they appear: 1 and 3 rows, 1 and 7 steps, states that
        are not zero, and sequences cut in two.

        The exported model is compared with this run before the folder appears: results to 1e-5, texts exactly.
        ``dtype`` is the type of the stored weights: ``float32``, ``bf16`` or ``int8``. Rounded weights are scored on
        the test part of the training data. Returns ``run``, ``folder``, ``model``, ``dtype``, ``bytes``,
        ``difference`` and ``scores``: those before and after rounding, and for some models ``stored``, those of streams
        with ``arithmetic="stored"``; None without rounding, or if the data are gone. ``use`` is as in ``predict``.
        Raises ``UsageError`` for a folder that is not empty, for a model that has no runtime and for one that ONNX's
        nodes cannot express, ``RunError`` if the results differ, and ``MissingExtra`` without the libraries of
        ``seriatim[onnx]``.
        """
        return export(self._opened, folder, dtype, use, onnx)

    def log_mlflow(
        self, *, example: object | None = None, name: str = "model", registered_model_name: str | None = None
    ) -> str:
        """Log options, rows and scores to MLflow, and the run as a model to serve. Returns the URI of the model.

        The model is loaded from code, so nothing is pickled. ``example`` is a small pandas frame as it is to be
        predicted; by default the first rows of the training data's file. A run that was trained with ``log="mlflow"``
        is continued, and inside ``with mlflow.start_run():`` the active run is used. Raises ``MissingExtra`` without
        MLflow, and ``UsageError`` if there is no example.
        """
        try:
            from seriatim.run.mlflow_model import log_mlflow
        except ModuleNotFoundError as error:
            raise MissingExtra("Run.log_mlflow", "mlflow") from error
        source = self._opened.config["data"]["source"]
        return log_mlflow(self, source[0] if source else None, name, example, registered_model_name)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        license: str | None = None,
        token: str | None = None,
        endpoint: str | None = None,
    ) -> str:
        """Upload the run to the Hugging Face hub, with a card that has its scores. Returns the URL of the commit.

        Checkpoints, logs and reports stay here, and so do the paths of this machine. ``token`` and ``endpoint`` are by
        default those of the environment. Raises ``MissingExtra`` without ``huggingface_hub``, and ``RunError`` if the
        hub refuses.
        """
        return push(self, repo_id, private, license, token, endpoint)

    @classmethod
    def from_pretrained(
        cls, repo_id: str, *, revision: str | None = None, token: str | None = None, endpoint: str | None = None
    ) -> Run:
        """Open a run from the Hugging Face hub; its files are kept in the hub's cache. Loading never runs code.

        Raises ``MissingExtra`` without ``huggingface_hub``, and ``RunError`` if the repository is missing or no run.
        """
        return cls(download(repo_id, revision, token, endpoint))

    def stream(self, *, use: str | None = None, seed: int | None = None) -> Stream:
        """Begin a stream: the model reads one sequence step by step, as in ``seriatim.runtime``.

        ``use`` is as in ``predict``; the model is exported for its first stream. Raises ``UsageError`` for a model that
        cannot read a stream.
        """
        if use not in self._exported:
            self._exported[use] = exported(self._opened, use)
        return self._exported[use].stream(seed=seed)


def load(path: str | Path) -> Run:
    """Open the run folder at ``path``.

    Raises ``RunError`` for a folder that is missing, foreign, damaged or newer than this package.

    >>> import seriatim, tempfile
    >>> folder = tempfile.mkdtemp() + "/run"
    >>> run = seriatim.train("language", ["to be or not to be. " * 20], model="markov", out=folder, quiet=True)
    >>> seriatim.load(folder).model
    'markov'
    """
    return Run(Path(path))
