"""Describes the convolutions of an LSTM-FCN. Their batch norms become a part of the weights."""

from __future__ import annotations

import torch
from torch import nn

from seriatim.export.bodies import Arrays, Described, array
from seriatim.models.lstm_fcn import ConvolutionalBranch
from seriatim.nn.batch_norm import AcrossRows
from seriatim.nn.convolution import Convolution


def describe_branch(branch: ConvolutionalBranch) -> Described:
    """Describe the convolutions, and return their weights with the running statistics folded in."""
    arrays: Arrays = {}
    widths, kernels = [], []
    for number, (convolution, across) in enumerate(zip(branch.convolutions, branch.norms, strict=True)):
        assert isinstance(convolution, Convolution) and isinstance(across, AcrossRows)
        arrays |= _folded(f"branch.{number}", convolution, across.norm)
        width, kernel, _ = convolution.weight.shape
        widths.append(width)
        kernels.append(kernel)
    return {"widths": widths, "kernels": kernels}, arrays


def _folded(name: str, convolution: Convolution, norm: nn.BatchNorm1d) -> Arrays:
    """The weight and the bias of a convolution followed by a batch norm: y = (W x + b - mean) · scale + shift."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.double() * scale[:, None, None]
    bias = (convolution.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return {f"{name}.weight": array(weight.float()), f"{name}.bias": array(bias.float())}
