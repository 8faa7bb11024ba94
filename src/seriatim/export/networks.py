"""Describes whole networks: what reads the input, the body, and the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from seriatim.errors import UsageError
from seriatim.export.bodies import Described, affine, array, describe_body, describe_layers
from seriatim.export.branch import describe_branch
from seriatim.export.ensembles import FORMS, describe_ensemble
from seriatim.export.writing import describe_captioner, describe_transformer, describe_translator
from seriatim.models.adaptive_softmax import AdaptiveSoftmax
from seriatim.models.captioner import Captioner
from seriatim.models.classifier import Bag, RecurrentClassifier
from seriatim.models.forecaster import DirectForecaster, RecursiveForecaster
from seriatim.models.language import RecurrentLanguageModel
from seriatim.models.lstm_fcn import LstmFcn
from seriatim.models.naive.captions import MostCommonCaption, NearestImage
from seriatim.models.naive.constant import ConstantRegression
from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.naive.majority import Majority
from seriatim.models.naive.markov import Markov
from seriatim.models.naive.nearest_sequence import NearestSequence
from seriatim.models.naive.nearest_text import CopySource
from seriatim.models.naive.note_chances import NoteChances
from seriatim.models.naive.perceptron import PerceptronTagger
from seriatim.models.naive.rocket import RocketClassifier, RocketRegression
from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.models.naive.summary import SummaryRegression
from seriatim.models.naive.tfidf import TextModel
from seriatim.models.regressor import Regressor
from seriatim.models.roll import RollModel
from seriatim.models.seq2seq import RecurrentSeq2Seq
from seriatim.models.subwords import SubwordVectors
from seriatim.models.tagger import CHARACTER_WIDTH, WINDOW, ConvolutionalSpelling, RecurrentSpelling, Tagger
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.models.window import ConcatenatedWindow, ContinuousBag
from seriatim.nn.pooling import POOLINGS, Pooling

NAIVE = (Markov, Majority, ConstantRegression, NoteChances, MostFrequentTag, PerceptronTagger, StatisticalForecaster,
         CopySource, MostCommonCaption, NearestImage, TextModel, NearestSequence, RocketClassifier, RocketRegression,
         SummaryRegression)  # fmt: skip
"""The naive models that have a runtime."""


def describe(model: Any) -> Described:
    """Describe a fitted model. A naive model has only arrays: those of its ``state_dict``.

    Raises ``UsageError`` for a model that has no runtime.
    """
    if isinstance(model, NAIVE):
        return {}, {name: np.asarray(values) for name, values in model.state_dict().items()}
    if type(model) in FORMS:
        return describe_ensemble(model.eval(), describe)
    if not isinstance(model, nn.Module) or type(model) not in DESCRIBERS:
        raise UsageError(f"export: no runtime for {type(model).__name__} yet")
    description, arrays = DESCRIBERS[type(model)](model.eval())
    return {"network": description}, arrays


def _language(model: RecurrentLanguageModel) -> Described:
    width = model.embedding.embedding_dim
    body, arrays = describe_body(model.stack)
    arrays |= {"embedding": array(model.embedding.weight)}
    if isinstance(model.output, AdaptiveSoftmax):
        raise UsageError("export: the runtime has no adaptive softmax; train with --softmax full to export")
    weight, bias = model.head()
    is_tied = model.output is None
    if not is_tied:
        arrays["head.weight"] = array(weight)
    assert bias is not None
    arrays["head.bias"] = array(bias)
    return {"embedding_size": width, "tied": is_tied, "body": body}, arrays


def _window(model: ContinuousBag | ConcatenatedWindow) -> Described:
    width = model.embedding.embedding_dim
    body = {"type": "bag", "input_size": width, "context": model.context}
    arrays = {"embedding": array(model.embedding.weight), **affine("head", model.output)}
    if isinstance(model, ConcatenatedWindow):
        body |= {"type": "window", "hidden_size": model.hidden.out_features}
        arrays |= affine("body", model.hidden)
    return {"embedding_size": width, "tied": False, "body": body}, arrays


def _roll(model: RollModel) -> Described:
    body, arrays = describe_body(model.stack)
    return {"body": body}, arrays | affine("head", model.output)


def _classifier(model: RecurrentClassifier) -> Described:
    description, arrays = _reader(model.reader)
    subwords, subword_arrays = _subwords(model.subwords)
    body, body_arrays = describe_body(model.stack)
    return (
        {**description, **subwords, "pool": _pool_name(model.pool), "body": body},
        {**arrays, **subword_arrays, **body_arrays, **affine("head", model.output)},
    )


def _lstm_fcn(model: LstmFcn) -> Described:
    body, body_arrays = describe_body(model.stack)
    branch, branch_arrays = describe_branch(model.branch)
    return (
        {"pool": _pool_name(model.pool), "body": body, "branch": branch},
        {**body_arrays, **branch_arrays, **affine("head", model.output)},
    )


def _bag(model: Bag) -> Described:
    description, arrays = _reader(model.reader)
    return {**description, "pool": "mean"}, {**arrays, **affine("head", model.output)}


def _reader(reader: nn.Module) -> Described:
    """The description and the weights of the embedding; numbers have none."""
    if not isinstance(reader, nn.Embedding):
        return {}, {}
    return {"embedding_size": reader.embedding_dim}, {"embedding": array(reader.weight)}


def _subwords(model: SubwordVectors | None) -> Described:
    """The mark and the vectors of n-grams, if the network reads them."""
    return ({}, {}) if model is None else ({"subwords": True}, {"subwords": array(model.weight)})


def _pool_name(pool: Pooling) -> str:
    return next(name for name, function in POOLINGS.items() if function is pool)


def _tagger(model: Tagger) -> Described:
    width = model.embeddings.embedding_dim
    arrays = {"embedding": array(model.embeddings.weight), **affine("head", model.output)}
    subwords, subword_arrays = _subwords(model.subwords)
    description: dict[str, Any] = {"embedding_size": width, **subwords, "crf": model.crf is not None}
    arrays |= subword_arrays
    spelling = model.spelling
    if spelling is not None:
        part: dict[str, Any] = {"embedding_size": CHARACTER_WIDTH, "output_size": spelling.output_size}
        if isinstance(spelling, RecurrentSpelling):
            body, layers = describe_layers(spelling.layer, "spelling")
            part |= {"type": "birnn", "body": body}
            arrays |= layers
        else:
            assert isinstance(spelling, ConvolutionalSpelling)
            part |= {"type": "cnn", "window": WINDOW}
            arrays["spelling.filters.weight"] = array(spelling.filters.weight)
            assert spelling.filters.bias is not None
            arrays["spelling.filters.bias"] = array(spelling.filters.bias)
        arrays["spelling.embedding"] = array(spelling.embedding.weight)
        description["spelling"] = part
    if model.crf is not None:
        arrays |= {f"crf.{name}": array(getattr(model.crf, name)) for name in ("start", "end", "transitions")}
    body, body_arrays = describe_body(model.body)
    return description | {"body": body}, arrays | body_arrays


def _forecaster(model: DirectForecaster | RecursiveForecaster) -> Described:
    is_flat = isinstance(model, DirectForecaster) and model.flat
    body, arrays = describe_body(model.stack)
    description: dict[str, Any] = {"flat": is_flat, "body": body}
    if isinstance(model, DirectForecaster) and model.start is not None and model.start.is_used:
        description["start"] = "ar"
        arrays |= {f"start.{name}": values for name, values in model.start.arrays().items()}
    if isinstance(model, DirectForecaster) and model.segments is not None:
        segments = model.segments
        description["segment"] = {"steps": segments.segment, "input_size": segments.size}
        arrays |= {**affine("segment", segments.affine), "segment.positions": array(segments.positions)}
    return description, arrays | affine("head", model.output)


DESCRIBERS: Mapping[type, Callable[[Any], Described]] = {
    RecurrentLanguageModel: _language,
    ContinuousBag: _window,
    ConcatenatedWindow: _window,
    RollModel: _roll,
    RecurrentClassifier: _classifier,
    LstmFcn: _lstm_fcn,
    Bag: _bag,
    Regressor: lambda model: DESCRIBERS[type(model.network)](model.network),
    Tagger: _tagger,
    DirectForecaster: _forecaster,
    RecursiveForecaster: _forecaster,
    RecurrentSeq2Seq: describe_translator,
    TransformerSeq2Seq: describe_transformer,
    Captioner: describe_captioner,
}
"""The function that describes each network."""
