"""The conditional random field against sums over every path there is."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.nn.crf import CRF

T, K = 5, 3
LENGTHS = torch.tensor([4, 1, 3, 5])


def field() -> CRF:
    torch.manual_seed(0)
    crf = CRF(K).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def given(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Emissions and tags, with junk behind the ends."""
    draw = torch.Generator().manual_seed(seed)
    shape = (T, len(LENGTHS))
    return torch.randn(*shape, K, generator=draw, dtype=torch.double), torch.randint(K, shape, generator=draw)


def path_score(crf: CRF, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    """Equation 1, written out: emissions [length, K]."""
    total = crf.start[path[0]] + crf.end[path[-1]]
    for t, tag in enumerate(path):
        total = total + emissions[t, tag]
    for a, b in itertools.pairwise(path):
        total = total + crf.transitions[a, b]
    return total


def test_partition_and_score_are_those_of_all_paths() -> None:
    crf, (emissions, tags) = field(), given()
    partition, score = crf.log_partition(emissions, LENGTHS), crf.score(emissions, tags, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        own = emissions[:length, row]
        every = torch.stack([path_score(crf, own, path) for path in itertools.product(range(K), repeat=length)])
        torch.testing.assert_close(partition[row], every.logsumexp(0))
        torch.testing.assert_close(score[row], path_score(crf, own, tuple(tags[:length, row].tolist())))


def test_probabilities_of_all_paths_sum_to_one() -> None:
    crf, (emissions, _) = field(), given()
    paths = torch.tensor(list(itertools.product(range(K), repeat=T))).t()
    repeated = emissions[:, 3:4].expand(-1, paths.shape[1], -1)
    chances = crf(repeated, paths, torch.full((paths.shape[1],), T)).exp()
    torch.testing.assert_close(chances.sum(), torch.tensor(1.0, dtype=torch.double))


def test_without_transitions_it_is_a_softmax_per_step() -> None:
    crf, (emissions, tags) = field(), given()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()
    own = emissions.log_softmax(2).gather(2, tags.unsqueeze(2)).squeeze(2)
    wanted = torch.stack([own[:length, row].sum() for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(crf(emissions, tags, LENGTHS), wanted)


def test_gradients_are_finite_differences() -> None:
    crf, (emissions, tags) = field(), given()

    def function(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        parts = {"transitions": transitions, "start": start, "end": end}
        return torch.func.functional_call(crf, parts, (emissions, tags, LENGTHS))

    leaves = [one.detach().clone().requires_grad_() for one in (emissions, crf.transitions, crf.start, crf.end)]
    assert torch.autograd.gradcheck(function, leaves)


def test_what_stands_behind_an_end_counts_for_nothing() -> None:
    crf, (emissions, tags) = field(), given()
    clean = crf(emissions, tags, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        emissions[length:, row], tags[length:, row] = torch.nan, -1
        alone = crf(emissions[:length, row : row + 1], tags[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], clean[row])
    emissions.requires_grad_()
    again = crf(emissions, tags, LENGTHS)
    torch.testing.assert_close(again, clean)
    (gradient,) = torch.autograd.grad(again.sum(), emissions)
    assert gradient.isfinite().all()
    for row, length in enumerate(LENGTHS.tolist()):
        assert not gradient[length:, row].any() and gradient[:length, row].any()


def test_long_sequences_stay_finite() -> None:
    crf = field().float()
    value = crf(100 * torch.randn(2000, 1, K), torch.zeros(2000, 1, dtype=torch.int64), torch.tensor([2000]))
    assert value.isfinite().all()


@pytest.mark.parametrize("lengths", [[0, 1, 2, 3], [1, 2], [6, 1, 1, 1]])
def test_lengths_that_do_not_fit(lengths: list[int]) -> None:
    with pytest.raises(UsageError, match="lengths: got"):
        field()(*given(), torch.tensor(lengths))
