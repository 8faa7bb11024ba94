"""The conditional random field equals sums over all paths."""

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


def emissions_and_tags(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random emissions and tags, also beyond the ends of rows."""
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


def test_partition_and_score_equal_sums_over_all_paths() -> None:
    crf, (emissions, tags) = field(), emissions_and_tags()
    partition, score = crf.log_partition(emissions, LENGTHS), crf.score(emissions, tags, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        row_scores = emissions[:length, row]
        path_scores = torch.stack(
            [path_score(crf, row_scores, path) for path in itertools.product(range(K), repeat=length)]
        )
        torch.testing.assert_close(partition[row], path_scores.logsumexp(0))
        torch.testing.assert_close(score[row], path_score(crf, row_scores, tuple(tags[:length, row].tolist())))


def test_probabilities_of_all_paths_sum_to_one() -> None:
    crf, (emissions, _) = field(), emissions_and_tags()
    paths = torch.tensor(list(itertools.product(range(K), repeat=T))).t()
    repeated = emissions[:, 3:4].expand(-1, paths.shape[1], -1)
    chances = crf(repeated, paths, torch.full((paths.shape[1],), T)).exp()
    torch.testing.assert_close(chances.sum(), torch.tensor(1.0, dtype=torch.double))


def test_without_transitions_it_equals_a_softmax_per_step() -> None:
    crf, (emissions, tags) = field(), emissions_and_tags()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()
    row_scores = emissions.log_softmax(2).gather(2, tags.unsqueeze(2)).squeeze(2)
    expected = torch.stack([row_scores[:length, row].sum() for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(crf(emissions, tags, LENGTHS), expected)


def test_gradients_equal_finite_differences() -> None:
    crf, (emissions, tags) = field(), emissions_and_tags()

    def function(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        parts = {"transitions": transitions, "start": start, "end": end}
        return torch.func.functional_call(crf, parts, (emissions, tags, LENGTHS))

    leaves = [tensor.detach().clone().requires_grad_() for tensor in (emissions, crf.transitions, crf.start, crf.end)]
    assert torch.autograd.gradcheck(function, leaves)


def test_steps_beyond_the_end_do_not_count() -> None:
    crf, (emissions, tags) = field(), emissions_and_tags()
    expected_log_likelihood = crf(emissions, tags, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        emissions[length:, row], tags[length:, row] = torch.nan, -1
        row_log_likelihood = crf(
            emissions[:length, row : row + 1], tags[:length, row : row + 1], LENGTHS[row : row + 1]
        )
        torch.testing.assert_close(row_log_likelihood[0], expected_log_likelihood[row])
    emissions.requires_grad_()
    log_likelihood = crf(emissions, tags, LENGTHS)
    torch.testing.assert_close(log_likelihood, expected_log_likelihood)
    (gradient,) = torch.autograd.grad(log_likelihood.sum(), emissions)
    assert gradient.isfinite().all()
    for row, length in enumerate(LENGTHS.tolist()):
        assert not gradient[length:, row].any() and gradient[:length, row].any()


def test_long_sequences_stay_finite() -> None:
    crf = field().float()
    value = crf(100 * torch.randn(2000, 1, K), torch.zeros(2000, 1, dtype=torch.int64), torch.tensor([2000]))
    assert value.isfinite().all()


@pytest.mark.parametrize("lengths", [[0, 1, 2, 3], [1, 2], [6, 1, 1, 1]])
def test_lengths_that_do_not_fit_are_refused(lengths: list[int]) -> None:
    with pytest.raises(UsageError, match="lengths: got"):
        field()(*emissions_and_tags(), torch.tensor(lengths))
