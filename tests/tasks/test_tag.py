"""Taggers from a file to scores: parts, unseen tags, and fields of predictions."""

from __future__ import annotations

import csv
import dataclasses
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from seriatim.errors import DataError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.tagger import NO_TAG
from seriatim.notation import UNKNOWN
from seriatim.run import load, train
from seriatim.run.fitting import fit
from seriatim.tasks import tag as tag_task
from seriatim.tasks.common.blend import Member
from seriatim.tasks.common.entities import entity_f1
from seriatim.tasks.common.tag_codec import LONGEST_SPELLING
from seriatim.tasks.common.tagging import decode
from seriatim.tasks.options import TagOptions
from seriatim.tasks.tag import Tag

TASK = Tag()
OPTIONS = TagOptions(
    hidden=8, embedding=8, spelling=6, epochs=8, batch_size=8, lr=3e-2, dropout=0.0, threads=1, batch_tokens=200
)
Pairs = list[tuple[list[str], list[str]]]


def parts_of_speech(count: int = 60, seed: int = 0) -> Pairs:
    """Sentences where the ending of a word decides its tag, except for "light", where the next word does."""
    draw = random.Random(seed)
    sentences = []
    for _ in range(count):
        words, tags = ["the"], ["DET"]
        for _ in range(draw.randint(1, 4)):
            stem = "".join(draw.choice(letters) for letters in ("mtks", "aeiou", "rln", "aeiou"))
            ending, pair = draw.choice([("ness", ["ADJ", "NOUN"]), ("ly", ["VERB", "ADV"])])
            words += ["light", stem + ending]
            tags += pair
        sentences.append((words, tags))
    return sentences


def names(count: int = 80, seed: int = 0) -> Pairs:
    """Sentences with names of people (two words) and of places (one or two words)."""
    draw = random.Random(seed)
    sentences: Pairs = []
    for _ in range(count):
        words, tags = [], []
        for _ in range(draw.randint(2, 4)):
            task = draw.choice(["O", "PER", "LOC"])
            group = {
                "O": [draw.choice(["sees", "and", "walks"])],
                "PER": [draw.choice(["Ada", "Bob", "Eve"]), draw.choice(["Hill", "Stone"])],
                "LOC": draw.choice([["Rome"], ["New", "Stone"], ["Hill"]]),
            }[task]
            words += group
            tags += ["O"] if task == "O" else [f"B-{task}", *[f"I-{task}"] * (len(group) - 1)]
        sentences.append((words, tags))
    return sentences


def fit_model(source: object, **arguments: Any) -> tuple[Any, Any]:
    options = dataclasses.replace(OPTIONS, **arguments)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


def score(model: Any, prepared: Any) -> dict[str, float]:
    return TASK.score(model, OPTIONS, prepared.codec, prepared.test)


@pytest.mark.parametrize("arguments", [{"characters": "cnn"}, {"crf": True, "model": "gru", "lowercase": False}])
def test_tagger_learns_endings_and_neighbours(arguments: dict[str, Any]) -> None:
    network, prepared = fit_model(parts_of_speech(), **arguments)
    scores = score(network, prepared)
    assert set(scores) == {"accuracy", "macro_f1"} and scores["accuracy"] > 0.97


@pytest.mark.parametrize(
    "arguments", [{"model": "most_frequent_tag"}, {"bidirectional": False}, {"characters": "none"}]
)
def test_tagger_without_context_or_spelling_is_worse(arguments: dict[str, Any]) -> None:
    network, prepared = fit_model(parts_of_speech(), **arguments)
    assert 0.4 < score(network, prepared)["accuracy"] < 0.95


@pytest.mark.parametrize("least", [1, 40])
def test_training_without_epochs_ends_after_six_epochs_or_the_least_number_of_updates(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seriatim.tasks.tag.LEAST_UPDATES", least)
    options = dataclasses.replace(OPTIONS, epochs=None)
    prepared = TASK.prepare(options, parts_of_speech(20))
    batches = -(-prepared.sizes["train"] // OPTIONS.batch_size)
    outcome = fit(TASK, TASK.make(options, prepared.codec), options, prepared, NullStore(), Silent())
    assert outcome.steps == max(6 * batches, least)


def test_entity_f1_is_scored() -> None:
    network, prepared = fit_model(names(), crf=True)
    assert score(network, prepared)["entity_f1"] > 0.95
    baseline, repeated = fit_model(names(), model="most_frequent_tag")
    assert score(baseline, repeated)["entity_f1"] < 0.9


def test_scores_by_hand() -> None:
    model, prepared = fit_model(parts_of_speech(), model="most_frequent_tag")
    results = np.concatenate(decode(model, prepared.test))
    truth = np.concatenate(prepared.test.tags)
    assert score(model, prepared)["accuracy"] == pytest.approx(np.mean(results == truth))


def test_decoding_does_not_depend_on_batch() -> None:
    network, prepared = fit_model(parts_of_speech(), crf=True, epochs=2)
    texts = prepared.test.texts
    batched = [tags.tolist() for tags in decode(network, prepared.test)]
    assert [len(tags) for tags in batched] == [len(words) for words in texts]
    backwards = decode(network, prepared.codec.encode(texts[::-1]))[::-1]
    single = [decode(network, prepared.codec.encode([words]))[0] for words in texts]
    assert [tags.tolist() for tags in backwards] == [tags.tolist() for tags in single] == batched


def test_batches_contain_each_word_once_within_limits() -> None:
    prepared = TASK.prepare(OPTIONS, parts_of_speech())
    split, codec = prepared.train, prepared.codec
    batch = split.batch(np.array([3, 0, 7]))
    assert batch.units == sum(len(split.texts[index]) for index in (3, 0, 7))
    for row, index in enumerate((3, 0, 7)):
        length = len(split.texts[index])
        assert codec.tags.decode(batch.tags[:length, row].tolist()) == codec.tags.decode(split.tags[index])
        assert (batch.tags[length:, row] == NO_TAG).all()
        for t, word in enumerate(split.texts[index]):
            place = batch.spellings.places[t, row]
            letters = batch.spellings.characters[: batch.spellings.lengths[place], place]
            assert codec.characters.decode(letters.numpy()) == word
            assert codec.vocabulary.tokens[batch.words[t, row]] == word


def test_words_are_sorted_by_frequency() -> None:
    prepared = TASK.prepare(OPTIONS, parts_of_speech())
    codec, texts = prepared.codec, prepared.train.texts
    counts = {word: sum(words.count(word) for words in texts) for words in texts for word in words}
    tokens = codec.vocabulary.tokens[1:]
    assert set(tokens) == set(counts)
    assert all(counts[word] > 1 for word in tokens[: codec.rare - 1])
    assert all(counts[word] == 1 for word in tokens[codec.rare - 1 :]) and codec.rare <= len(tokens)
    cut = TASK.prepare(dataclasses.replace(OPTIONS, vocab_size=5), parts_of_speech())
    assert cut.codec.vocabulary.tokens == codec.vocabulary.tokens[:5]
    words = TASK.word_corpus(prepared)
    assert words.tokens == codec.vocabulary.tokens and len(words.sentences) == len(texts)
    model: Any = TASK.make(OPTIONS, codec)
    assert len(model.embeddings.weight) == len(words.tokens)


def test_lower_case_does_not_apply_to_spelling() -> None:
    codec = TASK.prepare(OPTIONS, names()).codec
    assert "rome" in codec.vocabulary.tokens and "Rome" not in codec.vocabulary.tokens
    sentence = codec.encode([["Rome", "rome", "ROME"]])
    assert len(set(sentence.words[0].tolist())) == 1 and sentence.words[0][0] != UNKNOWN
    assert codec.characters.decode(sentence.spellings[0]) == "Rome"
    separate = TASK.prepare(dataclasses.replace(OPTIONS, lowercase=False), names()).codec
    assert "Rome" in separate.vocabulary.tokens and "rome" not in separate.vocabulary.tokens


def test_both_ends_of_a_long_word_are_read() -> None:
    codec = TASK.prepare(OPTIONS, names()).codec
    word = "R" * 20 + "o" * 40 + "m" * 20
    (spelling,) = codec.encode([[word]]).spellings
    assert codec.characters.decode(spelling) == "R" * 16 + "m" * 16 and len(spelling) == LONGEST_SPELLING


def test_split_is_80_10_10_and_seeded() -> None:
    prepared = TASK.prepare(OPTIONS, parts_of_speech())
    assert prepared.sizes == {"train": 48, "valid": 6, "test": 6}
    other = TASK.prepare(dataclasses.replace(OPTIONS, seed=1), parts_of_speech())
    assert other.test.texts != prepared.test.texts and other.hash == prepared.hash
    assert TASK.prepare(OPTIONS, parts_of_speech(seed=1)).hash != prepared.hash


@pytest.mark.parametrize("seed", range(4))
def test_rare_tag_is_in_training_part(seed: int) -> None:
    """With some of these seeds, its only sentence would be in the validation or test part."""
    rare = [(["oh", "the", f"n{number}"], ["X", "DET", tag]) for number, tag in enumerate(["A", "B", "C", "D"])]
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, seed=seed), parts_of_speech(30) + rare)
    tags = prepared.codec.tags
    assert {"A", "B", "C", "D"} <= set(tags.names)
    assert sum(prepared.sizes.values()) == 34 and min(prepared.sizes.values()) >= 1
    assert set(np.concatenate(prepared.train.tags).tolist()) == set(range(len(tags)))


def test_valid_and_test_files_are_used_whole(tmp_path: Path) -> None:
    for name, seed in (("valid", 1), ("test", 2)):
        write(tmp_path / f"{name}.tsv", parts_of_speech(20, seed))
    fixed = {name: str(tmp_path / f"{name}.tsv") for name in ("valid", "test")}
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, **fixed), parts_of_speech(30))
    assert prepared.sizes == {"train": 30, "valid": 20, "test": 20}
    assert prepared.test.texts == [words for words, _ in parts_of_speech(20, 2)]
    cut = TASK.prepare(dataclasses.replace(OPTIONS, test=fixed["test"]), parts_of_speech(30))
    assert cut.sizes == {"train": 27, "valid": 3, "test": 20}


def test_duplicates_between_parts_are_noted_and_can_be_dropped() -> None:
    doubled = [(["w", str(number)], ["A", "B"]) for number in range(60)] * 2
    notes = TASK.prepare(OPTIONS, doubled).notes
    assert len(notes) == 2
    assert all("sentences are also in the training part (--drop-duplicates)" in note for note in notes)
    dropped = TASK.prepare(dataclasses.replace(OPTIONS, drop_duplicates=True), doubled)
    assert dropped.notes == ("60 duplicates dropped before splitting",)
    assert sum(dropped.sizes.values()) == 60


def test_codec_json_round_trip() -> None:
    codec = TASK.prepare(OPTIONS, names()).codec
    loaded = TASK.codec_from_json(codec.to_json())
    assert loaded.to_json() == codec.to_json()
    assert loaded.sizes() == codec.sizes()
    with pytest.raises(ValueError, match="rare"):
        TASK.codec_from_json(codec.to_json() | {"rare": "6"})


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ([(["a", "b"], ["X", "X"])] * 20, "column: a single tag 'X' in the training part, wanted at least 2"),
        ([(["a", "b"], ["X", "Y"])] * 2, "valid part: no sentences; too little data"),
        ([(["a", "b"], ["X", "Y"]), (["a"], ["X", "Y"])], "data item 2: 1 word, but 2 tags"),
        ([["a", "b"]] * 20, "data item 1: words without tags, wanted a pair of (words, tags)"),
    ],
)
def test_unusable_data_in_memory_are_refused(source: object, error: str) -> None:
    with pytest.raises(DataError) as refused:
        TASK.prepare(OPTIONS, source)
    assert str(refused.value) == error


@pytest.mark.parametrize("crf", [False, True])
def test_unseen_tags_are_scored_as_errors(tmp_path: Path, crf: bool) -> None:
    """The scores equal scikit-learn's on the names; the validation loss is computed from the other sentences."""
    known = [(["light", "mareness"], ["ADJ", "NOUN"]), (["the", "light", "kiraly"], ["DET", "VERB", "ADV"])]
    unseen = [(["oh", "light"], ["INTJ", "VERB"]), (["the", "mm"], ["DET", "X"])]
    write(tmp_path / "known.tsv", known)
    write(tmp_path / "new.tsv", known + unseen)
    rows = {}
    for name in ("known", "new"):
        file = str(tmp_path / f"{name}.tsv")
        options = dataclasses.replace(OPTIONS, valid=file, test=file, epochs=2, crf=crf)
        prepared = TASK.prepare(options, parts_of_speech())
        torch.manual_seed(0)
        model = TASK.make(options, prepared.codec)
        (*_, rows[name]) = fit(TASK, model, options, prepared, NullStore(), Silent()).rows
    assert rows["new"]["valid_nll"] == pytest.approx(rows["known"]["valid_nll"], rel=1e-5)
    note = f"2 of 9 tags are not in the training part and count as errors, the first {tmp_path}/new.tsv line 8: 'INTJ'"
    assert prepared.notes[-2:] == (f"valid part: {note}", f"test part: {note}")
    new = TASK.read(options, prepared.codec, tmp_path / "new.tsv")
    assert new.notes == (f"new data: {note}",)
    truth = [tag for _, tags in known + unseen for tag in tags]
    sources = [words for words, _ in known + unseen]
    tags_of_rows = [tag for row in TASK.predict(model, options, prepared.codec, sources) for tag in row["tags"]]
    for scores in (TASK.score(model, options, prepared.codec, part) for part in (new.part, prepared.test)):
        assert scores["accuracy"] == pytest.approx(accuracy_score(truth, tags_of_rows))
        assert scores["accuracy"] <= 7 / 9
        assert scores["macro_f1"] == pytest.approx(f1_score(truth, tags_of_rows, average="macro", zero_division=0.0))


def test_entities_with_unseen_tags_are_scored_as_errors() -> None:
    prepared = TASK.prepare(OPTIONS, names())
    new = TASK.read(OPTIONS, prepared.codec, [(["Ada", "Hill"], ["B-PER", "I-PER"]), (["Acme"], ["B-ORG"])])
    model = MostFrequentTag(len(prepared.codec.tags))
    fit(TASK, model, OPTIONS, prepared, NullStore(), Silent())
    tags_of_rows = [prepared.codec.tags.decode(tags) for tags in decode(model, new.part)]
    assert TASK.score(model, OPTIONS, prepared.codec, new.part)["entity_f1"] == pytest.approx(
        entity_f1([["B-PER", "I-PER"], ["B-ORG"]], tags_of_rows)
    )


def test_run_from_file_to_predictions(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", names())
    write(tmp_path / "new.tsv", names(9, seed=5))
    keep = ("hidden", "embedding", "spelling", "epochs", "batch_size", "lr", "dropout", "threads")
    options: dict[str, Any] = {name: getattr(OPTIONS, name) for name in keep}
    run = train("tag", tmp_path / "train.tsv", out=str(tmp_path / "run"), crf=True, **options)
    assert run.result["scores"]["entity_f1"] > run.result["baselines"]["most_frequent_tag"]["entity_f1"]
    loaded = load(tmp_path / "run")
    assert loaded.evaluate()["scores"] == run.result["scores"]
    assert loaded.evaluate()["baselines"] == run.result["baselines"]
    new_data = loaded.evaluate(tmp_path / "new.tsv")
    assert new_data["data"]["test"] == 9 and set(new_data["baselines"]) == {"most_frequent_tag", "perceptron"}
    rows = list(loaded.predict(tmp_path / "new.tsv"))
    assert [row["words"] for row in rows] == [words for words, _ in names(9, seed=5)]
    right = sum(a == b for row, (_, tags) in zip(rows, names(9, seed=5), strict=True)
                for a, b in zip(row["tags"], tags, strict=True))  # fmt: skip
    assert right / sum(len(row["tags"]) for row in rows) == pytest.approx(new_data["scores"]["accuracy"])
    (first,) = loaded.predict(["Ada Hill sees unheard-of Rome"])
    assert first["row"] == 1 and first["words"][0] == "Ada" and first["tags"][:2] == ["B-PER", "I-PER"]
    loaded.write_predictions(["Ada Hill", "sees"], tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"row": "1", "position": "1", "word": "Ada", "tag": "B-PER"},
            {"row": "1", "position": "2", "word": "Hill", "tag": "I-PER"},
            {"row": "2", "position": "1", "word": "sees", "tag": "O"},
        ]


def write(file: Path, sentences: Pairs) -> None:
    blocks = ("".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True)) for sentence in sentences)
    file.write_text("\n".join(blocks))


def test_predictions_agree_by_path_stream_and_list(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, model="most_frequent_tag")
    prepared = TASK.prepare(options, parts_of_speech())
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    text = "red rose\u2028now\n\nsea sky\n"
    (tmp_path / "a.txt").write_text(text)
    stream = TASK.from_stream(io.BytesIO(text.encode()), "txt")
    by_path, by_stream, by_list = (
        list(TASK.predict(model, options, prepared.codec, source))
        for source in (tmp_path / "a.txt", stream, ["red rose\u2028now", "sea sky"])
    )
    assert by_path == by_stream and [row["row"] for row in by_path] == [1, 3]
    assert [row["words"] for row in by_path] == [row["words"] for row in by_list]


def test_weights_with_a_crf_are_fitted_on_known_tags_and_on_a_part_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    network, prepared = fit_model(names(), crf=True, epochs=1)
    baseline, _ = fit_model(names(), model="perceptron")
    members = {"lstm": Member(network, OPTIONS), "perceptron": Member(baseline, OPTIONS)}
    parts = []
    original = tag_task.scores_of
    monkeypatch.setattr(tag_task, "scores_of", lambda model, part: parts.append(part) or original(model, part))

    def lengths_of_fit(part: Any) -> list[int]:
        parts.clear()
        choice = TASK.choose(members, prepared.codec, part)
        assert choice.best in {"blend", "lstm", "perceptron"}
        return parts[0].lengths.tolist() if parts else []

    whole = prepared.train
    assert lengths_of_fit(whole) == whole.lengths.tolist()
    unknown = [
        np.full_like(tags, len(prepared.codec.tags)) if row == 0 else tags for row, tags in enumerate(whole.tags)
    ]
    assert lengths_of_fit(dataclasses.replace(whole, tags=unknown)) == whole.lengths.tolist()[1:]
    nothing = dataclasses.replace(whole, tags=[np.full_like(tags, len(prepared.codec.tags)) for tags in whole.tags])
    assert lengths_of_fit(nothing) == []
    transitions = int(whole.lengths.sum()) * len(prepared.codec.tags) ** 2
    monkeypatch.setattr(tag_task, "LARGEST_FIT", transitions // 2)
    assert lengths_of_fit(whole) in (whole.lengths.tolist()[::2], whole.lengths.tolist()[::3])
