"""Timing of one recurrent layer against its counterpart in ``torch.nn``, with equal weights and input, by turns.

A training step is a forward and a backward pass with the gradients of the input and of all weights. Before each step
the weights change in place, as under an optimiser, so that nothing is reused that a training loop could not reuse. The
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

from seriatim.bench.paired_timing import Race, Side, Spread, race
from seriatim.errors import UsageError, nearest
from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.nn.registry import LAYERS
from seriatim.notation import GATES
from seriatim.ops.recurrence import chosen
from seriatim.spec import CellSpec

TORCH_LAYERS: dict[str, Callable[[int, int], nn.Module]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
MODES = ("train", "infer")
PROBE = 1024
"""Rows and columns of the matrices whose product shows the machine's speed."""


@dataclass(frozen=True)
class Precision:
    """The type of the weights and the input, and whether PyTorch's autocast chooses the arithmetic."""

    dtype: torch.dtype
    autocast: bool = False

    @property
    def arithmetic(self) -> torch.dtype:
        """The type of the factors of the matrix products."""
        return torch.bfloat16 if self.autocast else self.dtype

    def context(self) -> AbstractContextManager[object]:
        """Autocast, or nothing at all: autocast that is switched off still costs a short call a tenth of its time."""
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
        for name, choices in (("cell", tuple(TORCH_LAYERS)), ("mode", MODES), ("dtype", tuple(PRECISIONS))):
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name}: '{value}' is not one of {', '.join(choices)}{_guess(value, choices)}")
        if min(self.shape) < 1:
            raise UsageError(f"shape: got {','.join(map(str, self.shape))}, wanted four numbers of at least 1: T,B,I,H")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, B, I, H."""
        return self.steps, self.batch, self.inputs, self.hidden

    def row_lengths(self) -> Tensor:
        """Steps of each row, [B]. Every call returns the same lengths."""
        if not self.lengths:
            return torch.full((self.batch,), self.steps)
        draw = torch.Generator().manual_seed(1)
        return torch.randint(max(1, self.steps // 4), self.steps + 1, (self.batch,), generator=draw)

    def operations(self) -> float:
        """Multiplications and additions of the unavoidable matrix products. Backward needs twice as many as forward."""
        forward = 2 * len(GATES[self.cell]) * self.hidden * (self.inputs + self.hidden) * int(self.row_lengths().sum())
        return float(forward * (3 if self.mode == "train" else 1))


@dataclass(frozen=True)
class Measurement:
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
    """Operations per second of a large matrix product, measured just before and after."""

    @property
    def share(self) -> float:
        """The fraction of ``peak`` that Seriatim's layer reached."""
        return self.work.operations() / self.seriatim.median / self.peak

    def to_json(self) -> dict[str, Any]:
        work = self.work
        return {
            "cell": work.cell, "shape": list(work.shape), "mode": work.mode, "dtype": work.dtype,
            "lengths": work.lengths, "threads": self.threads, "seriatim": self.seriatim.to_json(),
            "torch": self.torch.to_json(), "ratio": self.ratio.to_json(), "share_of_matmul": self.share,
        }  # fmt: skip


def measure(work: Workload, *, threads: int, seconds: float = 2.0, min_rounds: int = 5) -> Measurement:
    """Time one workload with both layers, with ``threads`` threads."""
    with using_threads(threads):
        arithmetic = PRECISIONS[work.dtype].arithmetic
        peak = matmul_peak(arithmetic)
        result: Race = race(layer_sides(work), seconds=seconds, min_rounds=min_rounds)
        peak = max(peak, matmul_peak(arithmetic))
    return Measurement(
        work, threads, result.seconds("seriatim"), result.seconds("torch"), result.ratio("seriatim", "torch"), peak
    )


def layer_sides(work: Workload) -> dict[str, Side]:
    """Return a ``Side`` for Seriatim's layer and one for PyTorch's, with equal weights."""
    torch.manual_seed(0)
    dtype = PRECISIONS[work.dtype].dtype
    torch_layer = TORCH_LAYERS[work.cell](work.inputs, work.hidden).to(dtype)
    own_layer = LAYERS[work.cell](work.inputs, work.hidden).to(dtype)
    own_layer.load_state_dict(torch_layer.state_dict())
    return {"seriatim": side(own_layer, work), "torch": side(torch_layer, work)}


def side(layer: nn.Module, work: Workload, scale: float = 1.0) -> Side:
    """Return one call of ``layer`` on ``work``. The input is normally distributed with deviation ``scale``."""
    torch.manual_seed(1)
    precision = PRECISIONS[work.dtype]
    x = (scale * torch.randn(work.steps, work.batch, work.inputs)).to(precision.dtype)
    inputs: Tensor | PackedSequence = x
    if work.lengths:
        inputs = pack_padded_sequence(x, work.row_lengths(), enforce_sorted=False)
    if work.mode == "infer":
        return _inference(layer.eval(), inputs, precision)
    return _training(layer.train(), inputs, precision)


def batch_values(inputs: Tensor | PackedSequence) -> Tensor:
    """The values of a padded or packed batch."""
    return inputs.data if isinstance(inputs, PackedSequence) else inputs


def change_weights(weights: list[nn.Parameter]) -> None:
    """Delete the gradients and change the weights in place, as an optimiser would, by a negligible amount."""
    with torch.no_grad():
        for weight in weights:
            weight.grad = None
            weight.mul_(1 - 1e-6)


def matmul_peak(dtype: torch.dtype, repeats: int = 5) -> float:
    """Measure the operations per second of ``torch.mm`` on two large matrices, and return the best of ``repeats``.

    The value is somewhat lower than the true peak of the processor's multiply-add units.
    """
    left, right = (torch.ones(PROBE, PROBE, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return 2 * PROBE**3 / best


def implementation_name(work: Workload) -> str:
    """Name the implementation that runs ``work`` in Seriatim, with the instruction set if it is the native engine."""
    spec = CellSpec(work.cell, work.inputs, work.hidden)
    walk = Walk(lengths=work.row_lengths()) if work.lengths else Walk()
    name = chosen(spec, torch.empty(work.shape[:3], dtype=PRECISIONS[work.dtype].dtype), walk).name
    return f"{name} {native.target()}" if name in ("eager", "native") else name


def torch_version() -> str:
    """PyTorch's version."""
    return str(torch.__version__)


def default_threads() -> int:
    """Return the number of threads that PyTorch uses by default."""
    return torch.get_num_threads()


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let PyTorch and the engine use ``count`` threads inside a ``with`` block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


def without_lengths(work: Workload) -> Workload:
    """Return the same workload with all rows of full length."""
    return replace(work, lengths=False)


def _training(layer: nn.Module, inputs: Tensor | PackedSequence, precision: Precision) -> Side:
    x = batch_values(inputs).requires_grad_()
    if isinstance(inputs, PackedSequence):
        inputs = inputs._replace(data=x)
    weights = list(layer.parameters())
    with precision.context():
        gradient = torch.randn_like(batch_values(layer(inputs)[0]).detach())

    def prepare() -> None:
        change_weights(weights)
        x.grad = None

    def run() -> None:
        with precision.context():
            output = batch_values(layer(inputs)[0])
        output.backward(gradient)  # type: ignore[no-untyped-call]

    return Side(run, prepare)


def _inference(layer: nn.Module, inputs: Tensor | PackedSequence, precision: Precision) -> Side:
    def run() -> None:
        with torch.no_grad(), precision.context():
            layer(inputs)

    return Side(run)


def _guess(value: str, choices: tuple[str, ...]) -> str:
    suggestion = nearest(value, choices)
    return suggestion if "did you mean" in suggestion else ""
