"""The options of each task: the words of the command line and of ``seriatim.train``; one file per task."""

from seriatim.tasks.options.classify import CLASSIFY_BASELINES, ClassifyOptions
from seriatim.tasks.options.common import UNITS, TrainOptions
from seriatim.tasks.options.forecast import FORECAST_BASELINES, ForecastOptions
from seriatim.tasks.options.language import LANGUAGE_BASELINES, LanguageOptions

__all__ = [
    "CLASSIFY_BASELINES",
    "FORECAST_BASELINES",
    "LANGUAGE_BASELINES",
    "UNITS",
    "ClassifyOptions",
    "ForecastOptions",
    "LanguageOptions",
    "TrainOptions",
]
