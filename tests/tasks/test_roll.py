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
    """Pieces in which note 1 follows note 0, note 2 follows note 1, and so on round."""
    draw = np.random.default_rng(0)
    return [np.eye(4, dtype=np.uint8)[(draw.integers(4) + np.arange(draw.integers(5, 12))) % 4] for _ in range(count)]


def fitted(**given: Any) -> tuple[Any, Any]:
    options = dataclasses.replace(OPTIONS, **given)
    prepared = TASK.prepare(options, scales())
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


def test_the_unit_chooses_the_task() -> None:
    assert isinstance(Language().variant(OPTIONS), RollLanguage)
    assert isinstance(Language().variant(LanguageOptions()), Language)


def test_a_network_learns_what_the_baselines_cannot() -> None:
    found = {}
    for model in ("gru", "markov", "unigram"):
        network, prepared = fitted(model=model)
        found[model] = TASK.score(network, OPTIONS, prepared.codec, prepared.test)["nll"]
    assert found["gru"] < found["markov"] < found["unigram"]


def test_the_score_is_per_step_of_all_pieces() -> None:
    network, prepared = fitted(model="lstm", epochs=1)
    joint = log_probabilities(network, prepared.test)
    steps = sum(len(piece) for piece in prepared.test.rolls)
    assert TASK.score(network, OPTIONS, prepared.codec, prepared.test)["nll"] == pytest.approx(-sum(joint) / steps)
    assert prepared.sizes["test"] == steps
    rows = list(TASK.predict(network, OPTIONS, prepared.codec, prepared.test.rolls))
    assert [row["log_probability"] for row in rows] == joint and [row["piece"] for row in rows] == [1, 2, 3, 4]


def test_a_piece_is_written_from_its_seed() -> None:
    network, prepared = fitted(model="gru")
    request = GenerateRequest(length=12, seed=3)
    lines = list(TASK.generate(network, OPTIONS, prepared.codec, request))
    assert lines == list(TASK.generate(network, OPTIONS, prepared.codec, request))
    steps = [json.loads(line) for line in lines]
    assert [one["step"] for one in steps] == list(range(1, 13))
    surest = TASK.generate(network, OPTIONS, prepared.codec, dataclasses.replace(request, temperature=0.0))
    likeliest = [json.loads(line)["notes"] for line in surest]
    assert all(len(notes) <= 1 for notes in likeliest)
    for name, value in {"prompt": "la", "top_k": 3, "top_p": 0.5, "stop": ("x",)}.items():
        with pytest.raises(UsageError, match=f"{name}.*: for text"):
            TASK.generate(network, OPTIONS, prepared.codec, dataclasses.replace(request, **{name: value}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bidirectional": True}, "bidirectional: a language model must not see"),
        ({"model": "cbow"}, "model: 'cbow' reads one unit a step"),
        ({"tie": True}, "tie: for units of text, not --unit roll"),
        ({"order": 2}, "order: for units of text"),
    ],
)
def test_options_that_do_not_fit(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TASK.check(dataclasses.replace(OPTIONS, **given))


def test_too_few_pieces() -> None:
    with pytest.raises(DataError, match="valid part: no pieces; too little data"):
        TASK.prepare(OPTIONS, scales(2))


def test_files_of_their_own_for_validation_and_test(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", scales(1)[0])
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, test=str(tmp_path / "one.npy")), scales())
    assert len(prepared.test.rolls) == 1 and len(prepared.train.rolls) == 36 and len(prepared.valid.rolls) == 4
    np.save(tmp_path / "wide.npy", np.eye(5))
    with pytest.raises(DataError, match=r"wide.npy: 5 notes, wanted 4"):
        TASK.prepare(dataclasses.replace(OPTIONS, valid=str(tmp_path / "wide.npy")), scales())


def test_a_run_folder(tmp_path: Path) -> None:
    run = train("language", scales(), unit="roll", hidden=4, epochs=1, threads=1, quiet=True, out=str(tmp_path / "run"))
    again = load(tmp_path / "run")
    assert run.result["task"] == "language" and again.main_score == "nll"
    assert set(again.result["baselines"]) == {"unigram", "markov"}
    assert len(list(again.predict(scales(3)))) == 3
    found = again.evaluate(scales(3))
    assert found["scores"]["nll"] > 0 and found["baselines"]["markov"]["nll"] > 0
    assert len(list(again.generate(length=2))) == 2 and again.writing == "continues"
