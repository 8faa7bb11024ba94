"""What can be asked of each task: the words of the command line and of ``seriatim.train``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import SCHEDULES, LearningOptions
from seriatim.models.options import CELLS, ModelOptions
from seriatim.options import option

LANGUAGE_BASELINES = ("unigram", "markov", "cbow", "window")
CLASSIFY_BASELINES = ("majority", "bag")
FORECAST_BASELINES = ("naive", "seasonal_naive", "drift", "ar")
UNITS = ("char", "word", "bpe")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions, LearningOptions):
    """Options of every ``train``."""

    valid: str | None = option(None, "validation file, used as it is")
    test: str | None = option(None, "test file, used as it is")
    out: str | None = option(None, "run folder (default: runs/TASK-MODEL-N)")
    resume: bool = option(False, "go on from the checkpoint in --out")
    baselines: str = option(
        "all", "naive models to train beside: fast leaves out the neural ones", choices=("all", "fast", "none")
    )
    quiet: bool = option(False, "no progress")


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(TrainOptions):
    """Options of ``train language``."""

    model: str = option("lstm", "cell of the network, or a baseline", choices=CELLS + LANGUAGE_BASELINES)
    bidirectional: bool = option(False, "not for language: the future is what it predicts")
    hidden: int = option(256, "hidden units per layer", minimum=1)
    learner: str = option("tbptt", "gradient through time", choices=("tbptt",))
    lr: float = option(2e-3, "learning rate at the start", above=0.0, below=1e10)
    unit: str = option("char", "what one step reads", choices=UNITS)
    vocab_size: int | None = option(
        None, "keep the commonest units, the rest is <unk> (default: all; bpe: 4096)", minimum=2
    )
    tie: bool = option(False, "share the embedding with the output layer (Press & Wolf 2017); embedding = hidden")
    restart: float = option(
        0.05, "chance per stream and update that the carried state starts anew at zero", minimum=0.0, below=1.0
    )
    order: int | None = option(None, "markov: units of context, at most 8 (default: chosen on validation)", minimum=0)
    context: int = option(5, "cbow, window: units of context", minimum=1)


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(TrainOptions):
    """Options of ``train classify``."""

    model: str = option("lstm", "cell of the network, or a baseline", choices=CELLS + CLASSIFY_BASELINES)
    dropout: float = option(0.3, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    learner: str = option("bptt", "gradient through time", choices=("bptt",))
    text: str | None = option(None, "column of the text")
    label: str | None = option(None, "column of the label")
    channels: tuple[str, ...] = option((), "numeric columns, one row per step: a,b,c")
    id: str | None = option(None, "column that tells sequences apart, with --channels")
    time: str | None = option(None, "column to order a sequence's rows by (default: as they stand)")
    group: str | None = option(None, "column whose equal values stay on one side of the split")
    drop_duplicates: bool = option(False, "drop repeated inputs before splitting")
    header: bool = option(True, "columns are numbers from 1", negative="no-header")
    unit: str = option("word", "what one step of a text reads", choices=UNITS)
    vocab_size: int | None = option(
        None, "keep the commonest units, the rest is <unk> (default: 20000; bpe: 4096)", minimum=2
    )
    pool: str = option("max", "how the states become one vector", choices=("last", "mean", "max"))


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(TrainOptions):
    """Options of ``train forecast``."""

    model: str = option("lstm", "cell of the network, or a baseline", choices=CELLS + FORECAST_BASELINES)
    bidirectional: bool = option(False, "not for forecast: the future is what it predicts")
    # The validation part is one horizon per series: too little to judge a few validations by.
    patience: int = option(10, "validations without improvement before training stops", minimum=1)
    schedule: str = option(
        "constant", "how the learning rate falls; cosine and linear need --epochs", choices=SCHEDULES
    )
    learner: str = option("bptt", "gradient through time", choices=("bptt",))
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
