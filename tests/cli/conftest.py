"""Fixtures for the command line without training: a fake module ``seriatim.run``, and two small bundled sets."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seriatim.cli.app import run as run_command
from seriatim.learning.observer import Observer

RESULT: dict[str, Any] = {
    "task": "language",
    "model": "lstm",
    "run": "runs/language-lstm-1",
    "data": {"train": "a.txt", "valid": "a.txt", "test": "a.txt", "hash": "sha256:0"},
    "scores": {"nll": 1.612, "perplexity": 5.013},
    "baselines": {
        "unigram": {"nll": 3.3, "perplexity": 28.1},
        "markov": {"nll": 1.55, "perplexity": 4.75},
        "cbow": {"nll": float("nan"), "perplexity": float("nan")},
    },
    "parameters": 432100,
    "epochs": 1,
    "seconds": 148.234,
}


UPDATED: dict[str, Any] = {
    "task": "language", "model": "lstm", "run": "runs/x", "data": {"hash": "sha256:1"},
    "before": {"new": {"perplexity": 9.0}, "old": {"perplexity": 5.0}},
    "after": {"new": {"perplexity": 6.0}, "old": {"perplexity": 5.5}},
    "baselines": {"markov": {"perplexity": 7.0}}, "epochs": 1, "seconds": 1.0,
}  # fmt: skip


class FakeRun:
    """A run, as the command line sees it."""

    main_score = "perplexity"
    higher_is_better = False
    notes: tuple[str, ...] = ("2 texts are in both parts",)
    result = RESULT

    def verdict(self) -> str:
        return "lstm LOSES to markov: perplexity 5.01, best baseline markov 4.75"


@dataclass
class FakeRuns:
    """A fake of the module ``seriatim.run``, which records its calls."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    writing: str | None = "continues"
    failure: BaseException | None = None
    """Raised by ``train`` and ``load``."""

    def train(self, task: str, data: object, *, observer: Observer, **options: object) -> FakeRun:
        self.calls.append((task, data, options))
        observer.note("a note in [brackets]")
        observer.begin(10, 60.0)
        observer.step(1, 1, 2.5, 12345.0)
        observer.validated({"step": 1, "epoch": 1, "valid_perplexity": 5.25})
        observer.end()
        observer.baseline("markov")
        if self.failure:
            raise self.failure
        return FakeRun()

    def load(self, path: Path) -> LoadedRun:
        self.calls.append(("load", path))
        if self.failure:
            raise self.failure
        return LoadedRun(self.calls, self.writing)

    def verdict(self, result: dict[str, Any], main_score: str, higher_is_better: bool) -> str:
        return f"{result['model']} LOSES by {main_score}, {higher_is_better}"

    def compare(self, runs: list[Path]) -> dict[str, Any]:
        results = [{**RESULT, "run": str(path), "scores": {"perplexity": 9.0 - i}} for i, path in enumerate(runs)]
        return {"runs": results, "main_score": "perplexity", "higher_is_better": False, "notes": ["other test data"]}


class LoadedRun(FakeRun):
    task = "language"
    decoding_options: tuple[str, ...] = ()

    def __init__(self, calls: list[tuple[Any, ...]], writing: str | None = "continues") -> None:
        self.calls, self.writing = calls, writing

    def evaluate(self, data: Path | None = None, *, use: str | None = None) -> dict[str, Any]:
        self.calls.append(("evaluate", data))
        return RESULT

    def inspect(self, data: Path | None = None) -> dict[str, Any]:
        self.calls.append(("inspect", data))
        return INSPECTED

    def update(self, data: object, *, observer: Observer, **options: object) -> dict[str, Any]:
        self.calls.append(("update", data, options))
        return UPDATED

    def predict(self, data: object, *, use: str | None = None, format: str | None = None) -> Iterator[dict[str, Any]]:
        self.calls.append(("predict", data, format))
        yield {"row": 1, "label": "스팸"}
        yield {"row": 2, "label": "ham"}

    def write_rows(self, rows: Iterable[dict[str, Any]], file: Path) -> None:
        self.calls.append(("write_rows", len(list(rows)), file))

    def generate(self, prompt: str = "", **options: object) -> Iterator[str]:
        self.calls.append(("generate", prompt, options))
        yield from ("to be ", "or not")


@dataclass(frozen=True)
class Bundled:
    name: str
    task: str
    path: Path
    licence: str
    source: str
    description: str
    options: dict[str, Any]


INSPECTED = {
    "run": "runs/x",
    "horizons": {"gradient": 23.4, "ablation": 23.0, "data": 168.0, "truncation": 35},
    "verdict": "the model looks 23 steps back",
    "checks": [
        {"name": "reach", "status": "fault", "value": 35.0, "condition": "fault if …", "evidence": "too short",
         "advice": "--truncation 35,200", "confidence": "medium"},
        {"name": "dead_units", "status": "unknown", "value": None, "condition": "…", "evidence": "", "advice": "",
         "confidence": "medium"},
        {"name": "clipping", "status": "ok", "value": 0.1, "condition": "…", "evidence": "rarely", "advice": "",
         "confidence": "medium"},
    ],
}  # fmt: skip

COLUMNS = {"text": "text", "label": "label", "drop_duplicates": True}


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    """A fake ``seriatim.run`` for the verbs."""
    fake = FakeRuns()
    module = types.ModuleType("seriatim.run")
    for name in ("train", "load", "compare", "verdict"):
        setattr(module, name, getattr(fake, name))
    monkeypatch.setitem(sys.modules, "seriatim.run", module)
    monkeypatch.setattr("seriatim.run", module, raising=False)
    return fake


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Bundled, ...]:
    """Two bundled sets, in a fake ``seriatim.data.bundled``."""
    messages, plays = tmp_path / "messages.tsv", tmp_path / "plays.txt"
    messages.write_text("label\ttext\n" + "ham\thello\n" * 9, encoding="utf-8")
    plays.write_text("First Citizen:\n" * 10_000, encoding="utf-8")
    sets = (
        Bundled("messages", "classify", messages, "CC BY 4.0", "a lab", "short texts", COLUMNS),
        Bundled("plays", "language", plays, "public domain", "a theatre", "plays", {}),
    )
    module = types.ModuleType("seriatim.data.bundled")
    module.bundled_sets = lambda: sets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "seriatim.data.bundled", module)
    monkeypatch.setattr("seriatim.data.bundled", module, raising=False)
    return sets


@pytest.fixture
def seriatim(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Run a command in this process, as ``seriatim WORDS`` would."""
    monkeypatch.delenv("SERIATIM_DEBUG", raising=False)

    def command(*words: object) -> CommandResult:
        code = run_command([str(word) for word in words])
        result = capsys.readouterr()
        return CommandResult(code, result.out, result.err)

    return command
