"""Packed sequences in an eager call are not padded, and give the results of padded rows with lengths.

Compared in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
STACKS = {"one": {}, "stack": {"num_layers": 3}, "both": {"num_layers": 2, "bidirectional": True, "bias": False}}
LENGTHS = {
    "sorted": (6, 4, 4, 1),
    "unsorted": (2, 6, 1, 5),
    "equal": (3, 3, 3, 3),
    "one": (5,),
    "single steps": (1, 1, 1),
}


@pytest.fixture(params=["RNN", "GRU", "LSTM"])
def kind(request):
    return getattr(nn, request.param)


@pytest.fixture
def in_place(monkeypatch):
    """Make the test fail if packed rows are padded."""

    def refuse(packed):
        raise AssertionError("the rows were padded")

    monkeypatch.setattr("seriatim.nn.batch_layout.unpacked", refuse)


def rows(lengths):
    return [torch.randn(length, 3, dtype=torch.float64) for length in lengths]


def states(layer, count):
    shape = layer.num_layers * (1 + layer.bidirectional), count, 4
    parts = tuple(torch.randn(shape, dtype=torch.float64).requires_grad_() for _ in layer.spec.states)
    return parts if len(parts) > 1 else parts[0]


def results_and_gradients(layer, packed, state):
    """Output, final states, and the gradients of x, of the first states and of every weight."""
    data = packed.data.detach().requires_grad_()
    output, final = layer(PackedSequence(data, *packed[1:]), state)
    assert torch.equal(output.batch_sizes, packed.batch_sizes)
    parts = output.data, *(final if isinstance(final, tuple) else (final,))
    first = () if state is None else state if isinstance(state, tuple) else (state,)
    loss = sum((tensor * torch.arange(1.0, tensor.numel() + 1).view_as(tensor)).sum() for tensor in parts)
    return parts, torch.autograd.grad(loss, (data, *first, *layer.parameters()))


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
def test_packed_rows_equal_composed_steps(kind, options, lengths, with_state, in_place, monkeypatch):
    layer = kind(3, 4, dtype=torch.float64, **options)
    packed = pack_sequence(rows(lengths), enforce_sorted=False)
    state = states(layer, len(lengths)) if with_state else None
    actual = results_and_gradients(layer, packed, state)
    with torch.no_grad():
        torch.testing.assert_close(layer(packed, state)[0].data, actual[0][0], rtol=0, atol=0)
    monkeypatch.undo()
    with using("composed"):
        torch.testing.assert_close(actual, results_and_gradients(layer, packed, state), **CLOSE)


def test_packed_rows_equal_padded_rows_bitwise(kind, in_place):
    layer, sequences = kind(3, 17), [row.float() for row in rows((9, 9, 7, 2, 2))]
    packed, padded = pack_sequence(sequences), torch.nn.utils.rnn.pad_sequence(sequences)
    lengths = torch.tensor([9, 9, 7, 2, 2])
    output, final = layer(packed)
    expected, wanted_final = layer(padded, lengths=lengths)
    assert torch.equal(torch.nn.utils.rnn.pad_packed_sequence(output)[0], expected)
    torch.testing.assert_close(final, wanted_final, rtol=0, atol=0)


def test_second_derivatives(kind, in_place):
    layer = kind(2, 2, num_layers=2, bidirectional=True, dtype=torch.float64)
    packed = pack_sequence([torch.randn(length, 2, dtype=torch.float64) for length in (1, 3)], enforce_sorted=False)

    def outputs(data, *_):
        output, final = layer(PackedSequence(data, *packed[1:]))
        return output.data, final[0]

    assert torch.autograd.gradgradcheck(outputs, (packed.data.detach().requires_grad_(), *layer.parameters()))


@pytest.mark.parametrize("axis", ["rows", "values"])
def test_strides(kind, axis, in_place, monkeypatch):
    layer, packed = kind(3, 4, dtype=torch.float64), pack_sequence(rows((4, 2)))
    wide = torch.randn(6, 8, dtype=torch.float64)
    wide[:, :3] = packed.data
    data = wide[:, :3] if axis == "rows" else packed.data.t().contiguous().t()
    if axis == "values":  # the engine does not read these
        monkeypatch.undo()
    torch.testing.assert_close(layer(PackedSequence(data, *packed[1:]))[0].data, layer(packed)[0].data, **CLOSE)


def test_wrong_arguments_are_refused(kind):
    layer, packed = kind(3, 4, dtype=torch.float64), pack_sequence(rows((4, 2)))
    with pytest.raises(UsageError, match="input"):
        layer(PackedSequence(torch.randn(6, 2, dtype=torch.float64), packed.batch_sizes))
    with pytest.raises(UsageError, match="h"):
        layer(packed, torch.zeros(1, 3, 4, dtype=torch.float64) if kind is not nn.LSTM else
              (torch.zeros(1, 3, 4, dtype=torch.float64),) * 2)  # fmt: skip
