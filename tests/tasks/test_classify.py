"""Classifiers from a table to scores: parts, labels, duplicates, and fields of predictions."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from seriatim.data.sequences import read_sequences
from seriatim.encoding.labels import Labels
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.notation import UNKNOWN
from seriatim.run.fitting import fit
from seriatim.tasks.classify import Classify, LabelledSequences, probabilities
from seriatim.tasks.options import ClassifyOptions

TASK = Classify()
OPTIONS = ClassifyOptions(hidden=8, epochs=3, batch_size=8, lr=2e-2, text="text", label="label")
WORDS = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue"), "fresh": ("leaf", "mint", "dew")}
Texts = tuple[list[str], list[str]]


def texts(rows: int = 40, seed: int = 0) -> Texts:
    draw = random.Random(seed)
    labels = [label for _ in range(rows) for label in WORDS]
    words = [draw.choices(WORDS[label], k=draw.randint(1, 6)) for label in labels]
    return [" ".join([*line, f"n{index}"]) for index, line in enumerate(words)], labels


def steps(rows: int = 60) -> tuple[list[Any], list[str]]:
    """Rising and falling sequences of two channels."""
    draw = np.random.default_rng(0)
    slopes = [1.0, -1.0] * (rows // 2)
    shape, noise = np.array([1.0, 0.5]), 0.1
    arrays = [
        slope * np.arange(draw.integers(3, 9))[:, None] * shape + draw.normal(scale=noise, size=2) for slope in slopes
    ]
    return arrays, ["up" if slope > 0 else "down" for slope in slopes]


def fit_model(source: object, **arguments: Any) -> tuple[Any, Any]:
    options = dataclasses.replace(OPTIONS, **arguments)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


@pytest.mark.parametrize("model", ["lstm", "bag"])
def test_classifier_learns_texts(model: str) -> None:
    network, prepared = fit_model(texts(), model=model, epochs=12)
    scores = TASK.score(network, OPTIONS, prepared.codec, prepared.test)
    assert scores == {"accuracy": 1.0, "macro_f1": 1.0}


def test_tiny_improvements_end_training() -> None:
    options = TASK.baseline_options(OPTIONS, "bag")
    prepared = TASK.prepare(options, texts(20))
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    outcome = fit(TASK, model, options, prepared, NullStore(), Silent())
    assert outcome.steps < 4000
    assert outcome.rows[-1]["valid_accuracy"] == 1.0


@pytest.mark.parametrize(("model", "learns"), [("gru", True), ("majority", False)])
def test_classifier_learns_numeric_sequences(model: str, learns: bool) -> None:
    network, prepared = fit_model(steps(), model=model, epochs=8, text=None)
    scores = TASK.score(network, OPTIONS, prepared.codec, prepared.test)
    assert (scores["accuracy"] > 0.9) == learns


def test_majority_scores_by_hand() -> None:
    inputs, labels = texts(20)
    keep = [index for index in range(60) if labels[index] != "fresh" or index < 30]  # 20 warm, 20 cold, 10 fresh
    network, prepared = fit_model(([inputs[i] for i in keep], [labels[i] for i in keep]), model="majority")
    counts = np.bincount(prepared.train.labels)
    np.testing.assert_allclose(probabilities(network, prepared.test)[0], counts / counts.sum())
    scores = TASK.score(network, OPTIONS, prepared.codec, prepared.test)
    choice = int(counts.argmax())
    share = float(np.mean(prepared.test.labels == choice))
    assert scores["accuracy"] == pytest.approx(share)
    assert scores["macro_f1"] == pytest.approx(2 * share / (1 + share) / 3)  # recall 1, precision share, one class of 3


def sequences(inputs: list[np.ndarray]) -> LabelledSequences:
    """Encoded sequences whose labels do not matter."""
    return LabelledSequences(inputs, np.zeros(len(inputs), np.int64))


def test_probabilities_do_not_depend_on_batch() -> None:
    network, prepared = fit_model(texts())
    inputs = prepared.test.inputs
    batched = probabilities(network, prepared.test)
    np.testing.assert_allclose(batched.sum(1), 1.0)
    np.testing.assert_allclose(probabilities(network, sequences(inputs[::-1]))[::-1], batched, rtol=1e-5)
    single = np.concatenate([probabilities(network, sequences([array])) for array in inputs])
    np.testing.assert_allclose(single, batched, rtol=1e-5)


def test_split_is_80_10_10_stratified_and_seeded() -> None:
    _, prepared = fit_model(texts(), model="majority")
    assert prepared.sizes == {"train": 96, "valid": 12, "test": 12}
    for part in (prepared.train, prepared.valid, prepared.test):
        assert len(set(np.bincount(part.labels))) == 1
    _, reseeded = fit_model(texts(), model="majority", seed=1)
    assert any(not np.array_equal(a, b) for a, b in zip(prepared.test.inputs, reseeded.test.inputs, strict=True))
    assert reseeded.hash == prepared.hash


def test_group_stays_in_one_part(tmp_path: Path) -> None:
    inputs, labels = texts()
    lines = [f"{text},{label},g{index // 6}" for index, (text, label) in enumerate(zip(inputs, labels, strict=True))]
    (tmp_path / "table.csv").write_text("\n".join(["text,label,who", *lines]) + "\n")
    options = dataclasses.replace(OPTIONS, group="who", unit="char")
    prepared = TASK.prepare(options, tmp_path / "table.csv")
    sides: dict[int, set[str]] = {}
    for name in ("train", "valid", "test"):
        for tokens in getattr(prepared, name).inputs:
            text = prepared.codec.vocabulary.decode(tokens)
            sides.setdefault(int(text.rsplit("n", 1)[1]) // 6, set()).add(name)
    assert len(sides) == 20
    assert all(len(parts) == 1 for parts in sides.values())
    assert {part for parts in sides.values() for part in parts} == {"train", "valid", "test"}


def test_duplicates_between_parts_are_noted_and_can_be_dropped() -> None:
    inputs, labels = texts()
    doubled = (inputs * 2, labels * 2)
    options = dataclasses.replace(OPTIONS, unit="char")
    prepared = TASK.prepare(options, doubled)
    assert len(prepared.notes) == 2
    assert all("inputs are also in the training part (--drop-duplicates)" in note for note in prepared.notes)
    dropped = TASK.prepare(dataclasses.replace(options, drop_duplicates=True), doubled)
    assert dropped.notes == ("120 duplicates dropped before splitting",)
    assert sum(dropped.sizes.values()) == 120


def test_many_unknown_words_give_a_note() -> None:
    inputs, labels = texts()
    new = [f"{text} unheard{number}" for number, text in enumerate(inputs)]
    (note,) = TASK.prepare(OPTIONS, (new, labels)).notes
    assert "of the words are unknown; --unit bpe or --unit char" in note
    assert TASK.prepare(dataclasses.replace(OPTIONS, unit="char"), (new, labels)).notes == ()


def test_codec_is_fitted_on_training_part() -> None:
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, text=None), steps())
    rows = np.concatenate(prepared.train.inputs)
    np.testing.assert_allclose(rows.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(rows.std(0), 1.0, atol=1e-5)
    assert abs(np.concatenate(prepared.test.inputs).mean(0)).max() > 1e-3
    texts_read = TASK.prepare(OPTIONS, texts())
    known = set(texts_read.codec.vocabulary.tokens)
    assert known != set(" ".join(texts()[0]).split()), "the words of the test part alone are unknown"


def test_codec_json_round_trip() -> None:
    for source, options in ((texts(), OPTIONS), (steps(), dataclasses.replace(OPTIONS, text=None))):
        codec = TASK.prepare(options, source).codec
        loaded = TASK.codec_from_json(codec.to_json())
        assert loaded.to_json() == codec.to_json()
        assert TASK.codec_file(codec) == ("vocabulary.json" if codec.vocabulary else "scaler.json")


def test_prediction_has_most_probable_class() -> None:
    network, prepared = fit_model(texts(), epochs=12)
    rows = list(TASK.predict(network, OPTIONS, prepared.codec, ["red fire", "dew", "unheard of"]))
    assert [row["row"] for row in rows] == [1, 2, 3]
    assert [row["label"] for row in rows[:2]] == ["warm", "fresh"]
    assert list(rows[0]["probabilities"]) == ["cold", "fresh", "warm"]
    flat = list(TASK.csv_rows(rows[0]))
    assert flat == [
        {
            "row": 1,
            "label": "warm",
            "probability": rows[0]["probability"],
            **{f"probabilities_{name}": value for name, value in rows[0]["probabilities"].items()},
        }
    ]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ((["a b", "c d"] * 20, ["x"] * 40), "label: a single class 'x' in the training part, wanted at least 2"),
        ((["a", "b"], ["x", "y"]), "valid part: no sequences; too little data"),
        ((["a b", " "] * 20, ["x", "y"] * 20), "data item 2: empty text"),
        ((["a b"], ["x", "y"]), "data: 2 labels for 1 sequences"),
        (([[1.0, np.nan]] * 9, ["x"] * 9), "data item 1: step 2, channel 1: missing value"),
        (([np.ones((3, 2)), np.ones((3, 1))], ["x", "y"]), "data item 2: 1 channels, wanted 2 as in the first"),
        (["a b", "c d"], "data: no labels"),
    ],
)
def test_unusable_data_in_memory_are_refused(source: object, error: str) -> None:
    with pytest.raises(DataError) as refused:
        TASK.prepare(dataclasses.replace(OPTIONS, text=None, label=None), source)
    assert str(refused.value) == error


def test_unseen_labels_are_scored_as_errors() -> None:
    """The scores are those of scikit-learn on the names of the classes."""
    network, prepared = fit_model(texts(), epochs=12)
    inputs = ["red rose", "fire", "sea sky", "leaf mint", "stone", "red"]
    truth = ["warm", "warm", "cold", "fresh", "hot", "icy"]
    new = TASK.read(OPTIONS, prepared.codec, (inputs, truth))
    assert new.notes == (
        "new data: 2 of 6 labels are not in the training part and count as errors, the first data item 5: 'hot'",
    )
    labels = [row["label"] for row in TASK.predict(network, OPTIONS, prepared.codec, inputs)]
    scores = TASK.score(network, OPTIONS, prepared.codec, new.part)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, labels))
    assert 0 < scores["accuracy"] <= 4 / 6
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, labels, average="macro", zero_division=0.0))


def test_unseen_labels_of_validation_and_test_files(tmp_path: Path) -> None:
    """The validation loss is computed from the known labels; the accuracy counts the others as errors."""
    known = "text,label\n" + "red rose,warm\nsea sky,cold\n" * 3
    for name, extra in (("known", ""), ("unseen", "stone,hot\nrock,icy\n")):
        (tmp_path / f"{name}.csv").write_text(known + extra)
    rows: dict[str, Any] = {}
    for name in ("known", "unseen"):
        options = dataclasses.replace(OPTIONS, valid=str(tmp_path / f"{name}.csv"), test=str(tmp_path / f"{name}.csv"))
        prepared = TASK.prepare(options, texts())
        torch.manual_seed(0)
        model = TASK.make(options, prepared.codec)
        (*_, rows[name]) = fit(TASK, model, options, prepared, NullStore(), Silent()).rows
    assert rows["unseen"]["valid_nll"] == pytest.approx(rows["known"]["valid_nll"])
    assert rows["unseen"]["valid_accuracy"] == pytest.approx(rows["known"]["valid_accuracy"] * 6 / 8)
    unseen = f"2 of 8 labels are not in the training part and count as errors, the first {tmp_path}/unseen.csv line 8"
    assert prepared.notes[-2:] == (f"valid part: {unseen}: 'hot'", f"test part: {unseen}: 'hot'")


def test_validation_file_without_a_known_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\nstone,hot\n")
    error = "new.csv line 2: 'hot' is not in the training part, nor is any other label of the valid part"
    with pytest.raises(DataError, match=error):
        TASK.prepare(dataclasses.replace(OPTIONS, valid=str(tmp_path / "new.csv")), texts())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channels": ("a",)}, "text: give either --text or --channels, not both"),
        ({"text": None, "channels": ("a",)}, "id: --channels needs --id"),
    ],
)
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(OPTIONS, **arguments))


def test_unseen_text_becomes_one_unknown_unit() -> None:
    network, prepared = fit_model(texts(), unit="word")
    sequences = read_sequences(["\u2060 x", "unheard", "\u200b"], need_label=False)
    assert [units.tolist() for units in prepared.codec.inputs.encode(sequences)][1:] == [[UNKNOWN], [UNKNOWN]]
    assert len(list(TASK.predict(network, OPTIONS, prepared.codec, ["unheard"]))) == 1


def test_labels_that_all_differ_are_refused() -> None:
    texts = [f"text {number}" for number in range(200)]
    with pytest.raises(
        DataError, match="label: 200 different labels for 200 sequences, too few of each label to split"
    ):
        TASK.prepare(OPTIONS, (texts, texts))


def test_runs_with_labels_as_their_file_had_them_still_know_them() -> None:
    """Runs of earlier versions hold ``0.0``; the hash of the data, and so ``evaluate``, must not change either."""
    source = ([f"red {n}" if n % 2 else f"sea {n}" for n in range(60)], [str(float(n % 2)) for n in range(60)])
    prepared = TASK.prepare(OPTIONS, source)
    assert prepared.codec.labels.names == ["0", "1"]
    older = dataclasses.replace(prepared.codec, labels=Labels(["0.0", "1.0"]))
    again = TASK.prepare(OPTIONS, source, older)
    assert again.hash == prepared.hash and again.sizes == prepared.sizes
    np.testing.assert_array_equal(again.test.labels, prepared.test.labels)
