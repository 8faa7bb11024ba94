"""The layers against those of ``torch.nn``, which they stand in for: the same weights, the same input, by turns.

A training step is forward and backward with the gradients of the input and of every weight. Before each one the weights
change in place, as an optimiser changes them, so that nothing is reused that a training loop could not reuse. The
change itself is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from seriatim.bench.pairing import Race, Side, Spread, race
from seriatim.errors import UsageError, nearest
from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.nn.registry import LAYERS
from seriatim.notation import GATES
from seriatim.ops.recurrence import chosen
from seriatim.spec import CellSpec

THEIRS: dict[str, Callable[[int, int], nn.Module]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
MODES = ("train", "infer")
PROBE = 1024
"""Rows and columns of the matrices whose product shows what the machine can do."""


@dataclass(frozen=True)
class Precision:
    """What the weights and the input are kept in, and whether PyTorch chooses the arithmetic."""

    dtype: torch.dtype
    autocast: bool = False

    @property
    def arithmetic(self) -> torch.dtype:
        """What the products are made in."""
        return torch.bfloat16 if self.autocast else self.dtype

    def context(self) -> AbstractContextManager[object]:
        """Autocast where it is asked for: switched off, it would still cost a short call a tenth of its time."""
        return torch.autocast("cpu", torch.bfloat16) if self.autocast else nullcontext()


PRECISIONS = {
    "float32": Precision(torch.float32),
    "float64": Precision(torch.float64),
    "bf16": Precision(torch.bfloat16),
    "autocast": Precision(torch.float32, autocast=True),
}


@dataclass(frozen=True)
class Workload:
    """One layer, one direction, on one batch.

    Raises ``UsageError`` for a cell, a mode or a dtype that does not exist and for a size below 1.
    """

    cell: str
    """``rnn``, ``lstm`` or ``gru``."""
    steps: int
    """T."""
    batch: int
    """B."""
    inputs: int
    """I."""
    hidden: int
    """H."""
    mode: str = "train"
    dtype: str = "float32"
    """A name of ``PRECISIONS``."""
    lengths: bool = False
    """Whether the rows are of different lengths, uniform in [T/4, T], and packed."""

    def __post_init__(self) -> None:
        for name, known in (("cell", tuple(THEIRS)), ("mode", MODES), ("dtype", tuple(PRECISIONS))):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name}: '{value}' is not one of {', '.join(known)}{_guess(value, known)}")
        if min(self.shape) < 1:
            raise UsageError(f"shape: got {','.join(map(str, self.shape))}, wanted four numbers of at least 1: T,B,I,H")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, B, I, H."""
        return self.steps, self.batch, self.inputs, self.hidden

    def row_lengths(self) -> Tensor:
        """Steps of each row, [B]; always the same."""
        if not self.lengths:
            return torch.full((self.batch,), self.steps)
        draw = torch.Generator().manual_seed(1)
        return torch.randint(max(1, self.steps // 4), self.steps + 1, (self.batch,), generator=draw)

    def operations(self) -> float:
        """Multiplications and additions of the matrix products that cannot be avoided; backward has twice as many."""
        once = 2 * len(GATES[self.cell]) * self.hidden * (self.inputs + self.hidden) * int(self.row_lengths().sum())
        return float(once * (3 if self.mode == "train" else 1))


@dataclass(frozen=True)
class Measured:
    """A workload's figures."""

    work: Workload
    threads: int
    seriatim: Spread
    """Seconds per call."""
    torch: Spread
    """Seconds per call."""
    ratio: Spread
    """How many times as fast as ``torch.nn``."""
    peak: float
    """Operations per second that a large matrix product reached just before and after."""

    @property
    def share(self) -> float:
        """What fraction of ``peak`` ours reached."""
        return self.work.operations() / self.seriatim.median / self.peak

    def to_json(self) -> dict[str, Any]:
        work = self.work
        return {
            "cell": work.cell, "shape": list(work.shape), "mode": work.mode, "dtype": work.dtype,
            "lengths": work.lengths, "threads": self.threads, "seriatim": self.seriatim.to_json(),
            "torch": self.torch.to_json(), "ratio": self.ratio.to_json(), "share_of_matmul": self.share,
        }  # fmt: skip


def measure(work: Workload, *, threads: int, seconds: float = 2.0, at_least: int = 5) -> Measured:
    """Time one workload on both sides, with ``threads`` threads."""
    with using_threads(threads):
        arithmetic = PRECISIONS[work.dtype].arithmetic
        peak = matmul_peak(arithmetic)
        found: Race = race(contestants(work), seconds=seconds, at_least=at_least)
        peak = max(peak, matmul_peak(arithmetic))
    return Measured(
        work, threads, found.seconds("seriatim"), found.seconds("torch"), found.ratio("seriatim", "torch"), peak
    )


def contestants(work: Workload) -> dict[str, Side]:
    """Make the layers of both sides, with equal weights, and what a call of each does."""
    torch.manual_seed(0)
    dtype = PRECISIONS[work.dtype].dtype
    theirs = THEIRS[work.cell](work.inputs, work.hidden).to(dtype)
    ours = LAYERS[work.cell](work.inputs, work.hidden).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return {"seriatim": side(ours, work), "torch": side(theirs, work)}


def side(layer: nn.Module, work: Workload, scale: float = 1.0) -> Side:
    """What one call of ``layer`` on ``work`` is; the input is drawn from a normal distribution of width ``scale``."""
    torch.manual_seed(1)
    precision = PRECISIONS[work.dtype]
    x = (scale * torch.randn(work.steps, work.batch, work.inputs)).to(precision.dtype)
    given: Tensor | PackedSequence = x
    if work.lengths:
        given = pack_padded_sequence(x, work.row_lengths(), enforce_sorted=False)
    if work.mode == "infer":
        return _inference(layer.eval(), given, precision)
    return _training(layer.train(), given, precision)


def values(given: Tensor | PackedSequence) -> Tensor:
    """The numbers of a padded or packed batch."""
    return given.data if isinstance(given, PackedSequence) else given


def changing(weights: list[nn.Parameter]) -> None:
    """Forget the gradients, and change the weights in place as an optimiser would, by next to nothing."""
    with torch.no_grad():
        for weight in weights:
            weight.grad = None
            weight.mul_(1 - 1e-6)


def matmul_peak(dtype: torch.dtype, repeats: int = 5) -> float:
    """Operations per second that ``torch.mm`` of two large matrices reaches, the best of a few.

    It stands for the peak of the multiply-add units, which it comes near to and does not reach.
    """
    left, right = (torch.ones(PROBE, PROBE, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return 2 * PROBE**3 / best


def runs_on(work: Workload) -> str:
    """Tell what runs the recurrence of ``work`` on our side, and the instruction set where it is the native engine."""
    spec = CellSpec(work.cell, work.inputs, work.hidden)
    walk = Walk(lengths=work.row_lengths()) if work.lengths else Walk()
    name = chosen(spec, torch.empty(work.shape[:3], dtype=PRECISIONS[work.dtype].dtype), walk).name
    return f"{name} {native.target()}" if name == "native" else name


def torch_version() -> str:
    """PyTorch's version."""
    return str(torch.__version__)


def default_threads() -> int:
    """How many threads PyTorch uses when nobody says."""
    return torch.get_num_threads()


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let PyTorch, and so the recurrence, use ``count`` threads inside a ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def padded(work: Workload) -> Workload:
    """The same workload with every row as long as the longest can be."""
    return replace(work, lengths=False)


def _training(layer: nn.Module, given: Tensor | PackedSequence, precision: Precision) -> Side:
    x = values(given).requires_grad_()
    if isinstance(given, PackedSequence):
        given = given._replace(data=x)
    weights = list(layer.parameters())
    with precision.context():
        gradient = torch.randn_like(values(layer(given)[0]).detach())

    def prepare() -> None:
        changing(weights)
        x.grad = None

    def run() -> None:
        with precision.context():
            output = values(layer(given)[0])
        output.backward(gradient)  # type: ignore[no-untyped-call]

    return Side(run, prepare)


def _inference(layer: nn.Module, given: Tensor | PackedSequence, precision: Precision) -> Side:
    def run() -> None:
        with torch.no_grad(), precision.context():
            layer(given)

    return Side(run)


def _guess(value: str, known: tuple[str, ...]) -> str:
    suggestion = nearest(value, known)
    return suggestion if "did you mean" in suggestion else ""
