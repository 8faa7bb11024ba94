"""Models of piano rolls: nothing ahead is seen, silence behind an end does not count, chances are by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from seriatim.models.naive.note_chances import NoteFrequencies, NoteTransitions
from seriatim.models.options import STREAMING
from seriatim.models.roll import RollBatch, RollModel
from seriatim.tasks.options import LanguageOptions

K = 5
LENGTHS = torch.tensor([7, 1, 4])
NOTES = (torch.rand(7, 3, K, generator=torch.Generator().manual_seed(1)) < 0.4).float()
BATCH = RollBatch(NOTES, LENGTHS)

every_case = pytest.mark.parametrize("model", STREAMING)


def make(model: str) -> RollModel:
    torch.manual_seed(0)
    return RollModel(replace(LanguageOptions(), model=model, hidden=8, layers=2), K).eval()


@every_case
def test_padding_changes_nothing(model: str) -> None:
    network = make(model)
    together = network.losses(BATCH)
    assert (together[torch.arange(7)[:, None] >= LENGTHS] == 0).all()
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network.losses(RollBatch(NOTES[:length, row : row + 1], LENGTHS[row : row + 1]))
        torch.testing.assert_close(alone[:, 0], together[:length, row], rtol=1e-5, atol=1e-5)


@every_case
def test_step_is_predicted_from_earlier_steps(model: str) -> None:
    network, changed = make(model), NOTES.clone()
    changed[3, 0] = 1 - changed[3, 0]
    original, changed_losses = network.losses(BATCH), network.losses(RollBatch(changed, LENGTHS))
    torch.testing.assert_close(original[:3], changed_losses[:3])
    torch.testing.assert_close(original[:, 1:], changed_losses[:, 1:])
    assert (original[3:, 0] != changed_losses[3:, 0]).all()


@every_case
@torch.no_grad()
def test_single_steps_equal_whole_run(model: str) -> None:
    network, piece = make(model), NOTES[:, :1]
    carry: tuple[torch.Tensor, ...] = ()
    last, joint = torch.zeros(1, 1, K), 0.0
    for step in piece:
        logits, carry = network(last, carry)
        joint += float(functional.binary_cross_entropy_with_logits(logits[0], step, reduction="sum"))
        last = step[None]
    whole = network.losses(RollBatch(piece, LENGTHS[:1])).sum()
    assert joint == pytest.approx(float(whole), rel=1e-4)


def test_loss_is_mean_over_steps_of_sum_over_notes() -> None:
    network = make("gru")
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.zero_()
    loss, carry = network.loss(BATCH, ())
    assert float(loss.detach()) == pytest.approx(K * np.log(2)) and carry == ()
    assert BATCH.units == 12


def test_frequencies_and_transitions_by_hand() -> None:
    piece = np.array([[1, 0], [1, 1], [0, 1]], np.uint8)
    frequencies, transitions = NoteFrequencies(2), NoteTransitions(2)
    frequencies.fit([piece])
    transitions.fit([piece])
    np.testing.assert_allclose(frequencies.chances, [[2.5 / 4, 2.5 / 4]] * 2)
    np.testing.assert_allclose(transitions.chances, [[1.5 / 2, 1.5 / 3], [1.5 / 3, 1.5 / 2]])
    assert frequencies.log_probability(piece) == pytest.approx(2 * (2 * np.log(0.625) + np.log(0.375)))
    assert transitions.log_probability(piece) == pytest.approx(2 * np.log(0.75) + 4 * np.log(0.5))
    np.testing.assert_allclose(transitions.step(np.array([1, 0])), [0.5, 0.5])
    again = NoteTransitions(2)
    again.load_state_dict(transitions.state_dict())
    assert again.log_probability(piece) == transitions.log_probability(piece)
    with pytest.raises(ValueError, match="chances: got"):
        again.load_state_dict({"chances": np.zeros((2, 3))})


@pytest.mark.parametrize("kind", [NoteFrequencies, NoteTransitions])
def test_probabilities_sum_to_one_over_all_pieces(kind: type[NoteTransitions] | type[NoteFrequencies]) -> None:
    model = kind(2)
    model.fit([np.array([[1, 0], [1, 1], [0, 1]], np.uint8)])
    steps = [np.array([a, b]) for a in (0, 1) for b in (0, 1)]
    assert sum(np.exp(model.log_probability(np.stack([one, two]))) for one in steps for two in steps) == pytest.approx(
        1
    )
