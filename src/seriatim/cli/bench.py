"""``seriatim bench``: timing of the layers against PyTorch's, on the user's machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from seriatim.cli.output import Json, TextTable, say, show, write_json
from seriatim.errors import UsageError
from seriatim.learning.observer import ProgressStream
from seriatim.percent import percent

if TYPE_CHECKING:
    from seriatim.bench.layer_timing import Measurement
    from seriatim.bench.paired_timing import Spread

EXAMPLE = "seriatim bench --cell gru --shape 100,32,128,128 --threads 2"

SHAPES = ("100,32,128,128", "35,20,650,650", "100,1,64,64")
"""Typical shapes of a classifier, a language model and a single stream."""


def bench(
    cell: Annotated[str, typer.Option(metavar="rnn|lstm|gru", help="cell of the layer")] = "lstm",
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="T,B,I,H", help="steps, batch, inputs and hidden units; can be repeated"),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(metavar="train|infer", help="train: forward and backward; infer: forward only (default: both)"),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="float32|float64|bf16|autocast",
            help="type of weights and input; autocast: PyTorch's mixture of float32 and bfloat16",
        ),
    ] = "float32",
    lengths: Annotated[
        bool, typer.Option("--lengths", help="packed sequences, with lengths uniform between T/4 and T")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="CPU threads (default: as PyTorch chooses)")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="NUMBER", help="time for each figure")] = 2.0,
    json: Json = False,
) -> None:
    """Time a recurrent layer against PyTorch's, by turns in one process, with equal weights and input."""
    shapes = [_sizes(text) for text in shape or SHAPES]
    if threads is not None and threads < 1:
        raise UsageError(f"--threads: got {threads}, wanted at least 1")
    if not seconds > 0:
        raise UsageError(f"--seconds: got {seconds:g}, wanted more than 0")
    from seriatim.bench import layer_timing as timing

    try:
        works = [
            timing.Workload(cell, *sizes, mode=work_mode, dtype=dtype, lengths=lengths)
            for sizes in shapes
            for work_mode in ((mode,) if mode else timing.MODES)
        ]
    except UsageError as error:
        raise UsageError(f"--{error}") from None
    count = threads or timing.default_threads()
    measurements = []
    for work in works:
        ProgressStream().write(f"measuring {cell} {','.join(map(str, work.shape))} {work.mode}\n")
        measurements.append(timing.measure(work, threads=count, seconds=seconds))
    facts = {"runs_on": timing.implementation_name(works[0]), "threads": count, "torch": timing.torch_version()}
    if json:
        write_json({**facts, "results": [measurement.to_json() for measurement in measurements]})
        return
    _show(measurements)
    say()
    say(f"seriatim runs on {facts['runs_on']}, torch {facts['torch']}, {count} thread{'s' * (count > 1)}, {dtype}")
    say("medians [quartiles]; ratio: how many times as fast as torch.nn, round by round")
    say("share: operations per second, relative to torch.mm of two large matrices measured at the same time")


def _sizes(text: str) -> tuple[int, int, int, int]:
    if not re.fullmatch(r"\s*\d+(\s*,\s*\d+){3}\s*", text):
        raise UsageError(f"--shape: got '{text}', wanted four whole numbers T,B,I,H")
    steps, batch, inputs, hidden = (int(size) for size in text.split(","))
    return steps, batch, inputs, hidden


def _show(measurements: list[Measurement]) -> None:
    columns = ("shape", "mode", "seriatim ms", "torch ms", "ratio", "share")
    rows = [
        (
            ",".join(map(str, measurement.work.shape)),
            measurement.work.mode,
            _spread(measurement.seriatim, 1e3),
            _spread(measurement.torch, 1e3),
            _spread(measurement.ratio, 1.0),
            percent(measurement.share),
        )
        for measurement in measurements
    ]
    show(TextTable(columns, rows, numeric=frozenset(columns[2:])))


def _spread(spread: Spread, scale: float) -> str:
    median, low, high = (f"{value * scale:.3g}" for value in (spread.median, spread.low, spread.high))
    return f"{median} [{low} {high}]"
