"""How far a gradient must reach: a sign to be told 50 steps after it was shown, by every rule of ``--learner``.

    python recipes/memory.py [RULE …] [--cell lstm] [--seed N]

Every step shows +1 or -1 at random. One step in 60 is marked, and 50 steps later a second mark asks for the sign that
was marked. Each of 32 rows is an endless stream of such episodes, at another place in it; the state is never reset.
The same network with the same start for every rule: 16 units in one layer, chrono start for 50 steps, Adam 5e-3,
norms clipped to 1. Only the answers have a loss. The score is the share of right ones among the last 1,000, each given
before the weights learned from it; 0.5 is guessing. A rule ends when its last 2,000 answers were 99 % right, after
2,000 episodes in every row, or with its processor seconds.

BPTT and recomputing BPTT take the stream in sequences of 240 steps, each from a state of zeros, without the questions
that were marked before a sequence begins.
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
ENOUGH, LAST, GOOD = 2_000, 1_000, 0.99


@dataclass(frozen=True)
class Rule:
    """A learner, the new steps of its batches, and how many old ones lead up to them."""

    options: LearningOptions
    new: int
    overlap: int = 0

    @property
    def whole(self) -> bool:
        """Whether each batch starts from zeros."""
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
    """What is read [K, B, 3] (value, mark, question), what is wanted, and where a question is asked, [K, B]."""

    inputs: Tensor
    targets: Tensor
    asked: Tensor

    @property
    def units(self) -> int:
        """All steps: most of them have a loss of 0."""
        return self.asked[self.overlap :].numel()


class Memory(StreamModel[Questions]):
    """One recurrent layer, and the logit of "it was +1"."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        self.layer: Any = LAYERS[cell](3, 16)
        if cell in ("lstm", "gru", "mingru", "minlstm"):
            chrono_(self.layer, LAG)
        self.output = nn.Linear(16, 1)

    def answers(self, batch: Questions, carry: Carry) -> tuple[Tensor, Carry]:
        """Logits [K, B] and the state after the batch."""
        states, after = self.layer(batch.inputs, (carry if len(carry) > 1 else carry[0]) if carry else None)
        return self.output(states).squeeze(-1), after if isinstance(after, tuple) else (after,)

    def advance(self, batch: Questions, carry: Carry) -> Carry:
        return self.answers(batch, carry)[1]

    def loss(self, batch: Questions, carry: Carry) -> tuple[Tensor, Carry]:
        logits, after = self.answers(batch, carry)
        return (binary_cross_entropy_with_logits(logits, batch.targets, reduction="none") * batch.asked).mean(), after


def stream(episodes: int, seed: int) -> Questions:
    """Episodes one after another in every row, each row rolled on by its share of an episode."""
    random = np.random.default_rng(seed)
    values = random.choice([-1.0, 1.0], (episodes, EPISODE, ROWS))
    shown = random.integers(0, EPISODE - LAG, (episodes, ROWS))
    episode, row = np.meshgrid(np.arange(episodes), np.arange(ROWS), indexing="ij")
    marks, asked, targets = (np.zeros_like(values) for _ in range(3))
    marks[episode, shown, row] = 1
    asked[episode, shown + LAG, row] = 1
    targets[episode, shown + LAG, row] = values[episode, shown, row] > 0
    every = np.stack([values, marks, asked, targets], -1).reshape(-1, ROWS, 4)
    rolled = [np.roll(every[:, row], -(row * EPISODE // ROWS), 0) for row in range(ROWS)]
    data = torch.from_numpy(np.stack(rolled, 1)).float()
    return Questions(data[..., :3].contiguous(), data[..., 3].contiguous(), data[..., 2].contiguous())


def piece(data: Questions, start: int, rule: Rule) -> Questions:
    """The batch of ``rule`` whose new steps begin at ``start``."""
    first, stop = max(start - rule.overlap, 0), start + rule.new
    asked = data.asked[first:stop].clone()
    if rule.whole:
        asked[:LAG] = 0
    return Questions(data.inputs[first:stop], data.targets[first:stop], asked, overlap=start - first)


def run(rule: Rule, cell: str, seed: int, seconds: float, episodes: int) -> tuple[float, int, int, float]:
    """Train; return the score, the updates, the answers and the seconds."""
    torch.manual_seed(seed)
    learner, model = make_learner(rule.options), Memory(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    data = stream(episodes, seed + 1)
    carry: Carry = ()
    state: Carry = ()
    right: list[bool] = []
    began, updates = time.process_time(), 0
    for start in range(0, data.steps, rule.new):
        batch = piece(data, start, rule)
        now = batch.cut(batch.overlap, batch.steps)
        with torch.no_grad():  # answer, then learn
            logits, state = model.answers(now, () if rule.whole else state)
        right += ((logits > 0) == (now.targets > 0))[now.asked > 0].tolist()
        optimizer.zero_grad()
        _, carry = learner.step(model, batch, carry)
        clip_norm(list(model.parameters()), 1.0)
        optimizer.step()
        updates += 1
        solved = len(right) > ENOUGH and np.mean(right[-ENOUGH:]) > GOOD
        if solved or time.process_time() - began > seconds:
            break
    return float(np.mean(right[-LAST:])), updates, len(right), time.process_time() - began


def main() -> None:
    """Run the rules that are asked for, all but the approximations by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help=", ".join(RULES))
    parser.add_argument("--cell", default="lstm", choices=LAYERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=200.0, help="of processor time for a rule")
    parser.add_argument("--episodes", type=int, default=2000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.rules or [name for name in RULES if name not in ("snap1 10", "uoro 10")]:
        score, updates, answers, used = run(RULES[name], asked.cell, asked.seed, asked.seconds, asked.episodes)
        print(f"{name:<16} {score:.3f}   {updates:,} updates   {answers:,} answers   {used:.0f} s", flush=True)


if __name__ == "__main__":
    main()
