"""Blends of each task: they are scored, stored, and used for predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from seriatim.notation import QUANTILES
from seriatim.run import load, train
from seriatim.runtime import load as load_runtime

QUICK: dict[str, Any] = {"hidden": 8, "threads": 1, "quiet": True}


def many_series(count: int, steps: int) -> pl.DataFrame:
    """Random walks with two targets and a season of 4."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(count):
        season = np.tile(draw.normal(size=4), steps // 4 + 1)[:steps]
        walks = np.cumsum(draw.normal(scale=0.3, size=(steps, 2)), axis=0) + season[:, None] * (1 + number % 3)
        rows += [{"id": f"s{number}", "a": float(a), "b": float(b)} for a, b in walks]
    return pl.DataFrame(rows)


def test_forecasts_are_weighed_by_step_and_quantile(tmp_path: Path) -> None:
    frame = many_series(150, 40)
    run = train(
        "forecast", frame, id="id", target="a,b", horizon=3, season=4, lookback=8, epochs=1, baselines="fast",
        out=str(tmp_path / "run"), **QUICK,
    )  # fmt: skip
    assert run.result["best"] == "blend"
    blend = run._opened.blend
    assert blend.form == "quantiles" and blend.weights.shape[1:] == (3, len(QUANTILES))
    np.testing.assert_allclose(blend.weights.sum(0), 1.0)
    assert np.ptp(blend.weights[0, :, 1]) > 0, "150 windows are enough for weights of each of three steps"
    assert run.result["blend"]["scores"].keys() == run.result["scores"].keys()
    rows = list(load(tmp_path / "run").predict(frame))
    parts = {name: list(run.predict(frame, use=name)) for name in run.result["blend"]["parts"]}
    for index, row in enumerate(rows):
        for target in ("a", "b"):
            levels = np.array([[parts[name][index][target][str(level)] for level in QUANTILES] for name in parts])
            mixed = np.sort((levels.transpose(0, 2, 1) * blend.weights).sum(0), axis=1)
            np.testing.assert_allclose([row[target][str(level)] for level in QUANTILES], mixed.T, rtol=1e-6)


def reviews(rows: int) -> tuple[list[str], list[str]]:
    """Texts of good and bad words, with some noise."""
    draw = np.random.default_rng(1)
    words = {"good": ["fine", "great", "lovely", "film", "plot"], "bad": ["poor", "dull", "awful", "film", "plot"]}
    labels = [("good", "bad")[index] for index in draw.integers(0, 2, rows)]
    texts = [" ".join(draw.choice(words[label if draw.random() < 0.9 else "bad"], 4)) for label in labels]
    return texts, labels


def test_probabilities_of_texts_are_mixed(tmp_path: Path) -> None:
    texts, labels = reviews(700)
    run = train("classify", (texts, labels), epochs=2, lr=1e-2, out=str(tmp_path / "run"), **QUICK)
    assert list(run.result["baselines"]) == ["majority", "bag", "tfidf"]
    loaded = load(tmp_path / "run")
    rows = list(loaded.predict(["fine film", "awful plot"]))
    assert [row["label"] for row in rows] == ["good", "bad"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    again = loaded.evaluate((texts[:90], labels[:90]))
    assert again["baselines"]["tfidf"]["accuracy"] > 0.8
    assert (again["blend"] is None) == (run.result["blend"] is None)


def ramps(rows: int) -> tuple[list[np.ndarray], np.ndarray]:
    draw = np.random.default_rng(2)
    slopes = draw.normal(size=rows)
    inputs = [slope * np.arange(12)[:, None] / 6 + draw.normal(scale=0.5, size=(12, 1)) for slope in slopes]
    return inputs, slopes


def test_regressions_of_numbers_are_mixed(tmp_path: Path) -> None:
    inputs, targets = ramps(600)
    run = train("regress", (inputs, targets), epochs=3, lr=1e-2, out=str(tmp_path / "run"), **QUICK)
    assert list(run.result["baselines"]) == ["mean", "bag", "stats", "rocket"]
    assert run.result["best"] in {"blend", "stats", "rocket", "lstm"}
    best = run.result["blend"]["scores"] if run.result["blend"] else run.result["baselines"][run.result["best"]]
    assert best["rmse"] < 0.5
    for row in load(tmp_path / "run").predict(inputs[:5]):
        assert list(row["quantiles"].values()) == sorted(row["quantiles"].values())


def test_classes_of_numbers_are_compared_with_rocket(tmp_path: Path) -> None:
    inputs, slopes = ramps(300)
    labels = np.where(slopes > 0, "up", "down").tolist()
    run = train("classify", (inputs, labels), epochs=1, out=str(tmp_path / "run"), **QUICK)
    assert list(run.result["baselines"]) == ["majority", "bag", "nearest", "rocket"]
    assert run.result["baselines"]["rocket"]["accuracy"] > 0.8
    assert load(tmp_path / "run").evaluate((inputs[:60], labels[:60]))["baselines"]["nearest"]["accuracy"] > 0.7


def test_words_are_mixed(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    lines = []
    for _ in range(200):
        for noun, verb in zip(draw.choice(["dog", "cat", "run"], 2), draw.choice(["runs", "sleeps"], 2), strict=True):
            lines += [f"the\tD\n{noun}\tN\n{verb}\tV\n"]
        lines += ["\n"]
    (tmp_path / "a.tsv").write_text("".join(lines))
    run = train("tag", tmp_path / "a.tsv", epochs=1, out=str(tmp_path / "run"), spelling=8, **QUICK)
    assert list(run.result["baselines"]) == ["most_frequent_tag", "perceptron"]
    (row,) = load(tmp_path / "run").predict([["the", "cat", "sleeps"]])
    assert row["tags"] == ["D", "N", "V"]


def test_scores_of_sentences_are_mixed(tmp_path: Path) -> None:
    """Names of two words. The network with a CRF and the perceptron are uncertain in different ways."""
    draw = np.random.default_rng(3)
    lines = []
    for _ in range(600):
        first, second = draw.choice(["Ada", "Bob", "Eve", "York", "Rome"], 2)
        is_name = draw.random() < 0.8
        lines += [f"{first}\tB-PER\n{second}\tI-PER\n" if is_name else f"{first}\tB-LOC\n{second}\tB-LOC\n"]
        lines += ["sleeps\tO\n\n"]
    (tmp_path / "a.tsv").write_text("".join(lines))
    run = train("tag", tmp_path / "a.tsv", epochs=1, crf=True, out=str(tmp_path / "run"), spelling=8, **QUICK)
    assert set(run.result["blend"]["parts"]) == {"lstm", "perceptron"} and run.result["best"] == "blend"
    assert run.result["blend"]["scores"].keys() == run.result["scores"].keys() >= {"entity_f1"}
    loaded = load(tmp_path / "run")
    assert loaded._opened.blend.form == "scores"
    (row,) = loaded.predict([["Ada", "York", "sleeps"]])
    assert row["tags"] == ["B-PER", "I-PER", "O"]
    again = loaded.evaluate(tmp_path / "a.tsv")
    assert again["blend"]["parts"] == run.result["blend"]["parts"]
    loaded.update(tmp_path / "a.tsv", epochs=1, quiet=True)
    assert load(tmp_path / "run")._opened.blend.form == "scores"
    result = loaded.export(tmp_path / "exported")
    assert result["model"] == "blend" and result["difference"] == 0


def test_notes_are_mixed(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    pieces = []
    for _ in range(40):  # notes that last, which the transitions know, and a drone every fourth step
        melody = np.cumsum(draw.random((16, 4)) < 0.2, axis=0) % 2
        drone = (np.arange(16) % 4 == 0).astype(int)[:, None]
        pieces.append(np.concatenate([melody, drone], 1).astype(np.uint8))
    run = train("language", pieces, unit="roll", epochs=60, batch_size=8, lr=1e-2, out=str(tmp_path / "run"), **QUICK)
    assert run.result["best"] == "blend" and set(run.result["blend"]["parts"]) == {"lstm", "markov"}
    loaded = load(tmp_path / "run")
    ours = np.array([row["log_probability"] for row in loaded.predict(pieces[:3])])
    blend, network = loaded._opened.blend, loaded.network
    assert blend.form == "linear" and isinstance(network, torch.nn.Module)
    with torch.no_grad():
        for piece, joint in zip(pieces[:3], ours, strict=True):
            notes = torch.from_numpy(piece).float()
            before = torch.cat([torch.zeros(1, 5), notes[:-1]])
            chances = torch.sigmoid(network(before[:, None])[0][:, 0]).double().numpy()
            counted = blend.members[1].model.chances_of(piece)
            mixed = blend.weights[0] * chances + blend.weights[1] * counted
            assert joint == pytest.approx(np.log(np.where(piece > 0, mixed, 1 - mixed)).sum(), rel=1e-5)
    assert len("".join(loaded.generate(length=5, seed=1)).splitlines()) == 5
    assert loaded.export(tmp_path / "exported")["difference"] < 1e-5
    stream = load_runtime(tmp_path / "exported").stream()
    stream.step([0, 4])
    again = load_runtime(tmp_path / "exported").stream()
    again.restore(stream.snapshot())
    np.testing.assert_array_equal(stream.step([1]), again.step([1]))
