"""The engine's scan equals plain operations in value, gradient and second gradient."""

from __future__ import annotations

import itertools

import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops.linear_scan import COEFFICIENTS, composed_scan, gated_scan, scan

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")

STEPS, ROWS, UNITS = 6, 3, 5
CASES = list(itertools.product((1, 2), (False, True), (False, True), (STEPS, 1), (ROWS, 1)))


def draw(parts, *shape, scale=1.0):
    return [(scale * torch.randn(*shape, dtype=torch.float64)).requires_grad_() for _ in range(parts)]


@pytest.mark.parametrize(("parts", "reverse", "masked", "over_time", "over_rows"), CASES)
def test_engine_scan_equals_composed_scan(parts, reverse, masked, over_time, over_rows):
    torch.manual_seed(0)
    a = draw(parts, over_time, over_rows, UNITS, scale=0.5)
    b, first = draw(parts, STEPS, ROWS, UNITS), draw(parts, ROWS, UNITS)
    lengths = torch.tensor([2, 6, 4]) if masked else None
    reset = torch.rand(STEPS, ROWS) < 0.3 if masked else None
    results = []
    for run in (scan, composed_scan):
        h, last = run(a, b, first, lengths, reverse, reset)
        gradients = torch.autograd.grad([*h, *last], [*a, *b, *first], [part.detach().cos() for part in (*h, *last)])
        results.append([*h, *last, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", COEFFICIENTS)
def test_gated_scans_have_second_derivatives(kind):
    torch.manual_seed(0)
    u = torch.randn(3, 2, {"mingru": 2, "minlstm": 3}[kind] * 2, dtype=torch.float64, requires_grad=True)
    first = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)

    def run(u, first):
        return gated_scan(kind, u, first, torch.tensor([3, 2]), False, None)

    assert torch.autograd.gradcheck(run, (u, first))
    assert torch.autograd.gradgradcheck(run, (u, first))


@pytest.mark.parametrize("value", [-300.0, -90.0, 0.0, 90.0, 300.0])
def test_saturated_gates_are_finite(value):
    """minLSTM divides by f + i, which is 0 in float32 where both are below -104."""
    for kind, blocks in (("mingru", 2), ("minlstm", 3)):
        u = torch.full((2, 1, blocks * 3), value, requires_grad=True)
        h, _ = gated_scan(kind, u, torch.ones(1, 3), None, False, None)
        (gradient,) = torch.autograd.grad(h.sum(), u)
        assert h.isfinite().all()
        assert gradient.isfinite().all()
    f_i_g = torch.tensor([[[value, value, 1.0]]])
    h_only, _ = gated_scan("minlstm", f_i_g, torch.zeros(1, 1), None, False, None)
    assert float(h_only) == pytest.approx(0.75)  # equal gates share alike, however small they are


@pytest.mark.parametrize("layer", [nn.MinGRU(3, 4), nn.MinLSTM(3, 4), nn.LRU(3, 4)], ids=lambda layer: layer.spec.kind)
def test_layers_compile_without_graph_break(layer):
    x = torch.randn(5, 2, 3)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])


def test_error_names_the_wrong_array():
    b, state = [torch.zeros(3, 2, 4)], [torch.zeros(2, 4)]
    with pytest.raises(UsageError, match=r"a: got \[3, 2, 5\] of float32, wanted \[3, 2, 4\] of float32"):
        scan([torch.zeros(3, 2, 5)], b, state, None, False, None)
    with pytest.raises(UsageError, match=r"a: got \[3, 2, 4\] of float64, wanted \[3, 2, 4\] of float32"):
        scan([b[0].double()], b, state, None, False, None)
    with pytest.raises(UsageError, match=r"b: got \[3, 4\] of float32"):
        scan(b, [b[0][:, 0]], state, None, False, None)
    with pytest.raises(UsageError, match="lengths: got 4, wanted 1 to 3"):
        scan(b, b, state, torch.tensor([4, 1]), False, None)
    with pytest.raises(UsageError, match=r"lengths: got \[2\] of int32, wanted \[2\] of int64"):
        scan(b, b, state, torch.tensor([2, 1], dtype=torch.int32), False, None)
    with pytest.raises(UsageError, match="gates: got 'gru', wanted none, mingru, minlstm"):
        gated_scan("gru", torch.zeros(3, 2, 0), state[0], None, False, None)


def test_wrong_addresses_of_a_scan_are_refused():
    engine, b, state = native.engine(), torch.zeros(3, 2, 4), torch.zeros(2, 4)
    of_b, of_state = b.data_ptr(), state.data_ptr()
    lengths = torch.tensor([3, 2])
    right = {"gates": "none", "is_float64": False, "steps": 3, "rows": 2, "units": 4, "u": 0, "a": [of_b],
             "a_by_step": 8, "a_by_row": 4, "b": [of_b], "first": [of_state], "lengths": lengths.data_ptr(),
             "reverse": False, "reset": 0, "h": [of_b]}  # fmt: skip
    scan = engine.Scan(*right.values())
    wrong = {"gates": "mingru", "steps": -1, "a": [], "b": [of_b, of_b], "first": [], "lengths": 4, "h": [of_b + 2]}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match="got"):
            engine.Scan(*{**right, name: value}.values())
    with pytest.raises(ValueError, match="last: got None"):
        scan.forward([0], 1)
    with pytest.raises(ValueError, match="grad_first: got unaligned memory"):
        scan.backward([of_b], [of_state], 0, [of_b], [of_b], [of_state + 1], 1)
    with pytest.raises(ValueError, match="threads: got 0"):
        scan.forward([of_state], 0)
