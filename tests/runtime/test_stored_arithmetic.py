"""Streams whose steps multiply 8- and 16-bit weights as they are stored."""

from __future__ import annotations

import numpy as np
import pytest

import seriatim
from runtime_settings import TEXT
from seriatim import runtime
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.run.opened import Opened
from seriatim.run.stepped import stepped
from seriatim.spec import VARIANTS, CellSpec

LARGEST = {"bf16": 0.05, "int8": 0.2}
"""The largest error of a log-probability after 60 steps; about ten times what was measured."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of a GRU in three types."""
    folder = tmp_path_factory.mktemp("stored")
    run = seriatim.train(
        "language", TEXT, model="gru", layer_norm=False, hidden=48, layers=2, epochs=2, out=str(folder / "run"),
        quiet=True, baselines="none",
    )  # fmt: skip
    for dtype in ("float32", "bf16", "int8"):
        run.export(folder / dtype, dtype=dtype)
    return folder


def answers(model, units):
    stream = model.stream()
    return np.stack([stream.step(unit) for unit in units])


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_stored_weights_are_multiplied(folders, dtype):
    exact, stored = (runtime.load(folders / dtype, arithmetic=name) for name in ("float32", "stored"))
    units = np.random.default_rng(0).integers(0, len(exact.vocabulary), 60).tolist()
    difference = np.abs(answers(exact, units) - answers(stored, units)).max()
    assert 0 < difference < LARGEST[dtype]
    assert stored.hash == exact.hash
    whole = [next(model.predict(["to be or not"]))["log_probability"] for model in (exact, stored)]
    assert whole[0] == whole[1]


def test_float32_weights_stay_exact(folders):
    models = [runtime.load(folders / "float32", arithmetic=name) for name in ("float32", "stored")]
    assert np.array_equal(*(answers(model, [1, 2, 3]) for model in models))


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_stream_among_others_is_bit_equal_to_itself_alone(folders, dtype):
    model = runtime.load(folders / dtype, arithmetic="stored")
    streams, alone = [model.stream() for _ in range(5)], model.stream()
    streams[1].state.carry = tuple(np.full_like(part, np.nan) for part in streams[1].state.carry)
    for unit in (3, 1, 4, 1, 5):
        together = model.step_many(streams, [unit] * 5)
        assert np.array_equal(together[2], alone.step(unit))


def test_other_arithmetic_is_refused(folders):
    with pytest.raises(UsageError, match="arithmetic: got 'int4', wanted float32 or stored"):
        runtime.load(folders / "int8", arithmetic="int4")


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("name", VARIANTS)
def test_reduced_products_exist_where_they_are_said_to(name):
    from seriatim.kernels.weights import Weights
    from seriatim.runtime.recurrent import weight_shapes

    spec = CellSpec(input_size=3, hidden_size=8, **VARIANTS[name])
    if not native.fuses(spec):
        assert not native.has_reduced_products(spec)
        return
    weights = Weights(**{key: np.ones(shape, np.float32) for key, shape in weight_shapes(spec).items()})
    try:
        native.CellStepper(spec, weights, "int8")
    except UsageError:
        assert not native.has_reduced_products(spec)
    else:
        assert native.has_reduced_products(spec)


ROWS = ["the sun is warm", "the sea is cold and deep", "a"] * 20
NUMBERS = [np.random.default_rng(row).normal(size=(3 + row % 5, 2)) for row in range(40)]
SCORED = {
    "language": (["to be, or not to be, that is the question. " * 8] * 8, {"layer_norm": False}),
    "classify": ((ROWS, ["w", "c", "w"] * 20), {"pool": "mean"}),
    "regress": ((NUMBERS, [float(row.sum()) for row in NUMBERS]), {"pool": "last"}),
}


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("task", SCORED)
def test_scores_of_steps_with_stored_weights_are_measured(task, tmp_path, monkeypatch):
    """With exact products the scores of steps are those of the rounded network; 1e-4 for sums in another order."""
    data, options = SCORED[task]
    common = {"model": "lstm", "hidden": 24, "epochs": 2, "baselines": "none", "quiet": True}
    run = seriatim.train(task, data, out=tmp_path / "run", **common, **options)
    prepared = run._opened.task.prepare(run.options, data)
    monkeypatch.setattr(Opened, "prepare_again", lambda self: prepared)  # the data are in memory
    scores = run.export(tmp_path / "int8", dtype="int8")["scores"]
    assert set(scores) == {"float32", "rounded", "stored"}
    if task == "classify":  # its accuracy is the same
        model = runtime.load(tmp_path / "int8", arithmetic="stored")
        inputs = prepared.test.inputs
        texts = list(map(model.inputs.vocabulary.decode, inputs))
        difference = stepped(model).probabilities(inputs) - model.chances(inputs, texts)
        assert 0 < np.abs(difference).max() < 0.01
    else:
        assert scores["stored"] != scores["rounded"]
    for name, value in scores["stored"].items():
        assert abs(value - scores["rounded"][name]) <= 0.1 * abs(scores["rounded"][name])
    assert runtime.load(tmp_path / "int8").info["scores"] == scores
    monkeypatch.setattr(native.CellStepper, "__init__", _full(native.CellStepper.__init__))
    exact = run.export(tmp_path / "again", dtype="int8")["scores"]
    assert exact["stored"] == pytest.approx(exact["rounded"], rel=1e-4)


def _full(original):
    return lambda self, spec, weights, precision="full": original(self, spec, weights, "full")


def test_models_without_stored_products_have_no_such_scores(tmp_path):
    run = seriatim.train(
        "classify", (ROWS, ["w", "c", "w"] * 20), bidirectional=True, hidden=8, epochs=1, out=tmp_path / "run",
        baselines="none", quiet=True,
    )  # fmt: skip
    model = runtime.load(run.export(tmp_path / "int8", dtype="int8")["folder"], arithmetic="stored")
    assert stepped(model) is None
