"""Each cell and variant, selected by its option, trains, is saved, is loaded and predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

import seriatim
from leaky_cell import Leaky
from seriatim.models.options import CELLS, OWN
from seriatim.nn import cell, register
from seriatim.spec import REGISTERED
from seriatim.tasks.registry import NAMES

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
VARIANTS: list[dict[str, Any]] = [
    *({"model": model} for model in CELLS),
    {"model": "rnn", "activation": "relu", "recurrent_init": "identity", "lr": 1e-5},
    {"model": "gru", "reset_gate": "before"},
    {"model": "lstm", "peephole": True},
    {"model": "lstm", "coupled": True},
    {"model": "lstm", "projection": 5},
    {"model": "rnn", "projection": 5},
    {"model": "gru", "projection": 5},
    {"model": "slstm", "projection": 5, "layers": 2},
    {"model": "lstm", "layer_norm": True},
    {"model": "gru", "zoneout": 0.1},
    {"model": "lstm", "recurrent_dropout": 0.2},
    {"model": "lstm", "weight_drop": 0.2, "layers": 2},
    {"model": "lstm", "residual": "residual", "layers": 3, "dropout": 0.1},
    {"model": "lru", "residual": "highway", "layers": 2, "locked_dropout": 0.1},
    {"model": "mingru", "chrono": 20},
    {"model": "lstm", "residual": "block", "layers": 2, "dropout": 0.1},
]


WITHOUT_DECODER = [*VARIANTS, {"model": "minlstm", "convolution": 4, "layers": 2}]
"""Tasks with a decoder have no convolution."""


def names(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


all_options = pytest.mark.parametrize("options", VARIANTS, ids=names)
all_options_without_decoder = pytest.mark.parametrize("options", WITHOUT_DECODER, ids=names)


def indrnn(x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor) -> Tensor:
    return torch.relu(linear(x, w, b) + u * h)


@pytest.fixture
def custom_cells() -> Any:
    """Register two custom cells during a test."""
    register("leaky", Leaky)
    register("indrnn", cell(indrnn, {"w": ("H", "I"), "u": ("H",), "b": ("H",)}))
    yield
    REGISTERED.clear()


def write_text(folder: Path) -> Path:
    text = folder / "text.txt"
    text.write_text("so it goes, so it goes. " * 40, encoding="utf-8")
    return text


def trains_language(options: dict[str, Any], folder: Path) -> seriatim.Run:
    text, out = write_text(folder), str(folder / "run")
    run = seriatim.train(
        "language", text, truncation=10, batch_size=4, tie=True, restart=0.5, out=out, **SMALL | options
    )
    predicted = list(run.predict(text))
    assert list(seriatim.load(run.path).predict(text)) == predicted
    written = ["".join(loaded.generate("so ", length=9, seed=0)) for loaded in (run, seriatim.load(run.path))]
    assert written[0] == written[1] and len(written[0]) == 9
    return run


def trains_classify(options: dict[str, Any], folder: Path) -> seriatim.Run:
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(length, 2)) for length in draw.integers(1, 9, 40)]
    labels = ["ab"[place % 2] for place in range(40)]
    run = seriatim.train("classify", (inputs, labels), bidirectional=True, out=str(folder / "run"), **SMALL | options)
    predicted = list(run.predict(inputs))
    assert list(seriatim.load(run.path).predict(inputs)) == predicted and len(predicted) == 40
    return run


def test_all_cell_options_are_covered() -> None:
    tried = {name for options in WITHOUT_DECODER for name in options}
    of_cells = {name for name, models in OWN.items() if set(models) <= set(CELLS)}
    assert of_cells - tried == {"bidirectional", "forget_bias"}  # the first is in each test, the second in all of them


@all_options_without_decoder
def test_language(options: dict[str, Any], tmp_path: Path) -> None:
    trains_language(options, tmp_path)


@all_options_without_decoder
def test_classify(options: dict[str, Any], tmp_path: Path) -> None:
    trains_classify(options, tmp_path)


def trains_translate(options: dict[str, Any], folder: Path) -> None:
    table = folder / "pairs.tsv"
    table.write_text("a\tb\n" + "".join(f"{n}{n}\t{n}\n" for n in range(40)), encoding="utf-8")
    arguments = {"source": "a", "target": "b", "attention": "dot", "tie": True, **SMALL, **options}
    run = seriatim.train("translate", table, out=str(folder / "run"), **arguments)
    predicted = list(run.predict(table))
    assert list(seriatim.load(run.path).predict(table)) == predicted and len(predicted) == 40


def trains_tag(options: dict[str, Any], folder: Path) -> None:
    sentences = [(["the", f"{'ab'[n % 2]}{n}"], ["DET", "XY"[n % 2]]) for n in range(40)]
    run = seriatim.train("tag", sentences, out=str(folder / "run"), **SMALL | options)
    words = [words for words, _ in sentences]
    assert list(seriatim.load(run.path).predict(words)) == list(run.predict(words))


def trains_regress(options: dict[str, Any], folder: Path) -> None:
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(length, 2)) for length in draw.integers(1, 9, 40)]
    targets = [float(array.sum()) for array in inputs]
    run = seriatim.train("regress", (inputs, targets), out=str(folder / "run"), **SMALL | options)
    assert list(seriatim.load(run.path).predict(inputs)) == list(run.predict(inputs))


@pytest.mark.parametrize(
    "options",
    [variant for variant in VARIANTS if variant["model"] not in ("rnn", "gru") or "projection" in variant],
    ids=names,
)
def test_translate(options: dict[str, Any], tmp_path: Path) -> None:
    trains_translate(options, tmp_path)


def trains_forecast(options: dict[str, Any], folder: Path) -> None:
    table = folder / "rows.csv"
    table.write_text("x\n" + "".join(f"{n % 7}\n" for n in range(60)), encoding="utf-8")
    for strategy in ("direct", "recursive"):
        arguments = {"target": ("x",), "horizon": 2, "lookback": 5, "strategy": strategy, **SMALL, **options}
        run = seriatim.train("forecast", table, out=str(folder / strategy), **arguments)
        predicted = list(run.predict(table))
        assert list(seriatim.load(run.path).predict(table)) == predicted and len(predicted) == 1


def trains_caption(options: dict[str, Any], folder: Path) -> None:
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(30)]
    captions = [f"a picture, number {n % 3}" for n in range(30)]
    for attention in ("none", "additive"):
        arguments = {"image_size": 8, "filters": 1, "peeky": True, "attention": attention, **SMALL, **options}
        run = seriatim.train("caption", (pictures, captions), out=str(folder / attention), **arguments)
        predicted = list(run.predict(pictures))
        assert list(seriatim.load(run.path).predict(pictures)) == predicted and len(predicted) == 30


TRAINERS: dict[str, Callable[[dict[str, Any], Path], object]] = {
    "language": trains_language, "classify": trains_classify, "regress": trains_regress, "forecast": trains_forecast,
    "tag": trains_tag, "translate": trains_translate, "caption": trains_caption,
}  # fmt: skip


@pytest.mark.parametrize("task", NAMES)
@pytest.mark.parametrize("model", ["leaky", "indrnn"])
def test_custom_cell_in_every_task(custom_cells: Any, model: str, task: str, tmp_path: Path) -> None:
    TRAINERS[task]({"model": model, "layers": 2, "residual": "residual"}, tmp_path)


def test_loading_custom_cell_names_missing_registration(custom_cells: Any, tmp_path: Path) -> None:
    run = trains_classify({"model": "leaky"}, tmp_path)
    REGISTERED.clear()
    with pytest.raises(seriatim.RunError, match=r"seriatim\.nn\.register\('leaky', …\)"):
        seriatim.load(run.path)


def test_custom_cell_refuses_variant_options(custom_cells: Any, tmp_path: Path) -> None:
    text = write_text(tmp_path)
    with pytest.raises(seriatim.UsageError, match="zoneout: for rnn, lstm, gru, mingru, minlstm, not leaky"):
        seriatim.train("language", text, model="leaky", zoneout=0.1, **SMALL)
    register("unigram", Leaky)
    with pytest.raises(seriatim.UsageError, match="model: 'unigram' already has a meaning here"):
        seriatim.train("language", text, model="unigram", **SMALL)


def test_reserved_names_cannot_be_registered() -> None:
    with pytest.raises(seriatim.UsageError, match="'lstm' is a cell of seriatim's own"):
        register("lstm", Leaky)
    with pytest.raises(seriatim.UsageError, match="name: got 'my cell', wanted a word"):
        register("my cell", Leaky)
    with pytest.raises(seriatim.UsageError, match="maker: got str"):
        register("leaky", "Leaky")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "lstm", "projection": 8}, "projection: got 8, wanted less than the 8 hidden units"),
        ({"model": "gru", "layer_norm": True, "reset_gate": "before"}, "layer_norm: not with --reset-gate before"),
        ({"model": "rnn", "recurrent_init": "identity", "projection": 5}, "recurrent_init: identity wants an h"),
        ({"model": "gru", "projection": 5, "reset_gate": "before"}, "projection: not with --reset-gate before"),
        ({"model": "mingru", "projection": 5}, "projection: for rnn, lstm, gru, slstm, not mingru"),
        ({"model": "lru", "weight_drop": 0.1}, "weight_drop: for rnn, lstm, gru, slstm, not lru"),
    ],
    ids=str,
)
def test_unsuitable_values_are_refused(options: dict[str, Any], error: str, tmp_path: Path) -> None:
    with pytest.raises(seriatim.UsageError, match=error):
        seriatim.train("language", write_text(tmp_path), **SMALL | options)
