"""``--subwords`` from a file to predictions: unknown words are recognised by their parts."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seriatim
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import UsageError
from seriatim.notation import UNKNOWN
from seriatim.run.repetition import read_repetition
from seriatim.tasks.registry import find_task
from seriatim.tasks.tag import Tag

STEMS = ("mar", "tel", "kin", "sor", "lum", "pan", "rit", "vol", "den", "gos")
QUICK: dict[str, Any] = {
    "hidden": 16, "epochs": 15, "lr": 2e-2, "dropout": 0.0, "threads": 1, "batch_size": 16, "quiet": True,
    "baselines": "none", "subword_buckets": 2000, "word_dropout": 0.5, "subwords": True,
}  # fmt: skip


def word(draw: random.Random, ending: str) -> str:
    return "".join(draw.choice(STEMS) for _ in range(3)) + ending


def texts(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts whose label is the ending of their words. Most words occur once."""
    draw = random.Random(seed)
    labels = [draw.choice(["ness", "wards"]) for _ in range(count)]
    return [" ".join(word(draw, label) for _ in range(3)) for label in labels], labels


def sentences(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    draw = random.Random(seed)
    return [
        ([word(draw, ending) for ending in endings], list(endings))
        for endings in ([draw.choice(["ness", "wards", "ly"]) for _ in range(4)] for _ in range(count))
    ]


def table(folder: Path) -> Path:
    """A table of ``texts``, with targets that are 1 for one of the labels."""
    file = folder / "texts.tsv"
    rows = (f"{text}\t{label}\t{int(label == 'ness')}\n" for text, label in zip(*texts(150, 0), strict=True))
    file.write_text("text\tlabel\ttarget\n" + "".join(rows))
    return file


def tagged(folder: Path) -> Path:
    """A file of ``sentences``."""
    file = folder / "sentences.tsv"
    blocks = ("".join(f"{form}\t{tag}\n" for form, tag in zip(*pair, strict=True)) for pair in sentences(80, 0))
    file.write_text("\n".join(blocks))
    return file


def accuracy(run: seriatim.Run) -> float:
    new, labels = texts(50, 9)
    return float(np.mean([row["label"] == label for row, label in zip(run.predict(new), labels, strict=True)]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> seriatim.Run:
    folder = tmp_path_factory.mktemp("subwords")
    return seriatim.train("classify", table(folder), text="text", out=str(folder / "run"), label="label", **QUICK)


def test_unknown_words_are_classified_by_their_parts(run: seriatim.Run, tmp_path: Path) -> None:
    assert accuracy(run) > 0.9
    plain = {**QUICK, "subwords": False, "subword_buckets": None, "unit": "word"}
    without = seriatim.train("classify", texts(150, 0), out=str(tmp_path / "run"), **plain)
    assert accuracy(without) < 0.7


def test_saved_run_has_its_grams(run: seriatim.Run) -> None:
    loaded = seriatim.load(run.path)
    assert loaded.evaluate()["scores"] == run.result["scores"] and accuracy(loaded) == accuracy(run)
    stored = json.loads((run.path / "vocabulary.json").read_text())
    assert stored["inputs"]["subwords"] == 2000 and stored["inputs"]["unit"] == "word"
    assert loaded.network.subwords.weight.shape == (2000, 16)  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [-1, "300", 2.5, True])
def test_damaged_number_of_buckets_is_refused(run: seriatim.Run, value: object) -> None:
    content = run.codec.to_json()
    with pytest.raises(ValueError, match="'subwords' is"):
        find_task("classify").codec_from_json({**content, "inputs": {**content["inputs"], "subwords": value}})


def test_update_and_inspect_read_the_grams(run: seriatim.Run, tmp_path: Path) -> None:
    before = run.network.subwords.weight.detach().clone()  # type: ignore[union-attr]
    run.update(texts(60, 3), epochs=1, replay=0.5, quiet=True, out=str(tmp_path / "updated"))
    updated = seriatim.load(tmp_path / "updated")
    assert not torch.equal(updated.network.subwords.weight, before)  # type: ignore[union-attr]
    assert set(updated.inspect()["horizons"]) == {"gradient", "ablation", "data", "truncation"}


def test_regression_reads_grams(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    run = seriatim.train("regress", table(tmp_path), text="text", target="target", out=out, **QUICK)
    new, new_labels = texts(50, 9)
    predicted = np.array([row["prediction"] for row in seriatim.load(run.path).predict(new)])
    assert np.mean((predicted > 0.5) == [label == "ness" for label in new_labels]) > 0.9
    assert run.inspect()["verdict"]


def test_tagger_without_spelling_reads_grams(tmp_path: Path) -> None:
    options = {**QUICK, "characters": "none", "hidden": 12}
    run = seriatim.train("tag", tagged(tmp_path), out=str(tmp_path / "run"), **options)
    assert run.result["scores"]["accuracy"] > 0.9
    loaded = seriatim.load(run.path)
    assert loaded.evaluate()["scores"] == run.result["scores"]
    (row,) = loaded.predict([["xxxxxness", "yyyyywards", "zzzzzly"]])
    assert row["tags"] == ["ness", "wards", "ly"]
    plain = {**options, "subwords": False, "subword_buckets": None}
    without = seriatim.train("tag", tagged(tmp_path), out=str(tmp_path / "plain"), **plain)
    assert without.result["scores"]["accuracy"] < 0.7
    assert "subwords" not in without.codec.to_json() and run.codec.to_json()["subwords"] == 2000


def test_grams_of_a_tagger_are_those_of_the_vocabulary() -> None:
    task = Tag()
    options = dataclasses.replace(task.options(), subwords=True, subword_buckets=1000)
    codec = task.prepare(options, sentences(40, 0)).codec
    upper, lower = (codec.encode([[form]]).grams for form in ("MARness", "marness"))
    assert upper is not None and lower is not None and upper.buckets.tolist() == lower.buckets.tolist()
    separate = task.prepare(dataclasses.replace(options, lowercase=False), sentences(40, 0)).codec
    capital = separate.encode([["MARness"]]).grams
    assert capital is not None and capital.buckets.tolist() != lower.buckets.tolist()


def test_vectors_of_a_file_start_the_words_and_the_grams_are_added(tmp_path: Path) -> None:
    inputs, labels = texts(100, 0)
    first = inputs[0].split()[0]
    (tmp_path / "vectors.txt").write_text(f"{first} 1 2 3\nother 0 0 0\n")
    quick = {**QUICK, "epochs": 1, "vectors": str(tmp_path / "vectors.txt"), "freeze_vectors": True, "valid": None}
    table = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(inputs, labels, strict=True))
    (tmp_path / "train.tsv").write_text(table)
    for name in ("valid", "test"):
        quick[name] = str(tmp_path / "train.tsv")
    run = seriatim.train(
        "classify", tmp_path / "train.tsv", text="text", label="label", out=str(tmp_path / "run"), **quick
    )
    network: Any = run.network
    vocabulary = Vocabulary.from_json(json.loads((run.path / "vocabulary.json").read_text())["inputs"])
    assert network.embeddings.weight[vocabulary.tokens.index(first)].tolist() == [1.0, 2.0, 3.0]
    assert network.subwords.weight.shape == (2000, 3) and network.subwords.weight.any()


def test_resumed_run_is_identical(tmp_path: Path) -> None:
    quick = {**QUICK, "epochs": 3}
    seriatim.train("classify", texts(60, 0), out=str(tmp_path / "whole"), **quick)
    halves = str(tmp_path / "halves")
    seriatim.train("classify", texts(60, 0), out=halves, **quick)
    (tmp_path / "halves" / "result.json").unlink()
    seriatim.train("classify", texts(60, 0), out=halves, resume=True, **quick)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]


def test_blend_with_a_bag_that_reads_no_grams(tmp_path: Path) -> None:
    quick = {**QUICK, "epochs": 4, "baselines": "all", "time_limit": "5s"}
    run = seriatim.train("classify", texts(150, 0), out=str(tmp_path / "run"), **quick)
    assert {"bag", "tfidf"} <= set(run.result["baselines"])
    run.export(tmp_path / "bag", use="bag")
    bag = seriatim.runtime.load(tmp_path / "bag")
    new = texts(10, 9)[0]
    theirs = [row["probability"] for row in run.predict(new, use="bag")]
    assert [row["probability"] for row in bag.predict(new)] == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("classify", {"unit": "char"}, "subwords: for words, not --unit char"),
        ("classify", {"model": "bag"}, "subwords: for networks, not bag"),
        ("classify", {"subwords": False}, "subword_buckets: needs --subwords"),
        ("regress", {"model": "tfidf"}, "subwords: for networks, not tfidf"),
        ("tag", {"subwords": False}, "subword_buckets: needs --subwords"),
        ("language", {}, "no option 'subword_buckets'"),
    ],
)
def test_unsuitable_options_are_refused(task: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    data: Any = sentences(30, 0) if task == "tag" else texts(60, 0)
    with pytest.raises(UsageError, match=message):
        seriatim.train(task, data, out=str(tmp_path / "run"), **{**QUICK, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_numbers_have_no_grams(tmp_path: Path) -> None:
    data = ([np.eye(3)] * 40, ["a", "b"] * 20)
    with pytest.raises(UsageError, match="subwords: for texts, not numbers or sound"):
        seriatim.train("classify", data, out=str(tmp_path / "run"), **{**QUICK, "word_dropout": 0.0})


def test_vocabulary_may_be_cut(tmp_path: Path) -> None:
    """Most words of the training part are unknown then, and are read by their n-grams alone."""
    quick = {**QUICK, "vocab_size": 5}
    run = seriatim.train("classify", texts(150, 0), out=str(tmp_path / "run"), **quick)
    assert run.network.embeddings.weight.shape[0] == 5 and accuracy(run) > 0.9  # type: ignore[union-attr]
    assert UNKNOWN == 0


def test_ensembles_read_grams(tmp_path: Path) -> None:
    quick = {**QUICK, "epochs": 2, "ensemble": 2}
    classes = seriatim.train("classify", texts(60, 0), out=str(tmp_path / "classes"), **quick)
    tags = seriatim.train("tag", sentences(40, 0), out=str(tmp_path / "tags"), **quick)
    for run, rows in ((classes, texts(5, 9)[0]), (tags, [["xxxxxness", "yyyyywards"]])):
        run.export(run.path.parent / f"{run.path.name}-exported")
        exported = seriatim.runtime.load(run.path.parent / f"{run.path.name}-exported")
        for ours, theirs in zip(exported.predict(rows), run.predict(rows), strict=True):
            assert ours.get("probability", 0) == pytest.approx(theirs.get("probability", 0), abs=1e-5)
            assert ours.get("tags") == theirs.get("tags")


def test_default_of_taggers_alone_and_of_new_runs(tmp_path: Path) -> None:
    quick = {"hidden": 8, "epochs": 1, "threads": 1, "quiet": True, "baselines": "none"}
    run = seriatim.train("tag", tagged(tmp_path), out=str(tmp_path / "run"), **quick)  # type: ignore[arg-type]
    assert run.options.subwords is True  # type: ignore[attr-defined]
    naive = seriatim.train("tag", tagged(tmp_path), out=str(tmp_path / "naive"), model="perceptron", quiet=True)
    assert naive.options.subwords is False  # type: ignore[attr-defined]
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    for name in ("subwords", "subword_buckets"):  # as a version without the option wrote it
        del config["options"][name]
    file.write_text(json.dumps(config))
    assert read_repetition(file).options["subwords"] is False


ALONE: dict[str, Any] = {"hidden": 8, "epochs": 1, "threads": 1, "quiet": True, "baselines": "none"}


def test_default_of_classifiers_of_texts(tmp_path: Path) -> None:
    file, options = table(tmp_path), {"text": "text", "label": "label"}
    run = seriatim.train("classify", file, out=str(tmp_path / "table"), **options, **ALONE)
    assert run.codec.inputs.subwords == 20_000
    in_memory = seriatim.train("classify", texts(60, 0), out=str(tmp_path / "memory"), **ALONE)
    assert in_memory.codec.inputs.subwords == 20_000
    without = seriatim.train("classify", texts(60, 0), subwords=False, out=str(tmp_path / "without"), **ALONE)
    assert without.codec.inputs.subwords == 0
    config = tmp_path / "table" / "config.json"
    content = json.loads(config.read_text())
    for option in ("subwords", "subword_buckets"):  # a version without n-grams wrote neither
        del content["options"][option]
    config.write_text(json.dumps(content))
    again = seriatim.train("classify", config=config, out=str(tmp_path / "again"))
    assert again.codec.inputs.subwords == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"text": "x"}, True),
        ({"text": "x", "model": "gru", "unit": "word"}, True),
        ({"text": "x", "unit": "bpe"}, False),
        ({"text": "x", "model": "bag"}, False),
        ({"text": "x", "vectors": "cbow"}, False),
        ({"channels": ("x",), "id": "y"}, False),
        ({"sound": "x"}, False),
    ],
)
def test_n_grams_are_the_default_for_words_that_networks_read(options: dict[str, Any], expected: bool) -> None:
    chosen = find_task("classify").data_options(options, "data.csv").options
    assert chosen.get("subwords", False) is expected


def test_texts_that_are_not_read_in_words_have_no_n_grams(tmp_path: Path) -> None:
    korean = ["나는 사과를 좋아한다", "나는 배를 싫어한다"] * 30
    run = seriatim.train("classify", (korean, ["a", "b"] * 30), out=str(tmp_path / "run"), **ALONE)
    assert run.codec.inputs.vocabulary.unit == "char" and run.codec.inputs.subwords == 0
    assert getattr(run.network, "subwords", 0) is None
