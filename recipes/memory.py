"""How far a gradient must reach: a sign is shown and asked for 50 steps later; every learner of ``--learner`` tries.

    python recipes/memory.py [RULE …] [--cell lstm] [--seed N]

Every step shows +1 or -1 at random. One step in 60 is marked, and 50 steps later a second mark asks for the marked
sign. Each of 32 rows is an endless stream of such episodes, shifted against the others. The state is never reset.
Every rule trains the same network from the same initial weights: 16 units in one layer, chrono initialisation for 50
steps, Adam 5e-3, gradient norms clipped to 1. Only the answers have a loss. The score is the share of correct answers
among the last 1,000, each given before the weights learned from it; guessing scores 0.5. A rule stops when its last
2,000 answers were 99 % correct, after 2,000 episodes in every row, or when its processor time is used up.

BPTT and recomputing BPTT read the stream in sequences of 240 steps, each from a zero state. Questions whose marked step
lies before the sequence are left out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from seriatim.learning.clipping import clip_norm
from seriatim.learning.learners import make_learner
from seriatim.learning.options import LearningOptions
from seriatim.models.contract import Carry, Segment, StreamModel
from seriatim.nn.initialisation import chrono_
from seriatim.nn.registry import LAYERS

LAG, EPISODE, ROWS, SEQUENCE = 50, 60, 32, 240
MIN_ANSWERS, SCORED_ANSWERS, SOLVED = 2_000, 1_000, 0.99


@dataclass(frozen=True)
class Rule:
    """A learner, the number of new steps in its batches, and the number of old steps before them."""

    options: LearningOptions
    new: int
    overlap: int = 0

    @property
    def starts_from_zero(self) -> bool:
        """Whether each batch starts from a zero state."""
        return self.options.learner in ("bptt", "recompute")


def truncated(k1: int, k2: int) -> Rule:
    """TBPTT(k1, k2)."""
    return Rule(LearningOptions(learner="tbptt", truncation=(k1, k2)), k1, k2 - k1)


RULES = {
    "bptt": Rule(LearningOptions(learner="bptt"), SEQUENCE),
    "tbptt 10,20": truncated(10, 20),
    "tbptt 20,20": truncated(20, 20),
    "tbptt 10,60": truncated(10, 60),
    "tbptt 60,60": truncated(60, 60),
    "recompute 500kB": Rule(LearningOptions(learner="recompute", memory=5e5), SEQUENCE),
    "recompute 1MB": Rule(LearningOptions(learner="recompute", memory=1e6), SEQUENCE),
    "rtrl 10": Rule(LearningOptions(learner="rtrl"), 10),
    "snap1 10": Rule(LearningOptions(learner="snap1"), 10),
    "uoro 10": Rule(LearningOptions(learner="uoro"), 10),
}


@dataclass(frozen=True)
class Questions(Segment):
    """Inputs [K, B, 3] (value, mark, question), targets [K, B], and whether a question is asked [K, B]."""

    inputs: Tensor
    targets: Tensor
    is_question: Tensor

    @property
    def units(self) -> int:
        """The number of all steps; most of them have a loss of 0."""
        return self.is_question[self.overlap :].numel()


class Memory(StreamModel[Questions]):
    """One recurrent layer, with the logit of "it was +1"."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        self.layer: Any = LAYERS[cell](3, 16)
        if cell in ("lstm", "gru", "mingru", "minlstm"):
            chrono_(self.layer, LAG)
        self.output = nn.Linear(16, 1)

    def answers(self, batch: Questions, carry: Carry) -> tuple[Tensor, Carry]:
        """Logits [K, B] and the final state."""
        states, final_state = self.layer(batch.inputs, (carry if len(carry) > 1 else carry[0]) if carry else None)
        return self.output(states).squeeze(-1), final_state if isinstance(final_state, tuple) else (final_state,)

    def advance(self, batch: Questions, carry: Carry) -> Carry:
        return self.answers(batch, carry)[1]

    def loss(self, batch: Questions, carry: Carry) -> tuple[Tensor, Carry]:
        logits, final_state = self.answers(batch, carry)
        losses = binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
        return (losses * batch.is_question).mean(), final_state


def stream(episodes: int, seed: int) -> Questions:
    """Episodes one after another in every row; each row is shifted by another part of an episode."""
    random = np.random.default_rng(seed)
    values = random.choice([-1.0, 1.0], (episodes, EPISODE, ROWS))
    marked_step = random.integers(0, EPISODE - LAG, (episodes, ROWS))
    episode, row = np.meshgrid(np.arange(episodes), np.arange(ROWS), indexing="ij")
    marks, is_question, targets = (np.zeros_like(values) for _ in range(3))
    marks[episode, marked_step, row] = 1
    is_question[episode, marked_step + LAG, row] = 1
    targets[episode, marked_step + LAG, row] = values[episode, marked_step, row] > 0
    steps = np.stack([values, marks, is_question, targets], -1).reshape(-1, ROWS, 4)
    shifted = [np.roll(steps[:, row], -(row * EPISODE // ROWS), 0) for row in range(ROWS)]
    data = torch.from_numpy(np.stack(shifted, 1)).float()
    return Questions(data[..., :3].contiguous(), data[..., 3].contiguous(), data[..., 2].contiguous())


def batch_at(data: Questions, start: int, rule: Rule) -> Questions:
    """The batch of ``rule`` whose new steps begin at ``start``."""
    first, stop = max(start - rule.overlap, 0), start + rule.new
    is_question = data.is_question[first:stop].clone()
    if rule.starts_from_zero:
        is_question[:LAG] = 0
    return Questions(data.inputs[first:stop], data.targets[first:stop], is_question, overlap=start - first)


def run(rule: Rule, cell: str, seed: int, seconds: float, episodes: int) -> tuple[float, int, int, float]:
    """Train; returns the score and the numbers of updates, answers and seconds."""
    torch.manual_seed(seed)
    learner, model = make_learner(rule.options), Memory(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    data = stream(episodes, seed + 1)
    carry: Carry = ()
    state: Carry = ()
    correct: list[bool] = []
    began, updates = time.process_time(), 0
    for start in range(0, data.steps, rule.new):
        batch = batch_at(data, start, rule)
        new_steps = batch.cut(batch.overlap, batch.steps)
        with torch.no_grad():  # answer before learning
            logits, state = model.answers(new_steps, () if rule.starts_from_zero else state)
        correct += ((logits > 0) == (new_steps.targets > 0))[new_steps.is_question > 0].tolist()
        optimizer.zero_grad()
        _, carry = learner.step(model, batch, carry)
        clip_norm(list(model.parameters()), 1.0)
        optimizer.step()
        updates += 1
        solved = len(correct) > MIN_ANSWERS and np.mean(correct[-MIN_ANSWERS:]) > SOLVED
        if solved or time.process_time() - began > seconds:
            break
    return float(np.mean(correct[-SCORED_ANSWERS:])), updates, len(correct), time.process_time() - began


def main() -> None:
    """Run the rules of the command line; by default all except the approximations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help=", ".join(RULES))
    parser.add_argument("--cell", default="lstm", choices=LAYERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=200.0, help="processor time for a rule")
    parser.add_argument("--episodes", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.rules or [name for name in RULES if name not in ("snap1 10", "uoro 10")]:
        score, updates, answers, seconds = run(
            RULES[name], options.cell, options.seed, options.seconds, options.episodes
        )
        print(f"{name:<16} {score:.3f}   {updates:,} updates   {answers:,} answers   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
