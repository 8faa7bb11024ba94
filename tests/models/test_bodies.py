"""Laws of every body: cutting a stream, padding and other rows do not change the outputs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seriatim.models.bodies import build_body
from seriatim.models.body import Body, last_steps
from seriatim.models.contract import Carry
from seriatim.models.options import CELLS, NETWORKS, STREAMING, ModelOptions

T, B, C, H = 13, 5, 3, 8
LENGTHS = torch.tensor([13, 1, 7, 12, 4])
SPAN = 4
"""Much shorter than T, so that what a transformer forgets is tested too."""
EVERY = [(name, causal) for name in NETWORKS for causal in (True, False)]
EVERY += [("sinusoidal", False), ("blocks", True), ("blocks", False)]

RECURRENT = (*CELLS, "blocks")

every_case = pytest.mark.parametrize(("name", "causal"), EVERY)
streaming = pytest.mark.parametrize("name", (*STREAMING, "blocks"))


def make(name: str, *, causal: bool, bidirectional: bool = False, layers: int = 2) -> Body:
    torch.manual_seed(0)
    options = replace(
        ModelOptions(), model=name, hidden=H, layers=layers, heads=2, span=SPAN, bidirectional=bidirectional
    )
    if name == "sinusoidal":
        options = replace(options, model="transformer", positions=name)
    if name == "blocks":
        options = replace(options, model="mingru", residual="block", convolution=1 + 2 * causal)
    body = build_body(options, C, causal=causal).double().eval()
    with torch.no_grad():  # parts that start small or at zero would hide a mistake
        for parameter in body.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return body


def values(steps: int = T, rows: int = B, seed: int = 1) -> Tensor:
    return torch.randn(steps, rows, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(body: Body, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
    with torch.no_grad():
        outputs, final = body(inputs, carry, lengths)
    return outputs, final


def assert_close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-11)


@every_case
def test_output_and_carry_shapes(name: str, causal: bool) -> None:
    body = make(name, causal=causal)
    outputs, carry = run(body, values())
    assert outputs.shape == (T, B, body.output_size)
    assert all(part.shape[1] == B for part in carry), "rows stand in dimension 1 of a carry"


@every_case
def test_padding_and_other_rows_change_nothing(name: str, causal: bool) -> None:
    for bidirectional in (False, True) if name in RECURRENT and not causal else (False,):
        body = make(name, causal=causal, bidirectional=bidirectional)
        together, _ = run(body, values(), lengths=LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            alone, _ = run(body, values()[:length, row : row + 1])
            assert_close(together[:length, row], alone[:, 0])


@every_case
def test_future_does_not_change_causal_body(name: str, causal: bool) -> None:
    body, changed = make(name, causal=causal), values()
    changed[6:] = values(seed=9)[6:]
    original, changed_outputs = (run(body, inputs)[0][:6] for inputs in (values(), changed))
    if causal or name in (*RECURRENT, "mlp"):
        assert_close(original, changed_outputs)
    else:
        assert not torch.allclose(original, changed_outputs), "the law can fail"


@streaming
@pytest.mark.parametrize("cuts", [(1,) * T, (5, 8), (1, 11, 1), (4, 4, 5)])
def test_split_run_equals_whole_run(name: str, cuts: tuple[int, ...]) -> None:
    body = make(name, causal=True)
    whole, final = run(body, values())
    parts: list[Tensor] = []
    carry: Carry = ()
    for part in torch.split(values(), list(cuts)):
        outputs, carry = run(body, part, carry)
        parts.append(outputs)
    assert_close(torch.cat(parts), whole)
    for actual, right in zip(carry, final, strict=True):
        torch.testing.assert_close(actual, right, rtol=1e-9, atol=1e-11)


@streaming
def test_run_without_carry_differs(name: str) -> None:
    body = make(name, causal=True)
    assert not torch.allclose(run(body, values()[5:])[0], run(body, values())[0][5:]), "the law above can fail"


@streaming
def test_carry_is_taken_at_the_end_of_each_row(name: str) -> None:
    body, more = make(name, causal=True), values(6, seed=2)
    _, carry = run(body, values(), lengths=LENGTHS)
    onward, _ = run(body, more, carry)
    for row, length in enumerate(LENGTHS.tolist()):
        _, own = run(body, values()[:length, row : row + 1])
        assert_close(onward[:, row], run(body, more[:, row : row + 1], own)[0][:, 0])


@streaming
def test_reset_rows_start_anew_and_others_continue(name: str) -> None:
    body, more = make(name, causal=True), values(6, seed=2)
    _, carry = run(body, values())
    is_kept = torch.tensor([True, False, True, False, True])
    onward, final = run(body, more, body.reset_rows(carry, is_kept))
    assert_close(onward[:, is_kept], run(body, more, carry)[0][:, is_kept])
    assert_close(onward[:, ~is_kept], run(body, more)[0][:, ~is_kept])
    again, _ = run(body, more, final)
    assert_close(again[:, ~is_kept], run(body, more, run(body, more)[1])[0][:, ~is_kept])


@streaming
def test_rows_of_a_carry_can_be_reordered(name: str) -> None:
    body, more = make(name, causal=True), values(2, seed=2)
    _, carry = run(body, values())
    order = torch.tensor([3, 3, 0])
    reordered, _ = run(body, more[:, order], tuple(part[:, order] for part in carry))
    assert_close(reordered, run(body, more, carry)[0][:, order])


@every_case
def test_every_weight_gets_a_gradient(name: str, causal: bool) -> None:
    body, inputs = make(name, causal=causal).train(), values().requires_grad_()
    outputs, _ = body(inputs, (), LENGTHS)
    outputs[0].square().sum().backward() if not causal else outputs.square().mean().backward()
    assert inputs.grad is not None and inputs.grad[0].abs().sum() > 0
    outputs, _ = body(values())
    outputs.square().mean().backward()
    for label, parameter in body.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label


@every_case
def test_loaded_weights_give_same_output(name: str, causal: bool) -> None:
    body, copy = make(name, causal=causal), make(name, causal=causal)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    copy.load_state_dict(body.state_dict())
    assert torch.equal(run(body, values())[0], run(copy, values())[0])


@streaming
def test_bfloat16_keeps_a_float32_carry(name: str) -> None:
    body, inputs = make(name, causal=True).float(), values().float()
    with torch.autocast("cpu", torch.bfloat16):
        _, carry = body(inputs)
        outputs, carry = body(inputs, carry)
    exact, _ = run(body, inputs, run(body, inputs)[1])
    torch.testing.assert_close(outputs.float(), exact, rtol=0.1, atol=0.15)
    assert all(part.dtype in (torch.float32, torch.bool) for part in carry)


def test_transformer_sees_its_span_in_each_layer() -> None:
    for layers in (1, 2):
        body, reach = make("transformer", causal=True, layers=layers), layers * (SPAN - 1)
        for distance, is_read in ((reach, True), (reach + 1, False)):
            changed = values()
            changed[T - 1 - distance] += 1.0
            assert torch.allclose(run(body, changed)[0][-1], run(body, values())[0][-1], atol=1e-12) is not is_read


def test_convolution_sees_its_receptive_field() -> None:
    body = make("cnn", causal=True, layers=1)  # 1 + 2·(3 - 1)·(2 - 1) = 5 steps
    for distance, is_read in ((4, True), (5, False)):
        changed = values()
        changed[T - 1 - distance] += 1.0
        assert torch.allclose(run(body, changed)[0][-1], run(body, values())[0][-1], atol=1e-12) is not is_read


def test_transformer_does_not_depend_on_absolute_position() -> None:
    """Positions are distances: the same steps after a long or a short past that is out of sight give the same."""
    body, end = make("transformer", causal=True), values()
    late, _ = run(body, torch.cat([values(40, seed=3), end]))
    early, _ = run(body, torch.cat([values(7, seed=4), end]))
    assert_close(late[-5:], early[-5:])


def test_last_steps_before_each_end() -> None:
    x = torch.arange(1.0, 5.0)[:, None, None].expand(4, 3, 1)
    assert last_steps(x, 2, torch.tensor([4, 1, 3]))[..., 0].T.tolist() == [[3, 4], [0, 1], [2, 3]]
    assert last_steps(x, 5)[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
