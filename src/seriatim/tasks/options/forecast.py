"""Options of ``train forecast``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import LEARNERS, SCHEDULES
from seriatim.models.options import NETWORKS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import TrainOptions

FORECAST_BASELINES = ("naive", "seasonal_naive", "drift", "ar")


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(TrainOptions):
    """Options of ``train forecast``."""

    model: str = option("lstm", "network, or a baseline", choices=NETWORKS + FORECAST_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(False, "not for forecast: the future is what it predicts")
    # The validation part is one horizon per series: too little to judge a few validations by.
    patience: int = option(10, "validations without improvement before training stops", minimum=1)
    schedule: str = option(
        "constant", "how the learning rate falls; cosine and linear need --epochs", choices=SCHEDULES
    )
    learner: str = option("bptt", "gradient through time; with --strategy recursive also recompute", choices=LEARNERS)
    target: tuple[str, ...] = option((), "column or columns to forecast: a,b")
    horizon: int = option(1, "steps to forecast", minimum=1)
    lookback: int | None = option(None, "steps that the model sees (default: fits the shortest series)", minimum=1)
    time: str | None = option(None, "column of time stamps (default: rows are in order)")
    id: str | None = option(None, "column that tells series apart")
    covariates: tuple[str, ...] = option((), "further numeric columns to read: a,b")
    season: int = option(1, "steps per season", minimum=1)
    missing: str = option("error", "what to do with missing values and gaps", choices=("error", "interpolate", "mask"))
    origins: int = option(1, "roll the test over this many last origins", minimum=1)
    split: tuple[int, ...] = option((), "rows of train,valid,test, for benchmarks that fix them", minimum=1)
    strategy: str = option("direct", "the whole horizon at once, or step by step", choices=("direct", "recursive"))
    normalize: str = option(
        "window", "scale each window by its own mean and deviation, or not", choices=("window", "none")
    )
    lags: int | None = option(None, "ar: lags (default: chosen by BIC)", minimum=1)
    header: bool = option(True, "columns are numbers from 1", negative="no-header")
