"""Convolution over time, dilated, causal or centred, and the residual block of a TCN (Bai 2018).

    y_t = b + Σ_j x_{t - (K-1-j)·d} W_j,  j = 0 … K-1       causal: reads earlier steps, d apart
    y_t = b + Σ_j x_{t - (⌊K/2⌋-j)·d} W_j                   centred

Time-major: x [T, B, C]. The inputs before the first step are zeros, or ``past``. A run in parts equals the whole run if
each part gets the last ``reach`` inputs of the part before as its ``past``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.affine import Affine
from seriatim.ops.products import linear


class Convolution(nn.Module):
    """A filter over ``kernel`` steps, ``dilation`` apart: [T, B, input_size] → [T, B, output_size].

    ``weight`` [output_size, kernel, input_size] is the weight of ``torch.nn.Conv1d`` with its last two axes swapped.
    Raises ``UsageError`` for sizes below 1.
    """

    def __init__(
        self, input_size: int, output_size: int, kernel: int, *, dilation: int = 1, causal: bool = True
    ) -> None:
        super().__init__()
        if min(input_size, output_size, kernel, dilation) < 1:
            raise UsageError(
                f"input_size, output_size, kernel, dilation: got {input_size}, {output_size}, {kernel}, {dilation}, "
                "wanted at least 1 each"
            )
        self.dilation, self.causal = dilation, causal
        self.reach = (kernel - 1) * dilation
        """The number of steps between the first and the last input of a filter."""
        self.weight = nn.Parameter(torch.empty(output_size, kernel, input_size))
        self.bias = nn.Parameter(torch.zeros(output_size))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, past: Tensor | None = None) -> Tensor:
        """[T, B, C] → [T, B, output_size]; ``past`` [reach, B, C] are the inputs before x (None: zeros)."""
        checks.dimensions("input", x, {3: "[T, B, C]"})
        steps, kernel = len(x), self.weight.shape[1]
        if past is not None:
            x = torch.cat([past, x])
        else:
            ahead = 0 if self.causal else (kernel - 1) // 2 * self.dilation
            x = functional.pad(x, (0, 0, 0, 0, self.reach - ahead, ahead))
        # One product over the concatenated taps: faster here than conv1d, which needs x as [B, C, T].
        taps = torch.cat([x[tap * self.dilation : tap * self.dilation + steps] for tap in range(kernel)], -1)
        return linear(taps, self.weight.flatten(1), self.bias)

    def extra_repr(self) -> str:
        outputs, kernel, inputs = self.weight.shape
        return f"{inputs}, {outputs}, kernel={kernel}, dilation={self.dilation}, causal={self.causal}"


class ResidualBlock(nn.Module):
    """Two convolutions, each with ReLU and dropout, and a residual connection (Bai 2018).

    The second convolution starts with small weights, in place of Bai's weight normalisation: a stack of any depth then
    starts close to the residual connections alone.
    """

    def __init__(
        self, input_size: int, size: int, kernel: int, *, dilation: int = 1, causal: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = Convolution(input_size, size, kernel, dilation=dilation, causal=causal)
        self.second = Convolution(size, size, kernel, dilation=dilation, causal=causal)
        self.straight = nn.Identity() if input_size == size else Affine(input_size, size)
        self.dropout = nn.Dropout(checks.probability("dropout", dropout))
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(
        self, x: Tensor, pasts: tuple[Tensor, Tensor] | None = None, inside: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """[T, B, C] → [T, B, size], and the inputs of each convolution.

        ``pasts`` are the inputs of each convolution before x. ``inside`` [T, B, 1] is False beyond a row's end, where
        inputs count as zeros.
        """
        first_past, second_past = pasts or (None, None)
        x = x if inside is None else x * inside
        hidden = self.dropout(torch.relu(self.first(x, first_past)))
        hidden = hidden if inside is None else hidden * inside
        output = self.dropout(torch.relu(self.second(hidden, second_past)))
        return torch.relu(output + self.straight(x)), (x, hidden)
