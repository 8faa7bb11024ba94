"""LSTM-FCN: padding is no part of the convolutions, of the statistics or of the mean; both halves count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.models.classifier import InputSize
from seriatim.models.lstm_fcn import ConvolutionalBranch, LstmFcn
from seriatim.nn.batch_norm import AcrossRows
from seriatim.nn.convolution import Convolution
from seriatim.nn.pooling import POOLINGS
from seriatim.tasks.options import ClassifyOptions

C, K = 3, 4
LENGTHS = torch.tensor([9, 1, 4, 9, 3])


def make(pool: str = "max", bidirectional: bool = False) -> LstmFcn:
    """A network whose statistics and shifts are not those of the beginning."""
    torch.manual_seed(0)
    settings = replace(ClassifyOptions(), model="lstm_fcn", hidden=8, dropout=0.0, bidirectional=bidirectional)
    network = LstmFcn(settings, InputSize(channels=C), K, pool=pool)
    with torch.no_grad():
        for norm in network.branch.norms:
            assert isinstance(norm, AcrossRows)
            assert norm.norm.running_mean is not None and norm.norm.running_var is not None
            norm.norm.running_mean.normal_()
            norm.norm.running_var.uniform_(0.5, 2)
            norm.norm.bias.normal_()
    return network.double()


def values(steps: int = 9) -> Tensor:
    """Sequences with junk behind their ends."""
    return torch.randn(steps, len(LENGTHS), C, generator=torch.Generator().manual_seed(2)).double() * 3


@pytest.mark.parametrize("pool", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_other_rows_change_nothing(pool: str, bidirectional: bool) -> None:
    network = make(pool, bidirectional=bidirectional).eval()
    together = network(values(), LENGTHS)
    assert together.shape == (len(LENGTHS), K)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(values()[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("junk", [0.0, 1e6, float("nan")])
def test_training_does_not_depend_on_padding(junk: float) -> None:
    plain, padded = make().train(), make().train()
    longer = torch.cat([values(), torch.full((5, len(LENGTHS), C), junk).double()])
    is_inside = torch.arange(len(longer))[:, None] < LENGTHS
    longer = longer.masked_fill(~is_inside[:, :, None], junk)
    torch.testing.assert_close(padded.branch(longer, LENGTHS), plain.branch(values(), LENGTHS), rtol=1e-9, atol=1e-11)
    for actual, right in zip(padded.branch.buffers(), plain.branch.buffers(), strict=True):
        torch.testing.assert_close(actual, right, rtol=1e-9, atol=1e-11)


def test_branch_is_three_convolutions_of_pytorch() -> None:
    branch, x = make().eval().branch, values()
    mean = branch(x, torch.full((len(LENGTHS),), len(x)))
    y = x.permute(1, 2, 0)
    for convolution, across in zip(branch.convolutions, branch.norms, strict=True):
        assert isinstance(convolution, Convolution) and isinstance(across, AcrossRows)
        kernel = convolution.weight.shape[1]
        around = kernel // 2, (kernel - 1) // 2
        y = functional.conv1d(functional.pad(y, around), convolution.weight.transpose(1, 2), convolution.bias)
        y = torch.relu(across.norm(y))
    torch.testing.assert_close(mean, y.mean(-1))


def test_both_halves_learn() -> None:
    network = make().train()
    network(values(), LENGTHS).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(part.weight.grad.abs().sum() > 0 for part in network.branch.convolutions)  # type: ignore[union-attr]
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.stack.parameters() if parameter.grad is not None)


def test_batch_of_a_single_step_can_be_trained_on() -> None:
    logits = make().train()(values()[:1, :1], torch.ones(1, dtype=torch.int64))
    logits.sum().backward()
    assert logits.isfinite().all()


def test_sizes_are_those_of_the_paper() -> None:
    branch = ConvolutionalBranch(1)
    assert [tuple(part.weight.shape) for part in branch.convolutions] == [(128, 8, 1), (256, 5, 128), (128, 3, 256)]


def test_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="model: lstm_fcn reads numbers or sound, and the data are texts"):
        LstmFcn(ClassifyOptions(), InputSize(vocabulary=9), K, pool="max")
