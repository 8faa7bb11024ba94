"""What can be asked of training."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import duration, option

LEARNERS = ("bptt", "tbptt")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "plateau", "cosine", "linear")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class LearningOptions:
    """Options of the training loop, the same for every task."""

    epochs: int | None = option(
        None, "passes over the training data (default: until the validation score stops improving)", minimum=1
    )
    time_limit: float | None = option(
        None,
        "stop training after this long: 90s, 10m, 2h (default: 10m, none with --epochs)",
        above=0.0,
        parse=duration,
    )
    patience: int = option(3, "validations without improvement before training stops", minimum=1)
    batch_size: int = option(32, "sequences, windows or streams per update", minimum=1)
    optimizer: str = option("adam", "update rule", choices=OPTIMIZERS)
    lr: float = option(1e-3, "learning rate at the start", above=0.0, below=1e10)
    schedule: str = option("plateau", "how the learning rate falls; cosine and linear need --epochs", choices=SCHEDULES)
    weight_decay: float = option(0.0, "weight decay (decoupled with adamw)", minimum=0.0)
    clip: float = option(1.0, "clip the gradient's global norm to this; 0 is off", minimum=0.0)
    learner: str = option("bptt", "gradient through time", choices=LEARNERS)
    truncation: int = option(100, "tbptt: steps between updates, and how far back the gradient goes", minimum=1)
    precision: str = option("fp32", "arithmetic of the forward and backward pass", choices=PRECISIONS)
    threads: int | None = option(None, "CPU threads (default: PyTorch's own choice)", minimum=1)
    seed: int = option(0, "seed of every random choice", minimum=0, below=2**32)
    checkpoint_every: int = option(
        500, "updates between checkpoints; one is also written at each validation", minimum=1
    )
