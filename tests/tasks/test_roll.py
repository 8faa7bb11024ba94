"""``language --unit roll`` from pieces to scores, predictions and new pieces."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.run import load, train
from seriatim.run.fitting import fit
from seriatim.tasks.language import Language
from seriatim.tasks.options import LanguageOptions
from seriatim.tasks.roll import RollLanguage, log_probabilities
from seriatim.tasks.task import GenerateRequest

TASK = RollLanguage()
OPTIONS = LanguageOptions(unit="roll", hidden=16, epochs=8, batch_size=4, lr=4e-2)


def scales(count: int = 40) -> list[np.ndarray[Any, Any]]:
    """Pieces in which note 1 follows note 0, note 2 follows note 1, and so on in a circle."""
    draw = np.random.default_rng(0)
    return [np.eye(4, dtype=np.uint8)[(draw.integers(4) + np.arange(draw.integers(5, 12))) % 4] for _ in range(count)]


def fit_model(**arguments: Any) -> tuple[Any, Any]:
    options = dataclasses.replace(OPTIONS, **arguments)
    prepared = TASK.prepare(options, scales())
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


def test_unit_roll_selects_roll_task() -> None:
    assert isinstance(Language().variant(OPTIONS), RollLanguage)
    assert isinstance(Language().variant(LanguageOptions()), Language)


def test_network_beats_baselines() -> None:
    results = {}
    for model in ("gru", "markov", "unigram"):
        network, prepared = fit_model(model=model)
        results[model] = TASK.score(network, OPTIONS, prepared.codec, prepared.test)["nll"]
    assert results["gru"] < results["markov"] < results["unigram"]


def test_nll_is_a_mean_over_steps() -> None:
    network, prepared = fit_model(model="lstm", epochs=1)
    joint = log_probabilities(network, prepared.test)
    steps = sum(len(piece) for piece in prepared.test.rolls)
    assert TASK.score(network, OPTIONS, prepared.codec, prepared.test)["nll"] == pytest.approx(-sum(joint) / steps)
    assert prepared.sizes["test"] == steps
    rows = list(TASK.predict(network, OPTIONS, prepared.codec, prepared.test.rolls))
    assert [row["log_probability"] for row in rows] == joint and [row["piece"] for row in rows] == [1, 2, 3, 4]


def test_generated_piece_depends_on_seed() -> None:
    network, prepared = fit_model(model="gru")
    request = GenerateRequest(length=12, seed=3)
    lines = list(TASK.generate(network, OPTIONS, prepared.codec, request))
    assert lines == list(TASK.generate(network, OPTIONS, prepared.codec, request))
    steps = [json.loads(line) for line in lines]
    assert [step["step"] for step in steps] == list(range(1, 13))
    surest = TASK.generate(network, OPTIONS, prepared.codec, dataclasses.replace(request, temperature=0.0))
    likeliest = [json.loads(line)["notes"] for line in surest]
    assert all(len(notes) <= 1 for notes in likeliest)
    for name, value in {"prompt": "la", "top_k": 3, "top_p": 0.5, "stop": ("x",)}.items():
        with pytest.raises(UsageError, match=f"{name}.*: for text"):
            TASK.generate(network, OPTIONS, prepared.codec, dataclasses.replace(request, **{name: value}))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bidirectional": True}, "bidirectional: a language model must not see"),
        ({"model": "cbow"}, "model: 'cbow' reads one unit a step"),
        ({"tie": True}, "tie: for units of text, not --unit roll"),
        ({"order": 2}, "order: for units of text"),
    ],
)
def test_text_options_are_refused_for_rolls(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(OPTIONS, **arguments))


def test_too_few_pieces_are_refused() -> None:
    with pytest.raises(DataError, match="valid part: no pieces; too little data"):
        TASK.prepare(OPTIONS, scales(2))


def test_valid_and_test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", scales(1)[0])
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, test=str(tmp_path / "one.npy")), scales())
    assert len(prepared.test.rolls) == 1 and len(prepared.train.rolls) == 36 and len(prepared.valid.rolls) == 4
    np.save(tmp_path / "wide.npy", np.eye(5))
    with pytest.raises(DataError, match=r"wide.npy: 5 notes, wanted 4"):
        TASK.prepare(dataclasses.replace(OPTIONS, valid=str(tmp_path / "wide.npy")), scales())


def test_run_folder_of_a_roll_model(tmp_path: Path) -> None:
    run = train("language", scales(), unit="roll", hidden=4, epochs=1, threads=1, quiet=True, out=str(tmp_path / "run"))
    loaded = load(tmp_path / "run")
    assert run.result["task"] == "language" and loaded.main_score == "nll"
    assert set(loaded.result["baselines"]) == {"unigram", "markov"}
    assert len(list(loaded.predict(scales(3)))) == 3
    results = loaded.evaluate(scales(3))
    assert results["scores"]["nll"] > 0 and results["baselines"]["markov"]["nll"] > 0
    assert len(list(loaded.generate(length=2))) == 2 and loaded.writing == "continues"
