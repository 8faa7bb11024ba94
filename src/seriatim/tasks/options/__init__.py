"""The options of each task, for the command line and for ``seriatim.train``; one file per task."""

from seriatim.tasks.options.caption import CAPTION_BASELINES, CaptionOptions
from seriatim.tasks.options.classify import CLASSIFY_BASELINES, ClassifyOptions
from seriatim.tasks.options.forecast import FORECAST_BASELINES, ForecastOptions
from seriatim.tasks.options.language import LANGUAGE_BASELINES, LANGUAGE_DEFAULTS, LanguageOptions
from seriatim.tasks.options.regress import REGRESS_BASELINES, RegressOptions
from seriatim.tasks.options.sequence import SequenceOptions
from seriatim.tasks.options.subwords import SubwordOptions
from seriatim.tasks.options.tag import TAG_BASELINES, TAG_DEFAULTS, TagOptions
from seriatim.tasks.options.train import UNITS, TextOptions, TrainOptions
from seriatim.tasks.options.translate import TRANSLATE_BASELINES, TRANSLATE_DEFAULTS, TranslateOptions
from seriatim.tasks.options.writing import DECODING_OPTIONS, WritingOptions

__all__ = [
    "CAPTION_BASELINES",
    "CLASSIFY_BASELINES",
    "DECODING_OPTIONS",
    "FORECAST_BASELINES",
    "LANGUAGE_BASELINES",
    "LANGUAGE_DEFAULTS",
    "REGRESS_BASELINES",
    "TAG_BASELINES",
    "TAG_DEFAULTS",
    "TRANSLATE_BASELINES",
    "TRANSLATE_DEFAULTS",
    "UNITS",
    "CaptionOptions",
    "ClassifyOptions",
    "ForecastOptions",
    "LanguageOptions",
    "RegressOptions",
    "SequenceOptions",
    "SubwordOptions",
    "TagOptions",
    "TextOptions",
    "TrainOptions",
    "TranslateOptions",
    "WritingOptions",
]
