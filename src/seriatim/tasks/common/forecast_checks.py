"""Options of ``forecast`` that contradict each other."""

from __future__ import annotations

from seriatim.errors import UsageError
from seriatim.models.options import CELLS, check_causal, is_recurrent, is_streaming
from seriatim.tasks.options import ForecastOptions


def check_forecast(options: ForecastOptions) -> None:
    """Refuse options that contradict each other. Raises ``UsageError``."""
    if options.bidirectional:
        raise UsageError("bidirectional: a forecaster must not see what it predicts")
    check_causal(options)
    if options.strategy == "recursive" and not is_streaming(options.model):
        raise UsageError(
            f"strategy: recursive goes on from a state, and {options.model} has none; direct reads a window"
        )
    if options.strategy == "recursive" and options.start != "seasonal_naive":
        raise UsageError(f"start: {options.start} is for --strategy direct; recursive adds to the last value")
    if options.segment > 1 and options.strategy == "recursive":
        raise UsageError("segment: for --strategy direct; recursive reads and forecasts step by step")
    if options.segment > 1 and not is_recurrent(options.model):
        raise UsageError(f"segment: for {', '.join(CELLS)}, not {options.model}")
    if options.learner not in ("bptt", "recompute"):
        raise UsageError(
            f"learner: {options.learner} goes on from batch to batch, but each window of a forecast starts anew; "
            "take bptt, or recompute with --strategy recursive"
        )
    if options.learner == "recompute" and options.strategy != "recursive":
        raise UsageError(
            "learner: recompute wants a loss at every step, as --strategy recursive has it; direct has one at the end"
        )
    if options.split and len(options.split) != 3:
        raise UsageError(f"split: got {len(options.split)} numbers, wanted rows of train,valid,test")
    if options.split and options.origins > 1:
        raise UsageError("origins: --split already rolls over every origin of its test rows; leave one out")
    if options.split and options.valid_windows != 1:
        raise UsageError("valid_windows: --split already fixes the rows of the validation part; leave one out")
    if options.valid or options.test:
        raise UsageError("valid, test: a forecast is split in time; give one file, and --origins or --split")
    shared = set(options.target) & set(options.covariates)
    if shared:
        raise UsageError(f"covariates: '{min(shared)}' is a target as well; a target's past is always read")
