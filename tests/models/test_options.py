"""Each model has its own options, and refuses other models' options."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest

from seriatim.errors import UsageError
from seriatim.models.options import (
    CELL_OF,
    CELLS,
    DEFAULTS,
    FORWARD_MODE,
    LINEAR,
    NETWORKS,
    OWN,
    SEQUENCE_NETWORKS,
    ModelOptions,
    check_cell,
    defaults_of,
)
from seriatim.options import fill
from seriatim.tasks.options import TrainOptions

OTHER: dict[str, Any] = {
    "activation": "relu",
    "recurrent_init": "uniform",
    "forget_bias": 0.0,
    "bidirectional": True,
    "chrono": 9,
    "reset_gate": "before",
    "peephole": True,
    "coupled": True,
    "projection": 7,
    "layer_norm": True,
    "zoneout": 0.1,
    "recurrent_dropout": 0.1,
    "weight_drop": 0.1,
    "residual": "highway",
    "convolution": 4,
    "heads": 2,
    "span": 7,
    "positions": "sinusoidal",
    "kernel": 5,
}


def test_every_model_specific_option_has_a_case() -> None:
    assert OTHER.keys() == OWN.keys()


@pytest.mark.parametrize("model", SEQUENCE_NETWORKS)
@pytest.mark.parametrize("name", OWN)
def test_option_of_another_model_is_refused(name: str, model: str) -> None:
    cell = CELL_OF.get(model, model)
    needed = {"residual": "block"} if name == "convolution" and cell in CELLS else {}
    options = replace(ModelOptions(), model=model, **{name: OTHER[name]}, **needed)
    if cell in OWN[name]:
        check_cell(options)
    else:
        with pytest.raises(UsageError, match=f"{name}: for {', '.join(OWN[name])}, not {model}"):
            check_cell(options)


def test_convolution_is_a_part_of_blocks() -> None:
    for residual in ("none", "residual"):
        with pytest.raises(UsageError, match="convolution: only with --residual block"):
            check_cell(replace(ModelOptions(), model="mingru", residual=residual, convolution=4))


def test_heads_must_divide_the_hidden_units_evenly() -> None:
    check_cell(replace(ModelOptions(), model="transformer", hidden=24, heads=4))
    for hidden in (10, 12):  # 12 / 4 is odd, and positions turn pairs
        message = f"heads: got 4 for {hidden} hidden units, wanted a number that divides them into an even number each"
        with pytest.raises(UsageError, match=re.escape(message)):
            check_cell(replace(ModelOptions(), model="transformer", hidden=hidden))


def test_model_defaults_are_options_of_every_task() -> None:
    known = {field.name for field in fields(TrainOptions)}
    for model, own in DEFAULTS.items():
        assert model in NETWORKS and own.keys() <= known
        filled = fill(TrainOptions, {"model": model, **own})
        assert {name: getattr(filled, name) for name in own} == own
    others = [name for name in CELLS if name not in LINEAR]
    assert all(defaults_of(name) == {} for name in (*others, "majority", None))


@pytest.mark.parametrize("model", LINEAR)
def test_linear_cells_are_in_blocks_unless_a_forward_mode_learner_trains_them(model: str) -> None:
    assert defaults_of(model)["residual"] == defaults_of(model, "tbptt")["residual"] == "block"
    assert all(defaults_of(model, learner) == {} for learner in FORWARD_MODE)
