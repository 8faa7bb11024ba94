"""Options of ``train forecast``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import LEARNERS, schedule
from seriatim.models.options import NETWORKS
from seriatim.options import AUTO, count, option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import TrainOptions

START_OF_NEW_RUNS = {"start": AUTO}
WINDOWS_OF_NEW_RUNS = {"valid_windows": AUTO}
"""The defaults of new runs. The defaults of the class are those of runs whose config lacks the option."""
FORECAST_BASELINES = ("naive", "seasonal_naive", "drift", "ar", "theta", "ets")


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(TrainOptions):
    """Options of ``train forecast``."""

    model: str = option("lstm", "network or baseline", choices=NETWORKS + FORECAST_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(False, "not available: a forecaster must not read the future")
    # The validation part has one horizon per series, so a few validations without improvement prove little.
    patience: int = option(10, "validations without improvement before training stops", minimum=1)
    schedule: str = schedule("cosine")
    learner: str = option(
        "bptt", "how gradients through time are computed; recompute needs --strategy recursive", choices=LEARNERS
    )
    target: tuple[str, ...] = option((), "columns to forecast: a,b")
    horizon: int = option(1, "number of steps to forecast", minimum=1)
    lookback: int | None = option(
        None, "number of past steps that the model reads (default: fits the shortest series)", minimum=1
    )
    time: str | None = option(None, "column of time stamps (default: rows are in order of time)")
    date_format: str | None = option(None, "format of the dates in --time, such as %d/%m/%Y, if it is ambiguous")
    id: str | None = option(None, "column that identifies each series")
    covariates: tuple[str, ...] = option((), "other numeric columns to read: a,b")
    season: int = option(1, "number of steps per season", minimum=1)
    missing: str = option("error", "what to do with missing values and gaps", choices=("error", "interpolate", "mask"))
    origins: int = option(1, "number of last origins from which the test part is forecast", minimum=1)
    valid_windows: int | str = option(
        1,
        "number of horizons in the validation part, which is forecast from each of its origins; auto: as many as fit "
        "into an eighth of the rows before the test part (default: auto, 1 for baselines)",
        minimum=1,
        parse=count,
    )
    split: tuple[int, ...] = option((), "numbers of rows of train,valid,test, for benchmarks that fix them", minimum=1)
    strategy: str = option(
        "direct", "direct: forecast the whole horizon at once; recursive: step by step", choices=("direct", "recursive")
    )
    start: str = option(
        "seasonal_naive",
        "direct: the forecast that the network adds to, the seasonal naive one or a fitted ar; auto: the one that "
        "validates better (default: auto)",
        choices=(AUTO, "seasonal_naive", "ar"),
    )
    segment: int = option(
        1,
        "direct: steps that make one input of a recurrent network, and that it forecasts at once (Lin 2023), for long "
        "windows; 1 is none",
        minimum=1,
    )
    normalize: str = option(
        "window", "window: scale each window by its own mean and deviation", choices=("window", "none")
    )
    lags: int | None = option(None, "ar: number of lags (default: chosen by BIC)", minimum=1)
    header: bool = option(True, "the table has no header: columns are numbered from 1", negative="no-header")
