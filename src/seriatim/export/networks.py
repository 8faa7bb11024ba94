"""Describes whole networks: what reads the input, the body, and the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from seriatim.errors import UsageError
from seriatim.export.bodies import Described, affine, array, describe_body
from seriatim.models.language import RecurrentLanguageModel
from seriatim.models.roll import RollModel
from seriatim.models.window import ConcatenatedWindow, ContinuousBag


def describe(model: Any) -> Described:
    """Describe a fitted model. A naive model has only arrays: those of its ``state_dict``.

    Raises ``UsageError`` for a model that has no runtime.
    """
    if not isinstance(model, nn.Module):
        return {}, {name: np.asarray(values) for name, values in model.state_dict().items()}
    if type(model) not in DESCRIBERS:
        raise UsageError(f"export: no runtime for {type(model).__name__} yet")
    description, arrays = DESCRIBERS[type(model)](model.eval())
    return {"network": description}, arrays


def _language(model: RecurrentLanguageModel) -> Described:
    width = model.embedding.embedding_dim
    body, arrays = describe_body(model.stack, width)
    arrays |= {"embedding": array(model.embedding.weight)}
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
    body, arrays = describe_body(model.stack, model.output.out_features)
    return {"body": body}, arrays | affine("head", model.output)


DESCRIBERS: Mapping[type, Callable[[Any], Described]] = {
    RecurrentLanguageModel: _language,
    ContinuousBag: _window,
    ConcatenatedWindow: _window,
    RollModel: _roll,
}
"""The function that describes each network."""
