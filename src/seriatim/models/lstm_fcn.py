"""LSTM-FCN (Karim 2018): an LSTM beside a fully convolutional network (Wang 2017), joined before the classes.

Karim's LSTM reads a series of one channel as a single step with T channels, which fixes T. Here the LSTM reads the
steps in their order, so that sequences of any length are possible. The convolutions have the paper's sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.models.classifier import InputSize, SequenceClassifier
from seriatim.models.options import CELL_OF, ModelOptions
from seriatim.models.recurrent import Stack
from seriatim.models.subwords import SubwordBatch
from seriatim.nn.batch_norm import AcrossRows
from seriatim.nn.convolution import Convolution
from seriatim.nn.pooling import POOLINGS

FILTERS: Final = ((128, 8), (256, 5), (128, 3))
"""The number of filters of each convolution, and the steps that a filter spans."""


@final
class ConvolutionalBranch(nn.Module):
    """Three convolutions, each with batch normalisation and ReLU, and the mean over a row's steps.

    Maps [T, B, C] and lengths [B] to [B, ``output_size``]. Steps beyond a row's length count as zeros, and are no part
    of the statistics of a batch.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        widths = [input_size, *(width for width, _ in FILTERS)]
        self.convolutions = nn.ModuleList(
            Convolution(inputs, outputs, kernel, causal=False)
            for inputs, (outputs, kernel) in zip(widths, FILTERS, strict=False)
        )
        self.norms = nn.ModuleList(AcrossRows(width) for width in widths[1:])
        self.output_size = widths[-1]

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        is_inside = torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device)
        x = x.masked_fill(~is_inside[:, :, None], 0)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            steps = torch.relu(norm(convolution(x)[is_inside]))
            x = steps.new_zeros(*is_inside.shape, steps.shape[1]).index_put((is_inside,), steps)
        return POOLINGS["mean"](x, lengths)


@final
class LstmFcn(SequenceClassifier):
    """Channels → LSTM → pooled state, beside channels → convolutions → mean; both together → affine.

    The LSTM has the options of ``--model lstm``. Raises ``UsageError`` for texts.
    """

    def __init__(self, options: ModelOptions, size: InputSize, classes: int, *, pool: str) -> None:
        super().__init__()
        if size.vocabulary:
            raise UsageError("model: lstm_fcn reads numbers or sound, and the data are texts")
        self.reader = nn.Identity()
        self.stack = Stack(replace(options, model=CELL_OF["lstm_fcn"]), size.channels)
        self.pool = POOLINGS[pool]
        self.branch = ConvolutionalBranch(size.channels)
        self.output = nn.Linear(self.stack.output_size + self.branch.output_size, classes)

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        states, _ = self.stack(inputs, (), lengths)
        pooled = self.pool(states, lengths, self.stack.directions)
        logits: Tensor = self.output(torch.cat([pooled, self.branch(inputs, lengths)], -1))
        return logits
