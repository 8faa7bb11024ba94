"""Training on several processes: each computes the gradient of its rows of a batch, and all apply their sum.

``torchrun`` starts the processes and gives each a rank. Every process makes the same batches and takes its own rows, in
the order of the ranks. The gradients are added by one collective call of ``torch.distributed`` for each update, so all
processes have the same weights. Rank 0 decides whatever depends on a clock or a score, and it alone writes.
"""

from __future__ import annotations

import atexit
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, final

import torch
from torch import Tensor
from torch import distributed as dist

from seriatim.errors import TrainingError, UsageError
from seriatim.models.contract import BatchT, Carry, Segment, Trainable
from seriatim.models.rows import row_count, take_rows

ValueT = TypeVar("ValueT")

TIMEOUT = 300.0
"""Seconds that a process waits for the others. ``SERIATIM_RANK_TIMEOUT`` overrides it. It must be longer than a
validation, because the other ranks wait for rank 0 there."""


class Team(ABC):
    """The processes of one training."""

    rank: int
    """The number of this process."""
    size: int
    """The number of processes."""
    on_checkpoint: Callable[[], object] | None = None
    """Each process calls it after rank 0 has stored a checkpoint."""

    @abstractmethod
    def rows(self, batch: BatchT) -> BatchT:
        """Return this process's rows of ``batch``; one row, if there are fewer rows than processes.

        Raises ``UsageError`` for a segment with fewer streams than processes, since a stream stays on its process.
        """

    @abstractmethod
    def weight(self, model: Trainable[BatchT], rows: BatchT, batch: BatchT) -> float:
        """Return the share of ``rows`` in the mean loss of ``batch``. Rows that another process has too have none."""

    @abstractmethod
    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Replace the values of ``tensors`` by those of rank 0. Processors of different kinds round differently."""

    @abstractmethod
    def seed_own_draws(self) -> None:
        """Give PyTorch's random generator a seed of its own on each rank but 0, for dropout."""

    @abstractmethod
    def add_gradients(
        self,
        parameters: Sequence[torch.nn.Parameter],
        weight: float,
        values: Sequence[float],
        statistics: Sequence[Tensor] = (),
    ) -> list[float]:
        """Replace each gradient by the sum of ``weight`` · gradient over all processes.

        The tensors of ``statistics``, the running means and variances of batch normalisation, are averaged with the
        same weights. Returns the sums of ``values`` over all processes, in float32.
        """

    @abstractmethod
    def decide(self, choose: Callable[[], ValueT]) -> ValueT:
        """Return what ``choose`` returns on rank 0. The others do not call it."""

    @abstractmethod
    def gather(self, value: ValueT) -> list[ValueT]:
        """Return the values of all processes in the order of their ranks on rank 0, and an empty list elsewhere."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until all processes call this method, however long that takes."""

    @property
    def leads(self) -> bool:
        """Whether this process is rank 0."""
        return self.rank == 0

    def own_carry(self, carries: Sequence[Carry]) -> Carry:
        """Return the carry of this process, from those of all processes that wrote a checkpoint.

        Another number of processes divides the rows anew. Raises ``TrainingError`` where a carry has more than the
        states [L, B, H]: the influence of RTRL and its approximations cannot be divided like this.
        """
        if len(carries) == self.size:
            return carries[self.rank]
        if any(len(part) != len(carry[0]) or part.ndim != 3 for carry in carries for part in carry):
            raise TrainingError(f"resume: this learner wants the {len(carries)} processes that it began with")
        joined = tuple(torch.cat(parts, dim=1) for parts in zip(*carries, strict=True))
        if not joined:
            return ()
        start, stop = _range(self.rank, self.size, joined[0].shape[1])
        return tuple(part[:, start:stop].contiguous() for part in joined)


@final
class Alone(Team):
    """One process, as usual."""

    rank, size = 0, 1

    def rows(self, batch: BatchT) -> BatchT:
        return batch

    def weight(self, model: Trainable[BatchT], rows: BatchT, batch: BatchT) -> float:
        return 1.0

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        pass

    def seed_own_draws(self) -> None:
        pass

    def add_gradients(
        self,
        parameters: Sequence[torch.nn.Parameter],
        weight: float,
        values: Sequence[float],
        statistics: Sequence[Tensor] = (),
    ) -> list[float]:
        return list(values)

    def decide(self, choose: Callable[[], ValueT]) -> ValueT:
        return choose()

    def gather(self, value: ValueT) -> list[ValueT]:
        return [value]

    def wait(self) -> None:
        pass


@final
class Processes(Team):
    """The processes of the default group of ``torch.distributed``."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._patient = dist.new_group(timeout=timedelta(days=30), backend="gloo")
        self._launcher = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None

    def rows(self, batch: BatchT) -> BatchT:
        count = row_count(batch)
        if isinstance(batch, Segment) and count < self.size:
            raise UsageError(
                f"batch_size: got {count} streams for {self.size} processes, wanted at least one stream for each"
            )
        start, stop = _range(self.rank, self.size, count)
        return take_rows(batch, start, stop) if start < stop else take_rows(batch, 0, 1)

    def weight(self, model: Trainable[BatchT], rows: BatchT, batch: BatchT) -> float:
        start, stop = _range(self.rank, self.size, row_count(batch))
        return model.terms(rows) / (model.terms(batch) or 1.0) if start < stop else 0.0

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        with self._talking():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def seed_own_draws(self) -> None:
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def add_gradients(
        self,
        parameters: Sequence[torch.nn.Parameter],
        weight: float,
        values: Sequence[float],
        statistics: Sequence[Tensor] = (),
    ) -> list[float]:
        # One buffer, in the order of the parameters: the order of the sums is the same in each update and after a
        # resume. A flag for each parameter says whether any process has a gradient of it.
        has_gradient = [0.0 if parameter.grad is None else 1.0 for parameter in parameters]
        gradients = [
            torch.zeros(parameter.numel()) if parameter.grad is None else parameter.grad.flatten() * weight
            for parameter in parameters
        ]
        averages = [tensor.flatten() * weight for tensor in statistics]
        buffer = torch.cat([*gradients, *averages, torch.tensor([*has_gradient, *values])])
        with self._talking():
            dist.all_reduce(buffer)
        sizes = [tensor.numel() for tensor in (*parameters, *statistics)]
        *sums, flags, totals = torch.split(buffer, [*sizes, len(parameters), len(values)])
        count = len(parameters)
        for parameter, total, flag in zip(parameters, sums[:count], flags.tolist(), strict=True):
            if flag:
                parameter.grad = total.view_as(parameter)
        for tensor, total in zip(statistics, sums[count:], strict=True):
            tensor.copy_(total.view_as(tensor))
        return [float(total) for total in totals]

    def decide(self, choose: Callable[[], ValueT]) -> ValueT:
        box: list[Any] = [choose() if self.leads else None]
        with self._talking():
            dist.broadcast_object_list(box)
        value: ValueT = box[0]
        return value

    def gather(self, value: ValueT) -> list[ValueT]:
        boxes: list[Any] | None = [None] * self.size if self.leads else None
        with self._talking():
            dist.gather_object(value, boxes)
        return boxes or []

    def wait(self) -> None:
        with self._talking():
            dist.barrier(self._patient)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Raise ``TrainingError`` if ``torchrun`` or another process has ended, or one does not answer in time."""
        if self._launcher not in (None, os.getppid()):
            raise TrainingError(f"rank {self.rank}: torchrun has ended; start it again with --resume")
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(f"rank {self.rank}: another process has ended or does not answer ({reason})") from error


def running_statistics(model: torch.nn.Module) -> list[Tensor]:
    """Return the running means and variances of the batch normalisations in ``model``."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._NormBase)]
    tensors = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)]
    return [tensor for tensor in tensors if tensor is not None]


def find_team() -> Team:
    """Return the team of this process: ``Alone``, unless ``torchrun`` or another launcher started several processes.

    A launcher is recognised by the variables ``RANK``, ``WORLD_SIZE`` and ``MASTER_ADDR``, or by a group of
    ``torch.distributed`` that exists already.
    """
    if not dist.is_available():
        return Alone()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) < 2 or not {"RANK", "MASTER_ADDR"} <= os.environ.keys():
            return Alone()
        _join()
    return Processes() if dist.get_world_size() > 1 else Alone()


def _join() -> None:
    """Make the default group of ``torch.distributed`` from the launcher's variables.

    The store of ``torchrun`` outlives a restart. It still has the addresses of the ended processes, to which
    ``init_process_group`` alone would connect (seen with PyTorch 2.13). Each start therefore has its own prefix.
    """
    timeout = _timeout()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    leads = rank == 0 and not has_store
    store = dist.TCPStore(address, port, size, is_master=leads, timeout=timeout)  # type: ignore[attr-defined]
    prefixed = dist.PrefixStore(f"seriatim/{_restarts()}", store)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=prefixed, rank=rank, world_size=size, timeout=timeout)
    atexit.register(_leave)


def _timeout() -> timedelta:
    """Return the time that a process waits for the others. Raises ``UsageError`` for a bad variable."""
    text = os.environ.get("SERIATIM_RANK_TIMEOUT") or str(TIMEOUT)
    try:
        seconds = float(text)
        if not 0 < seconds < 1e9:
            raise ValueError
    except ValueError:
        raise UsageError(f"SERIATIM_RANK_TIMEOUT: got '{text}', wanted a number of seconds above 0") from None
    return timedelta(seconds=seconds)


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def was_restarted() -> bool:
    """Whether ``torchrun`` has started the processes again after a failure."""
    return _restarts() > 0


def threads_per_process() -> int:
    """Return the number of threads for each of the processes that share this machine."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)


def _range(rank: int, size: int, rows: int) -> tuple[int, int]:
    """Return the first row of ``rank``, and the row after its last."""
    return rows * rank // size, rows * (rank + 1) // size


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
