"""``seriatim bench``: the layers against PyTorch's, on the user's own machine and shapes."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from seriatim.cli.output import Json, Table, say, show, write_json
from seriatim.errors import UsageError

if TYPE_CHECKING:
    from seriatim.bench.layer_timing import Measurement
    from seriatim.bench.paired_timing import Spread

EXAMPLE = "seriatim bench --cell gru --shape 100,32,128,128 --threads 2"

SHAPES = ("100,32,128,128", "35,20,650,650", "100,1,64,64")
"""A classifier's, a language model's and a single stream's."""


def bench(
    cell: Annotated[str, typer.Option(metavar="rnn|lstm|gru", help="cell of the layer")] = "lstm",
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="T,B,I,H", help="steps, batch, inputs and hidden units; may be given several times"),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="train|infer", help="forward and backward, or forward alone (default: both)"),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="float32|float64|bf16|autocast",
            help="of weights and input; autocast: PyTorch's own mixing of float32 and bfloat16",
        ),
    ] = "float32",
    lengths: Annotated[
        bool, typer.Option("--lengths", help="packed sequences, their lengths uniform between T/4 and T")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="CPU threads (default: PyTorch's own choice)")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="NUMBER", help="time for each figure")] = 2.0,
    json: Json = False,
) -> None:
    """Time a recurrent layer beside PyTorch's, by turns in one process, with equal weights and input."""
    shapes = [_sizes(one) for one in shape or SHAPES]
    if threads is not None and threads < 1:
        raise UsageError(f"--threads: got {threads}, wanted at least 1")
    if not seconds > 0:
        raise UsageError(f"--seconds: got {seconds:g}, wanted more than 0")
    from seriatim.bench import layer_timing as timing

    try:
        works = [
            timing.Workload(cell, *sizes, mode=one, dtype=dtype, lengths=lengths)
            for sizes in shapes
            for one in ((mode,) if mode else timing.MODES)
        ]
    except UsageError as error:
        raise UsageError(f"--{error}") from None
    count = threads or timing.default_threads()
    measured = []
    for work in works:
        sys.stderr.write(f"measuring {cell} {','.join(map(str, work.shape))} {work.mode}\n")
        measured.append(timing.measure(work, threads=count, seconds=seconds))
    facts = {"runs_on": timing.implementation_name(works[0]), "threads": count, "torch": timing.torch_version()}
    if json:
        write_json({**facts, "results": [one.to_json() for one in measured]})
        return
    _tell(measured)
    say()
    say(f"seriatim runs on {facts['runs_on']}, torch {facts['torch']}, {count} thread{'s' * (count > 1)}, {dtype}")
    say("medians [quartiles]; ratio: how many times as fast as torch.nn, round by round")
    say("share: of the operations per second that torch.mm of two large matrices reached beside it")


def _sizes(text: str) -> tuple[int, int, int, int]:
    if not re.fullmatch(r"\s*\d+(\s*,\s*\d+){3}\s*", text):
        raise UsageError(f"--shape: got '{text}', wanted four whole numbers T,B,I,H")
    steps, batch, inputs, hidden = (int(one) for one in text.split(","))
    return steps, batch, inputs, hidden


def _tell(measured: list[Measurement]) -> None:
    columns = ("shape", "mode", "seriatim ms", "torch ms", "ratio", "share")
    rows = [
        (
            ",".join(map(str, one.work.shape)),
            one.work.mode,
            _spread(one.seriatim, 1e3),
            _spread(one.torch, 1e3),
            _spread(one.ratio, 1.0),
            f"{one.share:.0%}",
        )
        for one in measured
    ]
    show(Table(columns, rows, numeric=frozenset(columns[2:])))


def _spread(found: Spread, scale: float) -> str:
    median, low, high = (f"{value * scale:.3g}" for value in (found.median, found.low, found.high))
    return f"{median} [{low} {high}]"
