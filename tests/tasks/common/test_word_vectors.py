"""--vectors: initial embeddings from a file, saved runs, and vectors trained on the user's own text."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seriatim
from seriatim.encoding.vectors import read_vectors
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.tasks.common.word_vectors import cbow, initial_vectors, train_vectors, with_vector_width
from seriatim.tasks.options import ClassifyOptions, ForecastOptions, LanguageOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import WordCorpus

CLASSES = {
    "who": ("cat", "dog", "bird", "horse"),
    "does": ("sees", "likes", "hears", "meets"),
    "what": ("sun", "tree", "house", "sea"),
}
WORDS = WordCorpus(["<unk>", "cat", "The", "the", "Dog", "zebra"], [np.array([1, 2, 3], np.int32)])


def sentences(count: int = 1500, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    pattern = ("a", "who", "does", "the", "what", "today")
    return [" ".join(draw.choice(CLASSES.get(part, (part,))) for part in pattern) for _ in range(count)]


def messages() -> tuple[list[str], list[str]]:
    texts = sentences(60)
    return texts, ["cat" if "cat" in text or "sun" in text else "other" for text in texts]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2 3\nthe 4 5 6\ndog 7 8 9\nother 0 0 1\nsun -1 0 2\n", encoding="utf-8")
    return path


def options(**arguments: Any) -> ClassifyOptions:
    return ClassifyOptions(**arguments)


# From a file


def test_vectors_come_from_file_or_have_its_deviation(file: Path) -> None:
    start = initial_vectors(options(vectors=str(file)), WORDS)
    assert start is not None
    assert start.vectors.dtype == np.float32
    assert start.vectors[[1, 2, 3, 4]].tolist() == [[1, 2, 3], [4, 5, 6], [4, 5, 6], [7, 8, 9]]  # by lower case
    assert start.note == f"vectors: 80.0 % of the vocabulary found in {file}"
    large = WordCorpus(["<unk>", "cat", "sun", *(f"w{index}" for index in range(3000))], [])
    initial = initial_vectors(options(vectors=str(file)), large)
    assert initial is not None
    known = np.array([[1, 2, 3], [-1, 0, 2]])
    assert initial.vectors[3:].std() == pytest.approx(known.std(), rel=0.05)
    loaded = initial_vectors(options(vectors=str(file)), large)
    assert loaded is not None and np.array_equal(initial.vectors, loaded.vectors)


def test_exact_word_precedes_lower_case(tmp_path: Path) -> None:
    path = tmp_path / "cased.txt"
    path.write_text("the 1 1\nThe 2 2\n", encoding="utf-8")
    start = initial_vectors(options(vectors=str(path)), WORDS)
    assert start is not None
    assert start.vectors[[2, 3]].tolist() == [[2, 2], [1, 1]]


def test_file_sets_embedding_width(file: Path) -> None:
    implementation = find_task("classify")
    model_options = with_vector_width(implementation, options(vectors=str(file)))
    assert model_options.embedding == 3
    assert with_vector_width(implementation, options(vectors=str(file), embedding=3)) == model_options
    with pytest.raises(UsageError, match=rf"embedding: got 50, but the vectors of {file} have 3 numbers"):
        with_vector_width(implementation, options(vectors=str(file), embedding=50))


def test_contradictory_options_are_refused(file: Path) -> None:
    implementation = find_task("classify")
    with pytest.raises(UsageError, match="freeze_vectors: needs --vectors"):
        with_vector_width(implementation, options(freeze_vectors=True))
    with pytest.raises(UsageError, match="vectors: for networks, not majority"):
        with_vector_width(implementation, options(vectors=str(file), model="majority"))
    with pytest.raises(UsageError, match="vectors: for texts read word by word, not --unit char"):
        initial_vectors(options(vectors=str(file), unit="char"), None)
    with pytest.raises(UsageError, match="vectors: for texts read word by word, not numbers"):
        initial_vectors(options(vectors="cbow"), None)
    with pytest.raises(DataError, match=r"vectors\.txt: none of the 1 words of the vocabulary has a vector"):
        initial_vectors(options(vectors=str(file)), WordCorpus(["<unk>", "zebra"], []))
    forecast_options = ForecastOptions()
    assert with_vector_width(find_task("forecast"), forecast_options) is forecast_options
    assert initial_vectors(forecast_options, None) is None
    assert initial_vectors(options(), WORDS) is None


# In a run


def quick(**arguments: Any) -> dict[str, Any]:
    return {"epochs": 1, "hidden": 8, "baselines": "none", "threads": 1, "quiet": True, **arguments}


@pytest.mark.parametrize("model", ["lstm", "bag"])
def test_run_does_not_need_its_vector_file(file: Path, tmp_path: Path, model: str) -> None:
    run = seriatim.train("classify", messages(), **quick(model=model, vectors=str(file), out=str(tmp_path / "run")))
    (note,) = (note for note in run.notes if note.startswith("vectors: "))
    assert note.endswith(f"found in {file}")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["embedding"] == 3
    file.unlink()
    loaded = seriatim.load(tmp_path / "run")
    assert loaded.network.embeddings.weight.shape[1] == 3  # type: ignore[attr-defined]
    assert len(list(loaded.predict(["a cat sees the sun today"]))) == 1


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_vectors_do_not_change(file: Path, tmp_path: Path, frozen: bool) -> None:
    arguments = quick(vectors=str(file), freeze_vectors=frozen, out=str(tmp_path / "run"))
    run = seriatim.train("classify", messages(), **arguments)
    vocabulary = Vocabulary.from_json(json.loads((tmp_path / "run" / "vocabulary.json").read_text())["inputs"])
    row = run.network.embeddings.weight[vocabulary.tokens.index("cat")]  # type: ignore[attr-defined]
    assert (row.tolist() == [1.0, 2.0, 3.0]) is frozen


def test_language_model_with_vectors_tied_or_not(file: Path, tmp_path: Path) -> None:
    text = "\n".join(sentences(200)) + "\n"
    for name, arguments in {
        "free": {"hidden": 8},
        "tied": {"hidden": 3, "tie": True},
        "window": {"hidden": 8, "model": "window"},
    }.items():
        out = str(tmp_path / name)
        run = seriatim.train("language", [text], **quick(unit="word", vectors=str(file), out=out, **arguments))
        assert run.network.embeddings.weight.shape[1] == 3  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"embedding: got 3, but --tie wants it as wide as --hidden \(8\)"):
        seriatim.train("language", [text], **quick(unit="word", vectors=str(file), tie=True, out=str(tmp_path / "no")))


@pytest.mark.parametrize(
    ("content", "error"),
    [("", "is empty"), ("cat 1 2\nthe 1\n", "line 2: 1 numbers, wanted 2"), ("zebra 1 2\n", "none of the ")],
)
def test_bad_vectors_leave_no_files(tmp_path: Path, content: str, error: str) -> None:
    path, out = tmp_path / "bad.txt", tmp_path / "run"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=error):
        seriatim.train("classify", messages(), **quick(vectors=str(path), out=str(out)))
    assert not out.exists()


def test_resumed_run_is_identical(file: Path, tmp_path: Path) -> None:
    arguments = quick(vectors=str(file), freeze_vectors=True) | {"epochs": 3}
    whole = seriatim.train("classify", messages(), **arguments, out=str(tmp_path / "whole"))
    seriatim.train("classify", messages(), **arguments, out=str(tmp_path / "halves"))
    (tmp_path / "halves" / "result.json").unlink()
    seriatim.train("classify", messages(), **arguments, out=str(tmp_path / "halves"), resume=True)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]
    assert whole.result["epochs"] == 3


# Trained on the user's own text


def neighbours(words: list[str], vectors: Any) -> dict[str, str]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    closeness = unit @ unit.T - 2 * np.eye(len(words))
    return {word: words[int(row.argmax())] for word, row in zip(words, closeness, strict=True)}


def test_cbow_makes_similar_words_neighbours() -> None:
    vocabulary = Vocabulary.fit(sentences(), "word", lines=False)
    words = WordCorpus(vocabulary.tokens, [vocabulary.encode(line) for line in sentences()])
    vectors = cbow(words, 16, seed=0)
    assert np.array_equal(vectors, cbow(words, 16, seed=0))
    assert not np.array_equal(vectors, cbow(words, 16, seed=1))
    assert not vectors[0].any(), "<unk> keeps no company"
    nearest = neighbours(vocabulary.tokens[1:], vectors[1:])
    for members in CLASSES.values():
        assert all(nearest[word] in members for word in members)


def test_cbow_on_shuffled_text_finds_no_neighbours() -> None:
    """The same words in random order show that the test above can fail."""
    draw = random.Random(0)
    everything = [word for line in sentences() for word in line.split()]
    draw.shuffle(everything)
    vocabulary = Vocabulary.fit([" ".join(everything)], "word", lines=False)
    vectors = cbow(WordCorpus(vocabulary.tokens, [vocabulary.encode(" ".join(everything))]), 16, seed=0)
    nearest = neighbours(vocabulary.tokens[1:], vectors[1:])
    hits = [nearest[word] in members for members in CLASSES.values() for word in members]
    assert sum(hits) < len(hits)


def test_cbow_starts_a_run(tmp_path: Path) -> None:
    run = seriatim.train("classify", messages(), **quick(vectors="cbow", out=str(tmp_path / "run")))
    assert "vectors: 100.0 % of the vocabulary trained on the training part" in run.notes
    assert run.network.embeddings.weight.shape[1] == 8  # type: ignore[attr-defined]


def test_train_vectors_writes_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    count = train_vectors(sentences(300), file, width=12)
    results = read_vectors(file, {"cat", "dog", "<unk>"})
    assert count == 15
    assert results.keys() == {"cat", "dog"}
    assert all(vector.shape == (12,) and vector.any() for vector in results.values())
    assert seriatim.train_vectors(sentences(300), tmp_path / "few.txt", width=12, vocab_size=5) == 4
    for arguments, error in (
        ({"width": 0}, "width: got 0"),
        ({"window": 0}, "window"),
        ({"vocab_size": 1}, "vocab_size"),
    ):
        with pytest.raises(UsageError, match=error):
            train_vectors(sentences(3), file, **arguments)  # type: ignore[arg-type]


def test_vectors_of_a_single_word() -> None:
    vectors = cbow(WordCorpus(["<unk>", "one", "absent"], [np.array([1]), np.array([], np.int32)]), 4, seed=0)
    assert vectors.shape == (3, 4)
    assert not vectors[2].any()


def test_text_tasks_have_a_word_corpus() -> None:
    text = "\n".join(sentences(100)) + "\n"
    implementation = find_task("language")
    for unit, message in (("word", True), ("char", False)):
        prepared = implementation.prepare(dataclasses.replace(LanguageOptions(), unit=unit), [text])
        words = implementation.word_corpus(prepared)
        assert (words is not None) is message
        if words is not None:
            assert words.tokens == prepared.codec.tokens
            assert np.array_equal(words.sentences[0], prepared.train.tokens)
