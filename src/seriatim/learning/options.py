"""The options of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seriatim.errors import UsageError
from seriatim.options import FIND, duration, option, rate, size

LEARNERS = ("bptt", "tbptt", "recompute", "rtrl", "snap1", "uoro")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "plateau", "cosine", "linear")
PRECISIONS = ("fp32", "bf16")


def learning_rate(default: float, others: str = "") -> Any:
    """Return the option ``lr``. ``find`` means the rate with the steepest fall in a range test (Smith 2017).

    ``others`` names models that have another default, for the help.
    """
    text = f"learning rate at the start{f' ({others})' if others else ''}; {FIND} picks it by a range test"
    return option(default, text, above=0.0, below=1e10, parse=rate)


def schedule(default: str) -> Any:
    """Return the option ``schedule``."""
    return option(
        default,
        "how the learning rate falls; cosine and linear reach zero at the end of --epochs, or else of --time-limit",
        choices=SCHEDULES,
    )


@dataclass(frozen=True, kw_only=True)
class LearningOptions:
    """Options of the training loop, the same for every task."""

    epochs: int | None = option(
        None, "passes over the training data (default: until the validation score stops improving)", minimum=1
    )
    time_limit: float | None = option(
        None,
        "stop training after this long: 90s, 10m, 2h; the baselines that are trained share as much again (default: "
        "10m, none with --epochs)",
        above=0.0,
        parse=duration,
    )
    patience: int = option(3, "validations without improvement before training stops", minimum=1)
    batch_size: int = option(32, "sequences, windows or streams per update", minimum=1)
    optimizer: str = option("adam", "update rule", choices=OPTIMIZERS)
    lr: float | str = learning_rate(1e-3)
    schedule: str = schedule("plateau")
    warmup: int = option(
        0, "updates over which the learning rate rises to --lr (default: 0; transformer 200)", minimum=0
    )
    weight_decay: float = option(0.0, "weight decay (decoupled with adamw)", minimum=0.0)
    average: float = option(
        0.0,
        "decay of a moving average of the weights, such as 0.999, which is kept where it validates better; 0 is none",
        minimum=0.0,
        below=1.0,
    )
    clip: float = option(1.0, "clip the gradient's global norm to this; 0 is off", minimum=0.0)
    clip_value: float = option(0.0, "then clip each number of the gradient to this; 0 is off", minimum=0.0)
    learner: str = option("bptt", "gradient through time", choices=LEARNERS)
    truncation: tuple[int, ...] = option(
        (100,),
        "k1,k2: an update every k1 steps, by a gradient that goes k2 steps back (k2: tbptt only); k1 alone is k1,k1 "
        "(default: 100)",
        minimum=1,
    )
    memory: float = option(
        1e9, "recompute, rtrl: bytes that a gradient may take, as 500MB or 2GB", minimum=1.0, parse=size
    )
    precision: str = option("fp32", "arithmetic of the forward and backward pass", choices=PRECISIONS)
    threads: int | None = option(None, "CPU threads (default: PyTorch's own choice)", minimum=1)
    seed: int = option(0, "seed of every random choice", minimum=0, below=2**32)
    checkpoint_every: int = option(
        500, "updates between checkpoints; one is also written at each validation", minimum=1
    )

    @property
    def rate(self) -> float:
        """``lr`` as a number. Raises ``UsageError`` if it is ``find``, which only a training loop can resolve."""
        if isinstance(self.lr, str):
            raise UsageError(f"lr: got '{self.lr}', wanted a number: only a training on complete data can find one")
        return self.lr


def truncation_of(options: LearningOptions) -> tuple[int, int]:
    """Return k1 and k2 of ``truncation``. Raises ``UsageError`` for more than two numbers or none."""
    if not 1 <= len(options.truncation) <= 2:
        text = ",".join(map(str, options.truncation))
        raise UsageError(f"truncation: got '{text}', wanted k1,k2 or one number for both")
    if options.truncation[0] != options.truncation[-1] and options.learner not in ("tbptt", "bptt"):
        raise UsageError(f"truncation: k2 is for tbptt, not {options.learner}; give k1 alone")
    return options.truncation[0], options.truncation[-1]
