"""Ensembles: K networks of the same form, trained from different seeds, whose predictions are averaged.

An ensemble is a model like its members: tasks score it and predict with it, and never ask how many networks it has. It
averages what a prediction is: probabilities, means and quantiles, and with a CRF the scores of the tags (Hansen &
Salamon 1990; Lakshminarayanan 2017).

    P(x) = 1/K Σ_k P_k(x)                    probabilities, of units, classes, tags and notes                      (1)
    q    = 1/K Σ_k q_k                       a mean or a quantile                                                 (2)
    log p(y|x) = 1/K Σ_k score_k(x, y) - log Z    a CRF: the normalised geometric mean of the members' p_k(y|x)    (3)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.classifier import SequenceClassifier
from seriatim.models.contract import Carry, Trainable
from seriatim.models.decoder import NO_TARGET
from seriatim.models.forecaster import Forecaster, WindowBatch
from seriatim.models.language import NeuralLanguageModel
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.regressor import SequenceRegressor
from seriatim.models.roll import RollNetwork
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.models.subwords import SubwordBatch
from seriatim.models.tagger import SentenceTagger, Spellings
from seriatim.nn.crf import CRF


class Members(nn.ModuleList):
    """The networks of an ensemble."""

    def networks(self) -> list[Any]:
        """Return them, each as the type that the ensemble is made for."""
        return list(self)


@final
class LanguageEnsemble(NeuralLanguageModel):
    """The average (1) of language models. The states and the carries of the members follow one another."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)

    def states(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        states, carries = [], []
        members = self.members.networks()
        for member, own in zip(members, _shares(carry, len(members)), strict=True):
            own_states, own_carry = member.states(inputs, own, reset)
            states.append(own_states)
            carries.append(own_carry)
        return torch.cat(states, -1), tuple(part for own in carries for part in own)

    def logits(self, states: Tensor) -> Tensor:
        logits = [member.logits(own) for member, own in self._of_members(states)]
        return log_mean([torch.log_softmax(own.float(), -1) for own in logits])

    def mean_nll(self, states: Tensor, targets: Tensor) -> Tensor:
        return functional.nll_loss(self.logits(states), targets, ignore_index=NO_TARGET)

    def nll_of_states(self, states: Tensor, targets: Tensor) -> Tensor:
        return -log_mean([-member.nll_of_states(own, targets) for member, own in self._of_members(states)])

    def _of_members(self, states: Tensor) -> list[tuple[NeuralLanguageModel, Tensor]]:
        """Return each member with its states."""
        members = self.members.networks()
        parts = (part.contiguous() for part in states.chunk(len(members), -1))
        return list(zip(members, parts, strict=True))


@final
class ClassifierEnsemble(SequenceClassifier):
    """The average (1) of classifiers. Its logits are the logarithms of the mean probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        logits = (member(inputs, lengths, subwords) for member in self.members)
        return log_mean([torch.log_softmax(own.float(), -1) for own in logits])


@final
class RegressorEnsemble(SequenceRegressor):
    """The average (2) of regressions."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        return mean([member(inputs, lengths, subwords) for member in self.members])


@final
class TaggerEnsemble(SentenceTagger):
    """The average (1) of taggers, or (3) if they have a CRF: then emissions and transitions are averaged."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)

    def forward(
        self, words: Tensor, spellings: Spellings, lengths: Tensor, subwords: SubwordBatch | None = None
    ) -> Tensor:
        scores = [member(words, spellings, lengths, subwords).float() for member in self.members]
        if self.chain() is not None:
            return mean(scores)
        return log_mean([torch.log_softmax(own, -1) for own in scores])

    def chain(self) -> CRF | None:
        chains = [chain for member in self.members.networks() if (chain := member.chain()) is not None]
        if not chains:
            return None
        average: CRF = copy.deepcopy(chains[0])
        for name, parameter in average.named_parameters():
            parameter.data = mean([chain.get_parameter(name).detach() for chain in chains])
        return average


@final
class RollEnsemble(RollNetwork):
    """The average (1) of models of piano rolls, for each note. Its logits are those of the mean probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)

    def forward(self, previous: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        logits, carries = [], []
        for member, own in zip(self.members, _shares(carry, len(self.members)), strict=True):
            own_logits, own_carry = member(previous, own, lengths)
            logits.append(own_logits.float())
            carries.append(own_carry)
        on, off = (log_mean([functional.logsigmoid(sign * own) for own in logits]) for sign in (1, -1))
        return on - off, tuple(part for own in carries for part in own)


@final
class ForecasterEnsemble(Forecaster[Any]):
    """The average (2) of forecasters. Members that draw paths draw the same random numbers."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        first = members[0]
        assert isinstance(first, Forecaster)
        super().__init__(first.shape)
        self.members = Members(members)
        self.reads_steps = first.reads_steps

    def batch(self, windows: WindowBatch) -> Any:
        return self.members.networks()[0].batch(windows)

    def fitted_start(self) -> Autoregressive | None:
        start: Autoregressive | None = self.members.networks()[0].fitted_start()
        return start

    def loss(self, batch: Any, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean of the members' losses."""
        return mean([member.loss(batch, ())[0] for member in self.members.networks()]), ()

    def quantiles(self, history: Tensor, generator: np.random.Generator, start: Tensor | None = None) -> Tensor:
        state, quantiles = generator.bit_generator.state, []
        for member in self.members.networks():
            generator.bit_generator.state = state
            quantiles.append(member.quantiles(history, generator, start))
        return mean(quantiles)


@dataclass(frozen=True)
class WriterStates:
    """The states of the members of a ``WriterEnsemble``."""

    states: tuple[Any, ...]

    def take(self, rows: Tensor) -> WriterStates:
        """Return the state of ``rows`` [N] int64, which may repeat."""
        return WriterStates(tuple(state.take(rows) for state in self.states))


@final
class WriterEnsemble(EncoderDecoder[Any]):
    """The average (1) of networks that write texts, at each step of one text that all of them read."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = Members(members)
        self.boundary = self.members.networks()[0].boundary

    def begin(self, sources: Any) -> WriterStates:
        return WriterStates(tuple(member.begin(sources) for member in self.members.networks()))

    def begin_batch(self, batch: Any) -> WriterStates:
        return WriterStates(tuple(member.begin_batch(batch) for member in self.members.networks()))

    def step(self, tokens: Tensor, state: WriterStates) -> tuple[Tensor, WriterStates, Tensor | None]:
        members = self.members.networks()
        steps = [member.step(tokens, own) for member, own in zip(members, state.states, strict=True)]
        chances, states, alignments = zip(*steps, strict=True)
        alignment = None if alignments[0] is None else mean(alignments)
        return log_mean(chances), WriterStates(states), alignment

    def loss(self, batch: Any, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit of the targets, including their ends, in nats."""
        state, tokens = self.begin_batch(batch), torch.full_like(batch.targets[0], self.boundary)
        losses = []
        for targets in batch.targets:
            chances, state, _ = self.step(tokens, state)
            is_target = targets != NO_TARGET
            losses.append(functional.nll_loss(chances[is_target], targets[is_target], reduction="sum"))
            tokens = targets.clamp(min=0)
        return torch.stack(losses).sum() / batch.units, ()


ENSEMBLES: Final[Mapping[type[nn.Module], Callable[[Sequence[nn.Module]], Trainable[Any]]]] = {
    NeuralLanguageModel: LanguageEnsemble,
    SequenceClassifier: ClassifierEnsemble,
    SequenceRegressor: RegressorEnsemble,
    SentenceTagger: TaggerEnsemble,
    RollNetwork: RollEnsemble,
    Forecaster: ForecasterEnsemble,
    EncoderDecoder: WriterEnsemble,
}
"""The ensemble of each family of networks."""


def make_ensemble(networks: Sequence[nn.Module]) -> Trainable[Any]:
    """Return the average of ``networks``, which have the same form. They are used as they are, not copied."""
    make = next(make for family, make in ENSEMBLES.items() if isinstance(networks[0], family))
    return make(networks)


def networks_of(model: Any) -> list[Any]:
    """Return the networks of an ensemble; of another model, the model itself."""
    members = getattr(model, "members", None)
    return list(members) if isinstance(members, Members) else [model]


def mean(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape."""
    return torch.stack(list(values)).mean(0)


def log_mean(logs: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean of numbers, from their logarithms."""
    return torch.logsumexp(torch.stack(list(logs)), 0) - math.log(len(logs))


def _shares(carry: Carry, count: int) -> list[Carry]:
    """Return the carry of each of ``count`` members, which have equally many tensors."""
    size = len(carry) // count
    return [carry[number * size : (number + 1) * size] for number in range(count)]
