"""Cell, layer and stream compute the same up to rounding (float64, 1e-12)."""

from __future__ import annotations

import pytest
import torch

from seriatim.nn import Stream

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("rows", [1, 3])
def test_cell_layer_and_stream_agree(variant, rows):
    layer, cell = variant.layer(3, 5), variant.cell(3, 5)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = torch.randn(17, rows, 3, dtype=torch.float64)
    whole, final = layer(x)

    state, by_cell = None, []
    for step in x:
        state = cell(step, state)
        by_cell.append(state[0] if isinstance(state, tuple) else state)
    torch.testing.assert_close(torch.stack(by_cell), whole, **CLOSE)
    last = final if isinstance(final, tuple) else (final,)
    for value, reference in zip(state if isinstance(state, tuple) else (state,), last, strict=True):
        torch.testing.assert_close(value, reference[0], **CLOSE)

    stream = Stream(layer)
    by_stream = torch.cat([stream(chunk) for chunk in x.split([1, 1, 3, 12])])
    torch.testing.assert_close(by_stream, whole, **CLOSE)
    torch.testing.assert_close(stream.state, final, **CLOSE)


def test_layer_and_stream_agree(factory):
    layer = factory.layer(3, 5, num_layers=2)
    x = torch.randn(17, 3, 3, dtype=torch.float64)
    whole, final = layer(x)
    stream = Stream(layer)
    torch.testing.assert_close(torch.cat([stream(chunk) for chunk in x.split([1, 1, 3, 12])]), whole, **CLOSE)
    torch.testing.assert_close(stream.state, final, **CLOSE)
    stream.reset()
    torch.testing.assert_close(stream(x), whole, **CLOSE)


def test_row_without_batch_axis_equals_batch_of_one(variant):
    layer, cell = variant.layer(3, 5), variant.cell(3, 5)
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], layer(x[:, None])[0][:, 0], **CLOSE)
    row, batch = cell(x[0]), cell(x[:1])
    for value, reference in zip(*((s if isinstance(s, tuple) else (s,)) for s in (row, batch)), strict=True):
        torch.testing.assert_close(value, reference[0], **CLOSE)
