"""The adaptive softmax (Grave 2017): frequent units cost a small product, rare ones a smaller one of their own.

The vocabulary is cut by frequency into a head and tails. The head has the frequent units and one entry for each tail.
A tail first projects the state to a quarter of the width of the tail before it.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError

SHARES = (0.05, 0.25)
"""The head has the first 5 % of the units, by frequency; the first tail ends at 25 %."""
SMALLEST = 40
"""The smallest vocabulary that gives each part two units."""
NARROWEST = 16
"""The narrowest state: the second tail has a sixteenth of it, so at least one number."""


@final
class AdaptiveSoftmax(nn.Module):
    """States [N, H] → log-probabilities [N, V]. Units must be in falling order of frequency.

    The products are PyTorch's ``nn.AdaptiveLogSoftmaxWithLoss``. Raises ``UsageError`` for fewer than 40 units, or
    states of fewer than 16 numbers.

    >>> softmax = AdaptiveSoftmax(16, 100)
    >>> states = torch.randn(3, 16)
    >>> targets = torch.tensor([0, 50, 99])
    >>> by_unit = softmax.log_probabilities(states)
    >>> torch.allclose(softmax.nll(states, targets), -by_unit.gather(1, targets[:, None])[:, 0], atol=1e-5)
    True
    """

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        if vocabulary_size < SMALLEST or width < NARROWEST:
            raise UsageError(
                f"softmax: got adaptive for {vocabulary_size} units and states of {width} numbers, wanted at least "
                f"{SMALLEST} units and {NARROWEST} numbers"
            )
        cutoffs = [int(share * vocabulary_size) for share in SHARES]
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(width, vocabulary_size, cutoffs, head_bias=True)

    def log_probabilities(self, states: Tensor) -> Tensor:
        """Return log P [N, V] in nats."""
        result: Tensor = self.softmax.log_prob(states)
        return result

    def nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood [N] of each target in nats; 0 for a negative target."""
        is_target = targets >= 0
        if not bool(is_target.any()):
            return states.new_zeros(len(targets), dtype=torch.float32)
        losses: Tensor = -self.softmax(states[is_target], targets[is_target]).output.float()
        return losses.new_zeros(len(targets)).masked_scatter(is_target, losses)
