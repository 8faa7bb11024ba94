"""The native engine computes what its twin computes: outputs, states, gates and every gradient, on every target.

Metric: relative RMS, √(Σ(a - b)² / Σb²), against the twin in float64. Tolerance in float64 1e-13: the same products,
summed in another order, and functions good to a few ULP. In float32 2e-6, or 1.5 times the error of the twin's own
float32 where that is larger: sums of a few hundred terms in float32 are no better than that. Layer normalisation makes
a result depend more strongly on its arguments, so there, if that is more, ten times the most that the twin in float64
moves when, four times, its arguments move by one rounding.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.errors import UsageError
from seriatim.kernels import native, reference
from seriatim.kernels.cell_stream import CellStream
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.notation import PEEPHOLES
from seriatim.spec import CellSpec

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

VARIANTS = [
    {"kind": "rnn"}, {"kind": "rnn", "activation": "relu"}, {"kind": "rnn", "activation": "sigmoid", "bias": False},
    {"kind": "rnn", "projected": True}, {"kind": "rnn", "layer_norm": True},
    {"kind": "lstm"}, {"kind": "lstm", "bias": False}, {"kind": "lstm", "projected": True},
    {"kind": "lstm", "peephole": True}, {"kind": "lstm", "layer_norm": True},
    {"kind": "lstm", "layer_norm": True, "peephole": True, "projected": True, "bias": False},
    {"kind": "cifg"}, {"kind": "cifg", "bias": False}, {"kind": "cifg", "projected": True},
    {"kind": "cifg", "peephole": True}, {"kind": "cifg", "layer_norm": True, "peephole": True, "projected": True},
    {"kind": "gru"}, {"kind": "gru", "bias": False}, {"kind": "gru", "reset_after": False},
    {"kind": "gru", "reset_after": False, "bias": False}, {"kind": "gru", "layer_norm": True},
    {"kind": "slstm"}, {"kind": "slstm", "projected": True, "bias": False},
]  # fmt: skip
WALKS = [
    "", "lengths", "reverse", "reset", "dropout", "zoneout", "lengths reverse", "lengths reverse reset dropout zoneout",
]  # fmt: skip
SHAPES = {"awkward": (7, 3, 5, 17), "one": (1, 1, 1, 2), "wide": (3, 33, 17, 33), "long": (365, 2, 3, 4)}
"""T, B, I, H."""


def name(variant):
    return "-".join(str(value) if key == "kind" else f"{key}={value}" for key, value in variant.items())


def spec_of(variant, inputs, hidden):
    options = dict(variant)
    projected = options.pop("projected", False) and hidden > 1
    return CellSpec(options.pop("kind"), inputs, hidden, proj_size=hidden // 2 if projected else 0, **options)


@dataclasses.dataclass
class Problem:
    """Random arguments of a call."""

    spec: CellSpec
    x: np.ndarray
    state: tuple
    weights: Weights
    walk: Walk

    def astype(self, dtype):
        def cast(array):
            return array.astype(dtype) if array is not None and array.dtype.kind == "f" else array

        walk = dataclasses.replace(
            self.walk, dropout=cast(self.walk.dropout), zoneout=tuple(cast(mask) for mask in self.walk.zoneout)
        )
        state = tuple(cast(array) for array in self.state)
        return Problem(self.spec, cast(self.x), state, Weights(*map(cast, self.weights.as_list())), walk)


def problem(spec, steps, rows, walk_options="", seed=0):
    random = np.random.default_rng(seed)
    gates, hidden, out = len(spec.gates) * spec.hidden_size, spec.hidden_size, spec.output_size

    def normal(*shape, scale=1.0, about=0.0):
        return random.standard_normal(shape) * scale + about

    bias, norm, lstm = spec.bias, spec.layer_norm, spec.kind in ("lstm", "cifg")
    weights = Weights(
        normal(gates, spec.input_size, scale=spec.input_size**-0.5),
        normal(gates, out, scale=0.7 * out**-0.5),
        normal(gates, scale=0.3) if bias else None,
        normal(gates, scale=0.3) if bias else None,
        normal(out, hidden, scale=hidden**-0.5) if spec.proj_size else None,
        normal(len(PEEPHOLES[spec.kind]), hidden, scale=0.3) if spec.peephole else None,
        normal(gates, scale=0.1, about=1) if norm else None,
        normal(gates, scale=0.1, about=1) if norm else None,
        normal(hidden, scale=0.1, about=1) if norm and lstm else None,
        normal(hidden, scale=0.1) if norm and lstm else None,
    )
    state = tuple(normal(rows, spec.state_size(name), scale=0.5) for name in spec.states)
    state = tuple(1 + abs(array) if name == "n" else array for array, name in zip(state, spec.states, strict=True))
    x = normal(steps, rows, spec.input_size)
    lengths = random.integers(1, steps + 1, rows) if "lengths" in walk_options else None
    if lengths is not None:
        x[np.arange(steps)[:, None] >= lengths] = np.nan  # padding is never read
    walk = Walk(
        lengths,
        "reverse" in walk_options,
        random.random((steps, rows)) < 0.3 if "reset" in walk_options else None,
        (random.random((rows, out)) < 0.7) / 0.7 if "dropout" in walk_options else None,
        tuple(random.random((1, 1, spec.state_size(name))) if name == "h" else
              random.random((steps, rows, spec.state_size(name))) < 0.3 for name in spec.states)
        if "zoneout" in walk_options else (),
    )  # fmt: skip
    return Problem(spec, x, state, weights, walk)


def results_of(kernels, case):
    """Outputs and gradients by name."""
    random = np.random.default_rng(9)
    spec, dtype = case.spec, case.x.dtype
    output, final, saved = kernels.forward(spec, case.x, case.state, case.weights, case.walk)

    def like(array):
        return None if array is None else random.standard_normal(array.shape).astype(dtype)

    grads = like(output), tuple(like(array) for array in final), like(saved.cells)
    grad_x, grad_state, grad_weights = kernels.backward(spec, grads[0], grads[1], saved, grads[2])
    result = {"output": output, "gates": saved.gates, "cells": saved.cells, "grad_x": grad_x}
    result |= {f"final {name}": value for name, value in zip(spec.states, final, strict=True)}
    result |= {f"grad {name}": value for name, value in zip(spec.states, grad_state, strict=True)}
    result |= {f"grad {field.name}": getattr(grad_weights, field.name) for field in dataclasses.fields(Weights)}
    return {key: value for key, value in result.items() if value is not None}


def relative_rms(result, expected):
    return np.linalg.norm(result.astype(float) - expected) / max(np.linalg.norm(expected), 1e-300)


def sensitivity(case, dtype, expected):
    """By name, ten times the largest change of the twin's result if its arguments are rounded; 0 without layer norm."""
    random = np.random.default_rng(0)
    bounds = dict.fromkeys(expected, 0.0)

    def rounded(array):
        return None if array is None else array * (1 + np.finfo(dtype).eps * random.choice([-1, 1], array.shape))

    for _ in range(4 if case.spec.layer_norm else 0):
        sensitive = results_of(reference, dataclasses.replace(
            case, x=rounded(case.x), state=tuple(map(rounded, case.state)),
            weights=Weights(*map(rounded, case.weights.as_list())),
        ))  # fmt: skip
        bounds = {key: max(value, 10 * relative_rms(sensitive[key], expected[key])) for key, value in bounds.items()}
    return bounds


def check(case):
    expected = results_of(reference, case)
    result = results_of(native, case)
    assert result.keys() == expected.keys()
    sensitive = sensitivity(case, np.float64, expected)
    for key, value in expected.items():
        assert result[key].shape == value.shape, key
        # Beside a gradient that is zero by cancellation (an ε of rounding left), only absolute size can be compared.
        assert (
            relative_rms(result[key], value) <= max(1e-13, sensitive[key])
            or np.abs(result[key] - value).max(initial=0) < 1e-13
        ), key
    single = case.astype(np.float32)
    rounded = results_of(reference, single.astype(np.float64))
    sensitive = sensitivity(single.astype(np.float64), np.float32, rounded)
    by_twin, by_engine = results_of(reference, single), results_of(native, single)
    for key, value in rounded.items():
        assert by_engine[key].dtype == np.float32, key
        allowed = max(2e-6, sensitive[key], 1.5 * relative_rms(by_twin[key], value))
        assert relative_rms(by_engine[key], value) <= allowed or np.abs(by_engine[key] - value).max() < 1e-6, key


@pytest.mark.parametrize("walk_options", WALKS)
@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_every_variant_and_walk(variant, walk_options):
    check(problem(spec_of(variant, 5, 17), 7, 3, walk_options))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_awkward_shapes(variant, shape):
    steps, rows, inputs, hidden = shape
    check(problem(spec_of(variant, inputs, hidden), steps, rows, "lengths reset"))


@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_every_target(variant, target, monkeypatch):
    monkeypatch.setenv("SERIATIM_TARGET", target)
    assert native.target() == target
    check(problem(spec_of(variant, 9, 33), 4, 13, "lengths reverse reset dropout zoneout"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_nan_stays_in_its_row(variant, target, dtype, monkeypatch):
    """The engine and the twin have NaN in the same places: in all later steps of the row, and in no other row."""
    monkeypatch.setenv("SERIATIM_TARGET", target)
    case = problem(spec_of(variant, 5, 33), 4, 7).astype(dtype)
    case.x[2, 1, 3] = np.nan
    result, expected = (kernels.forward(case.spec, case.x, case.state, case.weights) for kernels in (native, reference))
    for mine, theirs in zip((result[0], *result[1]), (expected[0], *expected[1]), strict=True):
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))
    assert np.isnan(result[0][2:, 1]).all() and not np.isnan(np.delete(result[0], 1, axis=1)).any()


@settings(max_examples=60)
@given(
    variant=st.sampled_from(VARIANTS), walk_options=st.sampled_from(WALKS), steps=st.integers(1, 6),
    rows=st.integers(1, 20), inputs=st.integers(1, 40), hidden=st.integers(2, 70), seed=st.integers(0, 99),
)  # fmt: skip
def test_random_shapes(variant, walk_options, steps, rows, inputs, hidden, seed):
    if variant.get("layer_norm"):
        # A normalised pair is ±1 whatever its values, so the exact gradient is 0 and the computed one is rounding.
        hidden, inputs = max(hidden, 3), max(inputs, 2)
    check(problem(spec_of(variant, inputs, hidden), steps, rows, walk_options, seed))


def test_check_can_fail():
    """A relative error of 1e-6 in one weight is detected."""
    case = problem(spec_of({"kind": "lstm"}, 5, 17), 7, 3)
    changed = dataclasses.replace(case, weights=dataclasses.replace(case.weights, w_hh=case.weights.w_hh.copy()))
    changed.weights.w_hh[3, 4] *= 1 + 1e-6
    expected, result = results_of(reference, case), results_of(native, changed)
    assert relative_rms(result["output"], expected["output"]) > 1e-13
    changed.weights.w_hh[3, 4] *= 1 + 1e-2
    single = results_of(native, changed.astype(np.float32))
    assert relative_rms(single["grad w_hh"], expected["grad w_hh"]) > 2e-6


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_no_rows(variant):
    case = problem(spec_of(variant, 3, 4), 5, 0)
    result = results_of(native, case)
    assert result["output"].shape == (5, 0, case.spec.output_size)
    assert all(not value.any() for key, value in result.items() if key.startswith("grad "))


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
@pytest.mark.parametrize("rows", [1, 3, 17])
def test_single_step(variant, rows):
    case = problem(spec_of(variant, 5, 17), 1, rows)
    expected = reference.step(case.spec, case.x[0], case.state, case.weights)
    stepper = native.CellStepper(case.spec, case.weights)
    for result in (native.step(case.spec, case.x[0], case.state, case.weights), stepper.step(case.x[0], case.state)):
        for array, value in zip(result, expected, strict=True):
            assert relative_rms(array, value) <= 1e-13


@pytest.mark.parametrize("precision", ["full", "bf16", "int8"])
@pytest.mark.parametrize("rows", [1, 2])
def test_equal_steps_have_equal_bits(rows, precision):
    """Steps read the blocks of weights in alternating order, which must change no sum."""
    case = problem(spec_of({"kind": "lstm"}, 65, 65), 1, rows).astype(np.float32)
    stepper = native.CellStepper(case.spec, case.weights, precision)
    steps = [stepper.step(case.x[0], case.state) for _ in range(3)]
    assert all(np.array_equal(a, b) for step in steps[1:] for a, b in zip(step, steps[0], strict=True))


@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 1e-2), ("int8", 3e-2)])
@pytest.mark.parametrize("variant", [{"kind": "rnn"}, {"kind": "lstm"}, {"kind": "gru"}, {"kind": "slstm"}], ids=name)
def test_reduced_weights(variant, precision, tolerance, target, monkeypatch):
    """bf16 stores 8 bits of a weight, int8 7 bits relative to the largest of its row. The error of h is similar."""
    monkeypatch.setenv("SERIATIM_TARGET", target)
    case = problem(spec_of(variant, 63, 65), 1, 2).astype(np.float32)
    expected = reference.step(case.spec, case.x[0], case.state, case.weights)
    result = native.CellStepper(case.spec, case.weights, precision).step(case.x[0], case.state)
    assert 0 < relative_rms(result[0], expected[0]) < tolerance


@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_reduced_weights_at_their_bounds(precision, target, monkeypatch):
    """Weights and inputs of 1 and -1 are the largest whole numbers of int8 and exact in bf16: no sum may overflow.

    Tolerance 1e-6: only the scales are rounded, to float32.
    """
    monkeypatch.setenv("SERIATIM_TARGET", target)
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), (33, 65))
    weights = Weights(signs, np.zeros((33, 33), np.float32), np.zeros(33, np.float32), np.zeros(33, np.float32))
    stepper = native.CellStepper(CellSpec("rnn", 65, 33, activation="relu"), weights, precision)
    for x in (signs[:1], -signs[:1]):
        expected = np.maximum(x @ signs.T, 0)
        assert relative_rms(stepper.step(x, (np.zeros((1, 33), np.float32),))[0], expected) <= 1e-6


STREAMS = [
    {"kind": "rnn"}, {"kind": "lstm"}, {"kind": "gru"}, {"kind": "lstm", "layer_norm": True, "projected": True},
    {"kind": "slstm"},
]  # fmt: skip


@pytest.mark.parametrize("engine", [True, False], ids=["engine", "twin"])
@pytest.mark.parametrize("variant", STREAMS, ids=name)
def test_stream_equals_reference_steps(variant, engine, monkeypatch):
    if not engine:
        monkeypatch.setattr(native, "ready", lambda: False)
    case = problem(spec_of(variant, 5, 17), 4, 3)
    stream = CellStream(case.spec, case.weights, rows=3)
    for _ in range(2):
        state = tuple(np.zeros_like(array) for array in case.state)
        for x in case.x:
            state = reference.step(case.spec, x, state, case.weights)
            assert relative_rms(stream.step(x), state[0]) <= 1e-13
        assert all(relative_rms(*pair) <= 1e-13 for pair in zip(stream.state, state, strict=True))
        stream.reset()
    for array, value in zip(stream.state, case.state, strict=True):
        array[...] = value
    expected = reference.step(case.spec, case.x[0], case.state, case.weights)[0]
    h = stream.step(case.x[0])
    assert relative_rms(h, expected) <= 1e-13 and h is stream.state[0]
    for wrong in (case.x[0, :2], case.x[0].astype(np.float32)):
        with pytest.raises(UsageError, match=r"x: got \[., 5\] of float.., wanted \[3, 5\] of float64"):
            stream.step(wrong)


def test_stream_accepts_any_array_of_its_shape():
    case = problem(spec_of({"kind": "lstm"}, 5, 17), 1, 3)
    x = case.x[0]
    expected = CellStream(case.spec, case.weights, rows=3).step(x).copy()
    unaligned = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    for array in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], unaligned, read_only, x.tolist()):
        np.testing.assert_array_equal(CellStream(case.spec, case.weights, rows=3).step(array), expected)
    for wrong in (None, x.astype(">f8"), x[None]):
        with pytest.raises(UsageError, match="x: got"):
            CellStream(case.spec, case.weights, rows=3).step(wrong)


def test_stream_accepts_its_own_state_as_input():
    """The input may be memory that the step overwrites: h or c."""
    case = problem(spec_of({"kind": "lstm"}, 40, 40), 1, 3)
    stream, state = CellStream(case.spec, case.weights, rows=3), tuple(np.zeros((3, 40)) for _ in range(2))
    stream.step(case.x[0])
    state = reference.step(case.spec, case.x[0], state, case.weights)
    for k in (0, 1, 0):
        stream.step(stream.state[k])
        state = reference.step(case.spec, state[k], state, case.weights)
    assert all(relative_rms(*pair) <= 1e-13 for pair in zip(stream.state, state, strict=True))


@pytest.mark.parametrize(("precision", "allowed"), [("bf16", 3e-3), ("int8", 1.5e-2)])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_stream_with_reduced_weights(kind, precision, allowed):
    """The largest error of h in 50 steps, with weights as PyTorch draws them, U(-1/√H, 1/√H).

    A sum of 2H products is off by about 7e-4 (bf16: 2⁻⁹ of each weight) or 4e-3 (int8: 1/254 of the largest weight of a
    row, and of the largest x), and by five times that in the worst of a few thousand. Gates take more than half of it
    away, but an RNN has none.
    """
    allowed *= 5 / 3 if kind == "rnn" else 1
    random, spec = np.random.default_rng(0), CellSpec(kind, 64, 64)
    rows = len(spec.gates) * 64
    shapes = ((rows, 64), (rows, 64), (rows,), (rows,))
    weights = Weights(*(random.uniform(-1 / 8, 1 / 8, shape).astype(np.float32) for shape in shapes))
    exact, reduced = CellStream(spec, weights), CellStream(spec, weights, precision=precision)
    errors = []
    for x in random.standard_normal((50, 1, 64)).astype(np.float32):
        errors.append(np.abs(exact.step(x) - reduced.step(x)).max())
    assert 0 < max(errors) <= allowed


def test_packed_weights_are_a_copy():
    case = problem(spec_of({"kind": "gru"}, 5, 17), 1, 2)
    stepper = native.CellStepper(case.spec, case.weights)
    output = stepper.step(case.x[0], case.state)
    case.weights.w_hh[:] = 0
    assert np.array_equal(stepper.step(case.x[0], case.state)[0], output[0])


def test_input_may_have_strides():
    case = problem(spec_of({"kind": "lstm"}, 5, 17), 7, 3)
    turned = dataclasses.replace(case, x=np.ascontiguousarray(case.x.transpose(1, 0, 2)).transpose(1, 0, 2))
    sparse = dataclasses.replace(case, x=np.repeat(case.x, 2, axis=2)[:, :, ::2])
    for strided in (turned, sparse):
        assert not strided.x.flags.c_contiguous
        result, expected = results_of(native, strided), results_of(native, case)
        assert all(np.array_equal(result[key], value) for key, value in expected.items())


def test_results_are_equal_bits_in_every_thread():
    case = problem(spec_of({"kind": "gru"}, 9, 33), 8, 5, "lengths")
    expected = results_of(native, case)
    results = [None] * 4

    def work(k):
        results[k] = results_of(native, case)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert all(np.array_equal(result[key], value) for key, value in expected.items())


def test_wrong_arguments_are_refused():
    case = problem(spec_of({"kind": "gru"}, 5, 17), 7, 3)
    with pytest.raises(UsageError, match=r"h: got \[2, 17\] of float64, wanted \[3, 17\] of float64"):
        native.forward(case.spec, case.x, (case.state[0][:2],), case.weights)
    with pytest.raises(UsageError, match="state: got 2 arrays, wanted 1"):
        native.forward(case.spec, case.x, (case.state[0], case.state[0]), case.weights)
    with pytest.raises(UsageError, match="lengths"):
        native.forward(case.spec, case.x, case.state, case.weights, Walk(np.array([8, 1, 1])))
    with pytest.raises(UsageError, match="precision: got 'int4', wanted full, bf16, int8"):
        native.CellStepper(case.spec, case.weights, "int4")
    with pytest.raises(UsageError, match="precision: got int8"):
        CellStream(case.spec, case.weights, precision="int8")  # float64
    with pytest.raises(UsageError, match="rows: got 0"):
        CellStream(case.spec, case.weights, rows=0)
    packed = CellStream(case.spec, case.weights)._stepper._packed
    with pytest.raises(ValueError, match="state: got None"):
        native.engine().Stream(packed, 3, 0, 0)
    with pytest.raises(ValueError, match="state: got 2 arrays, wanted 1"):
        native.engine().Stream(packed, 3, case.state[0].ctypes.data, case.state[0].ctypes.data)


def test_unknown_target_is_refused(monkeypatch):
    monkeypatch.setenv("SERIATIM_TARGET", "avx1024")
    with pytest.raises(UsageError, match="avx1024"):
        native.target()
    case = problem(spec_of({"kind": "gru"}, 5, 17), 7, 3)
    with pytest.raises(UsageError, match="avx1024"):
        native.forward(case.spec, case.x, case.state, case.weights)


def test_twin_runs_without_engine_and_warns_once():
    code = """
import sys, warnings
sys.modules["seriatim.kernels._native"] = None
import numpy as np
from seriatim.kernels import native, reference
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec
assert not native.available() and native.targets() == [] and native.target() == "reference"
spec, x, state = CellSpec("rnn", 2, 2, bias=False), np.ones((3, 1, 2)), (np.zeros((1, 2)),)
weights = Weights(np.eye(2), np.eye(2))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        output, final, saved = native.forward(spec, x, state, weights)
    native.backward(spec, output, final, saved)
    stepped = native.CellStepper(spec, weights).step(x[0], state)
assert isinstance(saved, reference.Saved) and np.array_equal(stepped[0], output[0])
assert len(said) == 1 and "engine was not built" in str(said[0].message), said
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr


def test_wrong_addresses_are_refused():
    engine, case = native.engine(), problem(spec_of({"kind": "gru"}, 3, 4), 2, 2)
    cell = native.cell(case.spec)
    weights = [0 if array is None else array.ctypes.data for array in case.weights.fused()]
    packed = engine.Packed(cell, True, weights, 1)
    x, h = np.zeros((2, 2, 3)), np.zeros((2, 4))
    output, last = np.empty((2, 2, 4)), np.empty((2, 4))
    places = {"steps": 2, "rows": 2, "sizes": [], "x": x.ctypes.data, "by_step": 6, "by_row": 3, "h": h.ctypes.data,
              "c": 0, "reverse": False, "output": output.ctypes.data, "h_n": last.ctypes.data, "c_n": 0, "gates": 0,
              "cells": 0, "masks": None, "threads": 1}  # fmt: skip
    engine.forward(packed, *places.values())
    assert np.array_equal(output[-1], last)
    wrong = {"steps": 0, "rows": -1, "sizes": [2, 3], "x": 0, "h": x.ctypes.data + 1, "c": h.ctypes.data, "output": 0,
             "h_n": 0, "cells": x.ctypes.data, "threads": 0}  # fmt: skip
    for name, value in wrong.items():
        with pytest.raises(ValueError, match="got"):
            engine.forward(packed, *{**places, name: value}.values())
    for sizes in ([2], [1, 1], [2, 0], [2, 2, 1]):
        with pytest.raises(ValueError, match="sizes: got"):
            engine.forward(packed, *{**places, "sizes": sizes}.values())
    with pytest.raises(ValueError, match=r"got 2 arrays, wanted 1"):
        engine.step(packed, 2, places["x"], places["h"], places["h"], places["h_n"], 0, 1)
    lengths, nothing = np.array([2, 1]), (0, 0, 0, False)
    masks = (lengths.ctypes.data, 0, 0, nothing, nothing)
    engine.forward(packed, *{**places, "masks": masks}.values())
    wrong_masks = [
        (places["x"] + 4, 0, 0, nothing, nothing),
        (0, 0, 1, nothing, nothing),
        (0, 0, 0, (3, 0, 0, False), nothing),
    ]
    for masks in wrong_masks:
        with pytest.raises(ValueError, match="got unaligned memory"):
            engine.forward(packed, *{**places, "masks": masks}.values())
    for value in (0, 3):
        lengths[1] = value
        with pytest.raises(ValueError, match=f"lengths: got {value}, wanted 1 to 2"):
            engine.forward(packed, *{**places, "masks": (lengths.ctypes.data, 0, 0, nothing, nothing)}.values())
    with pytest.raises(ValueError, match="walk: got masks with packed rows"):
        engine.forward(packed, *{**places, "sizes": [2, 1], "masks": (0, 0, 0, nothing, nothing)}.values())
    grads = [0] * 10
    arguments = (2, 2, [], places["x"], 6, 3, places["h"], 0, False, places["output"], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for list_of, message in (
        (weights, "gates: got None"),
        (weights[:9], "9 arrays, wanted 10"),
        ([*weights[:1], 0, *weights[2:]], "weights.w_hh: got None"),
        ([*weights[:4], weights[0], *weights[5:]], "weights.w_hr: got an array, wanted None for this cell"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.backward(cell, True, list_of, *arguments, grads, None, 1)
    back = engine.PackedBack(cell, True, weights, 1)
    steps = engine.StepsBack(back, grads, 1)
    gates, h_n = np.zeros((2, cell.slots, 4)), np.zeros((2, 4))
    places = {"rows": 2, "x": x.ctypes.data, "h": h.ctypes.data, "c": 0, "h_n": h_n.ctypes.data,
              "gates": gates.ctypes.data, "c_n": 0, "grad_h_n": 0, "grad_c_n": 0, "grad_x": 0, "grad_h": 0,
              "grad_c": 0}  # fmt: skip
    steps.step(*places.values())
    for name, value in {"rows": -1, "x": 0, "h": 0, "gates": 0, "c": h.ctypes.data, "grad_h": 3}.items():
        with pytest.raises(ValueError, match="got"):
            steps.step(*{**places, name: value}.values())
    with pytest.raises(ValueError, match="9 arrays, wanted 10"):
        engine.StepsBack(back, grads[:9], 1)
    projected = problem(CellSpec("lstm", 3, 4, proj_size=2), 2, 2)
    weights = [0 if array is None else array.ctypes.data for array in projected.weights.fused()]
    back = engine.PackedBack(native.cell(projected.spec), True, weights, 1)
    with pytest.raises(ValueError, match="wanted those of a cell without projection"):
        engine.StepsBack(back, grads, 1)
