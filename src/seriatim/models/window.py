"""Language models that see a fixed window of τ units, as baselines: one ignores order, the other does not."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.contract import Carry
from seriatim.models.language import SoftmaxLanguageModel
from seriatim.models.recurrent import start_embedding
from seriatim.models.resets import run_with_resets
from seriatim.notation import UNKNOWN


def _with_past(inputs: Tensor, carry: Carry, context: int) -> tuple[Tensor, Carry]:
    """Return ``inputs`` [K, B] after the last τ - 1 units of the past, and the carry: the last τ - 1 units now."""
    past = carry[0] if carry else inputs.new_full((context - 1, inputs.shape[1]), UNKNOWN)
    extended = torch.cat([past, inputs])
    return extended, (extended[extended.shape[0] - (context - 1) :],)


def _reset_rows(carry: Carry, keep: Tensor) -> Carry:
    """Set the past to unknown units in the rows where ``keep`` [B] is False."""
    return tuple(past.masked_fill(~keep, UNKNOWN) for past in carry)


@final
class ContinuousBag(SoftmaxLanguageModel):
    """CBOW: the mean of the last τ embeddings → softmax. Order is lost (after Mikolov 2013)."""

    def __init__(self, vocabulary_size: int, context: int, width: int) -> None:
        super().__init__()
        self.context = context
        self.embedding = start_embedding(nn.Embedding(vocabulary_size, width))
        self.output = nn.Linear(width, vocabulary_size)

    @property
    def embeddings(self) -> nn.Embedding:
        return self.embedding

    def states(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        return run_with_resets(self._means, _reset_rows, inputs, carry, reset)

    def _means(self, inputs: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        units, carry = _with_past(inputs, carry, self.context)
        vectors = self.embedding(units).permute(1, 2, 0)  # [B, E, τ-1+K]
        means = functional.avg_pool1d(vectors, self.context, stride=1)
        return means.permute(2, 0, 1), carry

    def head(self) -> tuple[Tensor, Tensor | None]:
        return self.output.weight, self.output.bias


@final
class ConcatenatedWindow(SoftmaxLanguageModel):
    """The last τ embeddings, concatenated → tanh → softmax. The parameters grow with τ (Bengio 2003)."""

    def __init__(self, vocabulary_size: int, context: int, width: int, hidden: int) -> None:
        super().__init__()
        self.context = context
        self.embedding = start_embedding(nn.Embedding(vocabulary_size, width))
        self.hidden = nn.Linear(context * width, hidden)
        self.output = nn.Linear(hidden, vocabulary_size)

    @property
    def embeddings(self) -> nn.Embedding:
        return self.embedding

    def states(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        return run_with_resets(self._hidden, _reset_rows, inputs, carry, reset)

    def _hidden(self, inputs: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        units, carry = _with_past(inputs, carry, self.context)
        windows = self.embedding(units).unfold(0, self.context, 1)  # [K, B, E, τ]
        return torch.tanh(self.hidden(windows.flatten(2))), carry

    def head(self) -> tuple[Tensor, Tensor | None]:
        return self.output.weight, self.output.bias
