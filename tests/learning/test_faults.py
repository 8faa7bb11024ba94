"""A fault is said when it starts, once."""

from __future__ import annotations

import pytest

from seriatim.learning.faults import starting_faults
from seriatim.learning.options import LearningOptions

SOUND = {
    "train_loss": 1.0, "gradient_norm": 0.5, "gradient_norm/a": 0.3, "update_ratio/a": 1e-3, "saturated/a": 0.2,
}  # fmt: skip
FAULTS = {
    "saturated and passes": ({"saturated/a": 0.7}, {}),
    "changes the weights of a by 30 %": ({"update_ratio/a": 0.3}, {}),
    "no gradient reaches a": ({"gradient_norm/a": 0.0}, {}),
    "try --clip 1": ({"gradient_norm": 70.0}, {"clip": 0.0}),
    "more than the 1 of the first": ({"train_loss": 1.2}, {}),
}


@pytest.mark.parametrize("text", FAULTS)
def test_fault_is_said_when_it_starts_and_not_again(text: str) -> None:
    change, options = FAULTS[text]
    settings = LearningOptions(lr=1e-2, **options)
    faulty = {**SOUND, **change}
    assert starting_faults([SOUND, SOUND], settings) == []
    (line,) = starting_faults([SOUND, faulty], settings)
    assert text in line and "try --" in line and "\n" not in line
    assert starting_faults([SOUND, faulty, faulty], settings) == []
    assert len(starting_faults([SOUND, faulty, SOUND, faulty], settings)) == 1


def test_clipped_bursts_are_no_fault() -> None:
    assert starting_faults([SOUND, {**SOUND, "gradient_norm": 70.0}], LearningOptions(clip=1.0)) == []


def test_first_row_may_have_large_updates() -> None:
    """Weights that begin at zero are changed by all of their size."""
    assert starting_faults([{**SOUND, "update_ratio/a": 1.0}], LearningOptions()) == []


def test_small_updates_are_said_at_the_first_validation() -> None:
    """Later, or during a warm-up, the rate may be small for good reason."""
    slow = {**SOUND, "update_ratio/a": 1e-6}
    (line,) = starting_faults([slow], LearningOptions(lr=1e-6))
    assert "try --lr 0.0001" in line
    assert starting_faults([slow], LearningOptions(warmup=100)) == []
    assert starting_faults([SOUND, slow], LearningOptions()) == []
