"""The unit that each weight of a recurrent layer belongs to, and the influence that stays within units.

Of the influence P [S, N] (``rtrl.py``) only the numbers of each weight's own unit are kept: p [R, N'], for the R parts
of the state that the next step reads (h; or h and c) and the N' weights that belong to units. Of the Jacobian only the
blocks D [R, R, U] are kept, by which a unit depends on itself:

    p_t[q, j] = Σ_r D_t[q, r, u(j)] · p_{t-1}[r, j] + ∂s_t[q, u(j)]/∂θ_j                                (1)

A weight reaches only its own unit in one step. So the last term is a gradient of the sum over all units of a layer.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.errors import UsageError
from seriatim.learning.step_function import Pullback, StepFunction
from seriatim.models.contract import StreamModel, Unitwise


@final
class UnitWeights:
    """The indices that connect the weights and the state of a model with one ``Unitwise`` module.

    Raises ``UsageError`` for a model without such a module or with several.
    """

    def __init__(self, learner: str, model: StreamModel[Any], step: StepFunction) -> None:
        modules = [(name, module) for name, module in model.named_modules() if isinstance(module, Unitwise)]
        if len(modules) != 1:
            raise UsageError(f"learner: {learner} wants a model with one stack of recurrent layers, got {len(modules)}")
        ((prefix, module),) = modules
        owners = {f"model.{prefix}.{name}": owner for name, owner in module.owners().items()}
        self.parts = len(module.recurrent_states)
        """R."""
        self.layers = step.shapes[0][0]
        """L."""
        self.count = step.size // len(step.shapes)
        """U, over all layers."""
        self.recurrent_indices = torch.arange(step.size).view(-1, self.count)[list(module.recurrent_states)].flatten()
        """[R·U]: the indices in s that the next step reads."""
        theta_owners = torch.cat(
            [owners.get(name, torch.full(weight.shape, -1)).flatten() for name, weight in step.recurrent.items()]
        )
        self.owned = torch.nonzero(theta_owners >= 0).squeeze(1)
        """[N']: the indices in θ of the weights that belong to units."""
        self.unowned = torch.nonzero(theta_owners < 0).squeeze(1)
        """[N'']: the indices in θ of the weights before the layers."""
        self.owner = theta_owners[self.owned]
        """[N']: u(j)."""
        self.layer = self.owner // (self.count // self.layers)
        """[N']: the layer of each weight."""
        blocks = torch.eye(self.parts * self.layers).repeat_interleave(self.count // self.layers, 1)
        self.layer_sums = step.template.new_zeros(len(blocks), step.size).index_copy(
            1, self.recurrent_indices, blocks.to(step.template.dtype)
        )
        """[R·L, S]: ones over each part of each layer."""

    def immediate(self, pullback: Pullback, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂s_t[q, u(j)]/∂θ_j [R, N'], and the gradients [R·L, S] of the layers' sums with respect to s."""
        theta, _, of_s = vmap(lambda sums: pullback((torch.zeros_like(loss), sums)))(self.layer_sums)
        by_layer = theta[:, self.owned].view(self.parts, self.layers, -1)
        return by_layer.gather(1, self.layer.expand(self.parts, 1, -1)).squeeze(1), of_s

    def diagonal_blocks(self, sums: Tensor) -> Tensor:
        """Return D [R, R, U] of a single diagonal layer, from the gradients of its sums."""
        return sums[:, self.recurrent_indices].view(self.parts, self.parts, -1)

    def advance(self, blocks: Tensor, p: Tensor) -> Tensor:
        """Return Σ_r D[q, r, u(j)] · p[r, j]."""
        return torch.einsum("qrj,rj->qj", blocks[:, :, self.owner], p)

    def gradient(self, of_s: Tensor, p: Tensor) -> Tensor:
        """Return Σ_r ∂L/∂s[r, u(j)] · p[r, j]."""
        return (of_s[self.recurrent_indices].view(self.parts, -1)[:, self.owner] * p).sum(0)


def is_diagonal(model: StreamModel[Any], step: StepFunction) -> bool:
    """Whether the whole state belongs to one layer with a diagonal recurrence."""
    modules = [module for module in model.modules() if isinstance(module, Unitwise)]
    return len(modules) == 1 and modules[0].diagonal and step.shapes[0][0] == 1 and len({*step.shapes}) == 1
