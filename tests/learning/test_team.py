"""The parts of a batch that processes take, and the gradients that they add up to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

import seriatim
from runtime_data import CASES
from seriatim.errors import TrainingError, UsageError
from seriatim.learning import loop
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import TrainingPlan
from seriatim.learning.team import Alone, Processes, find_team, running_statistics
from seriatim.models.captioner import CaptionBatch, Views
from seriatim.models.classifier import SequenceBatch
from seriatim.models.language import NO_TARGET, LanguageBatch, RecurrentLanguageModel
from seriatim.models.options import ModelOptions
from seriatim.models.rows import row_count, take_rows
from seriatim.options import fill
from seriatim.run import fitting
from seriatim.run.ranks import options_of_ranks

NETWORKS = ("lstm", "gru", "rnn", "cnn", "mlp", "transformer", "lstm_fcn")
TRAINED = [name for name, (_, _, options) in CASES.items() if options["model"] in NETWORKS]


class Planned(Exception):
    """A training was about to begin."""


def plan_of(case: str, monkeypatch: Any, tmp_path: Any) -> tuple[Any, Any]:
    """Return the network of a case and its plan."""
    caught: list[Any] = []

    def fit(model: Any, plan: Any, *_: Any) -> Any:
        caught.extend([model, plan])
        raise Planned

    monkeypatch.setattr(fitting.loop, "fit", fit)
    task, data, options = CASES[case]
    with pytest.raises(Planned):
        seriatim.train(task, data, **options, batch_size=7, out=tmp_path / "run", quiet=True)
    model, plan = caught
    return model, plan


def gradients(model: Any, batch: Any, weight: float) -> list[torch.Tensor]:
    model.zero_grad()
    (model.loss(batch, ())[0] * weight).backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("case", TRAINED)
def test_weighted_gradients_of_parts_add_up_to_gradient_of_batch(case: str, monkeypatch: Any, tmp_path: Any) -> None:
    model, plan = plan_of(case, monkeypatch, tmp_path)
    model.eval()  # without dropout
    epoch = plan.epoch(0)
    batch = max((epoch[index] for index in range(min(len(epoch), 9))), key=row_count)
    count = row_count(batch)
    assert count > 2
    expected = gradients(model, batch, 1.0)
    bounds = [0, count // 3, count // 2 + 1, count]
    parts = [take_rows(batch, start, stop) for start, stop in pairwise(bounds)]
    terms = [model.terms(part) for part in parts]
    assert sum(terms) == model.terms(batch)
    actual = [gradients(model, part, term / sum(terms)) for part, term in zip(parts, terms, strict=True)]
    scale = max(float(gradient.abs().max()) for gradient in expected)
    for total, *summands in zip(expected, *actual, strict=True):
        torch.testing.assert_close(sum(summands), total, rtol=0, atol=2e-6 * scale)


def test_part_of_caption_batch_keeps_all_pictures() -> None:
    batch = CaptionBatch(Views(torch.zeros(4, 3, 8, 8)), torch.arange(4), torch.zeros(6, 4, dtype=torch.int64))
    part = take_rows(batch, 1, 3)
    assert part.views is batch.views
    assert part.owners.tolist() == [1, 2]
    assert part.targets.shape == (6, 2)


def test_part_of_segment_keeps_its_overlap() -> None:
    units = torch.arange(12).view(4, 3)
    part = take_rows(LanguageBatch(units, units + 1, overlap=2), 1, 3)
    assert (part.overlap, part.inputs.tolist()[0], part.reset) == (2, [1, 2], None)


def test_gradients_of_parts_of_streams_add_up(monkeypatch: Any) -> None:
    torch.manual_seed(0)
    model = RecurrentLanguageModel(fill(ModelOptions, {"model": "gru", "hidden": 4}), 5, tie=False).eval()
    units = torch.randint(5, (7, 6))
    targets = units.masked_fill(torch.rand(7, 6) < 0.3, NO_TARGET)  # streams of different lengths
    batch = LanguageBatch(units, targets, overlap=2)
    parts = [take_rows(batch, 0, 2), take_rows(batch, 2, 6)]
    shares = [model.terms(part) / model.terms(batch) for part in parts]
    actual = [gradients(model, part, share) for part, share in zip(parts, shares, strict=True)]
    for total, first, second in zip(gradients(model, batch, 1.0), *actual, strict=True):
        torch.testing.assert_close(first + second, total)


def test_process_without_launcher_is_alone(monkeypatch: Any) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    team = find_team()
    assert isinstance(team, Alone) and team.leads
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert isinstance(find_team(), Alone)


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_bad_timeout_of_ranks_is_refused(seconds: str, monkeypatch: Any) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERIATIM_RANK_TIMEOUT", seconds)
    with pytest.raises(UsageError, match=f"SERIATIM_RANK_TIMEOUT: got '{seconds}', wanted a number of seconds"):
        find_team()


def test_carry_of_process_is_its_own_or_divided_anew() -> None:
    first, second = (torch.full((1, 2, 3), 1.0),), (torch.full((1, 1, 3), 2.0),)
    pair = Pair()  # rank 1 of 2
    assert pair.own_carry((first, second)) is second
    assert pair.own_carry((first, second, second))[0][0, :, 0].tolist() == [2.0, 2.0]
    assert Alone().own_carry((first, second))[0][0, :, 0].tolist() == [1.0, 1.0, 2.0]
    assert pair.own_carry(((), (), ())) == ()


def test_influence_cannot_be_divided() -> None:
    carry = (torch.zeros(1, 2, 3), torch.zeros(2, 3, 7))
    assert Alone().own_carry((carry,)) is carry
    with pytest.raises(TrainingError, match="resume: this learner wants the 2 processes that it began with"):
        Alone().own_carry((carry, carry))


class Pair(Processes):  # type: ignore[misc]
    """A team of two processes that is never joined."""

    def __init__(self) -> None:
        self.rank, self.size = 1, 2


def test_batch_with_fewer_rows_than_processes_has_a_row_without_weight() -> None:
    batch = SequenceBatch(torch.zeros(4, 1), torch.tensor([4]), torch.tensor([0]))
    first, second = Pair(), Pair()
    first.rank = 0
    weights = [team.weight(Terms(), team.rows(batch), batch) for team in (first, second)]
    assert weights == [0.0, 1.0]
    assert all(row_count(team.rows(batch)) == 1 for team in (first, second))


class Terms:
    def terms(self, batch: SequenceBatch) -> float:
        return len(batch.labels)


def test_streams_fewer_than_processes_are_refused() -> None:
    units = torch.zeros(4, 1, dtype=torch.int64)
    with pytest.raises(UsageError, match="batch_size: got 1 streams for 2 processes"):
        Pair().rows(LanguageBatch(units, units))


def test_range_test_is_refused_on_several_processes() -> None:
    options = fill(LearningOptions, {"lr": "find"})
    with pytest.raises(UsageError, match="lr: find does not work on several processes"):
        loop.fit(nn.Linear(1, 1), None, options, NullStore(), Silent(), None, Pair())


def test_average_is_copied_from_the_leader_too(monkeypatch: Any) -> None:
    """Other processors round differently, so that the averages of two processes could differ."""
    copies: list[list[Any]] = []
    monkeypatch.setattr(Alone, "copy_from_leader", lambda team, tensors: copies.append(list(tensors)))
    tokens = torch.arange(24).reshape(8, 3) % 5
    options = fill(LearningOptions, {"average": 0.9, "epochs": 1})
    model = RecurrentLanguageModel(fill(ModelOptions, {"model": "gru", "hidden": 4}), 5, tie=False)
    batches = [LanguageBatch(tokens, tokens)]
    plan = TrainingPlan(lambda number: batches, lambda network: {"valid_nll": 1.0}, "valid_nll")
    loop.fit(model, plan, options, NullStore(), Silent())
    weights = len(model.state_dict())
    assert [len(tensors) for tensors in copies] == [2 * weights, 2 * weights]  # at the start, and before validation


def test_running_statistics_are_those_of_batch_normalisation() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm2d(4, track_running_stats=False))
    mean, variance = running_statistics(model)
    assert mean is model[0].running_mean and variance is model[0].running_var


def test_run_folder_is_wanted_for_several_processes(monkeypatch: Any) -> None:
    with pytest.raises(UsageError, match="out: wanted a run folder, because 2 processes"):
        options_of_ranks(Pair(), {"hidden": 8})
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert options_of_ranks(Pair(), {"out": "run"}) == {"out": "run", "resume": True}
