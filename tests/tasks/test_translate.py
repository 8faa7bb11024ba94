"""Translation from pairs to scores: what is learned, how it is written, and what is told of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.run import train
from seriatim.run.fitting import fit
from seriatim.tasks.options import TranslateOptions
from seriatim.tasks.task import GenerateRequest
from seriatim.tasks.translate import Translate

TASK = Translate()
OPTIONS = TranslateOptions(
    hidden=24, embedding=8, batch_size=16, epochs=25, lr=1e-2, unit="char", beam_size=2, threads=1
)
Pairs = list[tuple[str, str]]


def turned(count: int = 150) -> Pairs:
    """Two to four letters, and the same from the end in capitals."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcde"), draw.integers(2, 5))) for _ in range(count)]
    return [(word, word[::-1].upper()) for word in words]


def fitted(source: object, **given: Any) -> tuple[Any, Any, TranslateOptions]:
    options = dataclasses.replace(OPTIONS, **given)
    TASK.check(options)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared, options


@pytest.fixture(scope="module")
def learned() -> tuple[Any, Any, TranslateOptions]:
    return fitted(turned())


def test_it_learns_what_can_be_learned(learned: Any) -> None:
    model, prepared, options = learned
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    assert set(scores) == {"bleu", "chrf", "exact_match", "perplexity"}
    assert scores["exact_match"] > 0.6
    assert scores["perplexity"] < 2.0
    for baseline in ("nearest", "copy"):
        beside = TASK.baseline_options(options, baseline)
        other = TASK.make(beside, prepared.codec)
        fit(TASK, other, beside, prepared, NullStore(), Silent())
        assert TASK.score(other, beside, prepared.codec, prepared.test)["chrf"] < scores["chrf"]


def test_a_prediction_is_the_best_of_the_beam(learned: Any) -> None:
    model, prepared, options = learned
    asked = dataclasses.replace(options, beam_size=5, n_best=3, alignment=True)
    rows = list(TASK.predict(model, asked, prepared.codec, ["abc", "edcb"]))
    assert [row["row"] for row in rows] == [1, 2]
    for row in rows:
        best = row["n_best"][0]
        assert (row["prediction"], row["score"]) == (best["prediction"], best["score"])
        scores = [one["score"] for one in row["n_best"]]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3
        looked = row["alignment"]
        assert looked["source"] == list(row["source"])
        assert looked["target"] == list(row["prediction"])
        np.testing.assert_allclose(np.sum(looked["weights"], 1), 1.0, atol=1e-3)
        assert np.shape(looked["weights"]) == (len(row["prediction"]), len(row["source"]))
    flat = list(TASK.csv_rows(rows[0]))
    assert [one["rank"] for one in flat] == [1, 2, 3] and set(flat[0]) == {
        "row",
        "source",
        "rank",
        "prediction",
        "score",
    }
    plain = next(iter(TASK.predict(model, options, prepared.codec, ["abc"])))
    assert list(TASK.csv_rows(plain)) == [plain]


def test_predictions_do_not_depend_on_company(learned: Any) -> None:
    model, prepared, options = learned
    sources = prepared.test.pairs.sources
    together = [row["prediction"] for row in TASK.predict(model, options, prepared.codec, sources)]
    alone = [next(iter(TASK.predict(model, options, prepared.codec, [one])))["prediction"] for one in sources]
    assert together == alone


def test_a_reversed_source_is_aligned_as_it_stands() -> None:
    model, prepared, options = fitted(turned(40), epochs=1, reverse=True)
    units = prepared.codec.encode_inputs(["abc"])[0]
    assert prepared.codec.source.decode(units) == "cba"
    (row,) = TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, ["abc"])
    assert row["alignment"]["source"] == ["a", "b", "c"]
    straight, _, _ = fitted(turned(40), epochs=1)
    assert model.state_dict().keys() == straight.state_dict().keys()


def test_generate_answers_piece_by_piece(learned: Any) -> None:
    model, prepared, options = learned
    asked = GenerateRequest(prompt="abc", temperature=0.0)
    pieces = list(TASK.generate(model, options, prepared.codec, asked))
    greedy = dataclasses.replace(options, beam_size=1)
    (row,) = TASK.predict(model, greedy, prepared.codec, ["abc"])
    assert len(pieces) > 1 and "".join(pieces) == row["prediction"]
    short = list(TASK.generate(model, options, prepared.codec, dataclasses.replace(asked, length=2)))
    assert short == pieces[:2]
    with pytest.raises(UsageError, match="prompt: empty"):
        TASK.generate(model, options, prepared.codec, GenerateRequest(prompt=" "))


def test_no_text_is_longer_than_asked_for(learned: Any) -> None:
    model, prepared, options = learned
    rows = TASK.predict(model, dataclasses.replace(options, max_length=1), prepared.codec, ["abcd"])
    assert [len(row["prediction"]) for row in rows] == [1]


def test_words_and_punctuation() -> None:
    pairs = [(f"Ein Hund, Nummer {number}!", f"A dog, number {number}!") for number in range(40)]
    _, prepared, _ = fitted(pairs, unit="word", lowercase=True, model="nearest")
    codec = prepared.codec
    assert codec.script.vocabulary.tokens[1:5] == ["a", "dog", ",", "number"]
    units = codec.script.encode_target("A dog, number 7!")
    assert units[-1] == len(codec.script)
    assert codec.script.decode(units[:-1].tolist()) in ("a dog, number 7!", "a dog, number <unk>!")
    assert prepared.train.references[0][0].islower()


def test_the_reader_is_of_the_training_part_and_comes_back_from_its_json() -> None:
    _, prepared, _ = fitted([(f"a{chr(200 + n)}", f"b{chr(300 + n)}") for n in range(40)], model="copy")
    codec = prepared.codec
    assert len(codec.source) == 1 + 1 + prepared.sizes["train"]
    again = TASK.codec_from_json(codec.to_json())
    assert again.to_json() == codec.to_json()


def test_a_vocabulary_of_words_that_misses_much_is_told() -> None:
    pairs = [(f"new{number} a", f"b neu{number}") for number in range(40)]
    notes = TASK.prepare(dataclasses.replace(OPTIONS, unit="word"), pairs).notes
    assert notes[0].startswith("valid: 50% of the sources' words are unknown; --unit bpe")
    assert notes[1].startswith("valid: 33% of the targets' words are unknown")
    assert len(TASK.prepare(OPTIONS, pairs).notes) == 2


def test_the_signature_is_a_note(learned: Any) -> None:
    _, prepared, _ = learned
    assert any(note.startswith("bleu: nrefs:1|") for note in prepared.notes)
    assert any(note.startswith("chrf: nrefs:1|") for note in prepared.notes)


def test_duplicates_and_groups() -> None:
    doubled = turned(60) * 2
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, model="copy"), doubled)
    assert any("sources are also in the training part" in note for note in prepared.notes)
    dropped = TASK.prepare(dataclasses.replace(OPTIONS, model="copy", drop_duplicates=True), doubled)
    assert "duplicates dropped before splitting" in dropped.notes[0]
    rows = [{"source": one, "target": other, "who": f"g{place // 6}"} for place, (one, other) in enumerate(turned(60))]
    grouped = TASK.prepare(dataclasses.replace(OPTIONS, model="copy", group="who"), rows)
    sides = [set(getattr(grouped, part).pairs.groups) for part in ("train", "valid", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@pytest.mark.parametrize("model", ["gru", "transformer"])
def test_a_run_is_saved_resumed_and_evaluated_again(tmp_path: Any, model: str) -> None:
    for name, place in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{pair[place]}\n" for pair in turned(60)))
    given: dict[str, Any] = {
        "source_file": str(tmp_path / "a.txt"), "target_file": str(tmp_path / "b.txt"), "model": model, "epochs": 2,
        "hidden": 16, "unit": "char", "threads": 1, "batch_size": 16,
    }  # fmt: skip
    run = train("translate", out=str(tmp_path / "run"), **given)
    again = train("translate", out=str(tmp_path / "again"), **given)
    assert again.result["scores"] == run.result["scores"]
    assert run.evaluate()["scores"] == run.result["scores"]
    assert run.evaluate()["baselines"] == run.result["baselines"]
    other = run.evaluate([given["source_file"], given["target_file"]], beam_size=1)
    assert other["data"]["test"] == 60 and set(other["scores"]) == set(run.result["scores"])
    run.write_predictions(tmp_path / "a.txt", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "row,source,prediction,score"
    with pytest.raises(UsageError, match="hidden: cannot be changed for a translate run; it takes beam_size"):
        run.evaluate(hidden=3)  # type: ignore[call-arg]


def test_a_transformer_has_no_single_alignment() -> None:
    model, prepared, options = fitted(turned(40), epochs=1, model="transformer", hidden=16)
    with pytest.raises(UsageError, match="alignment: this transformer has many in each layer"):
        list(TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, ["abc"]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source_file": "a"}, "source_file, target_file: give both, or a table as DATA"),
        ({"n_best": 5}, "n_best: got 5, wanted at most the beam's size (2, --beam-size)"),
        ({"teacher_forcing": 1.005}, "teacher_forcing: got 1.005, wanted at most 1"),
        ({"attention": "dot", "bidirectional": True}, "attention: dot wants encoder and decoder of one width"),
        ({"model": "transformer", "peeky": True}, "peeky: for rnn, lstm, gru,"),
        ({"output_start": 0.1, "tie": True}, "output_start: not with --tie"),
        ({"model": "transformer", "embedding_start": 0.1}, "embedding_start: for rnn, lstm, gru,"),
        ({"model": "transformer", "attention": "dot"}, "attention: for rnn, lstm, gru,"),
    ],
)
def test_options_that_contradict_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        TASK.check(dataclasses.replace(OPTIONS, **given))
    assert str(refused.value).startswith(said)


def test_nothing_to_train_on() -> None:
    with pytest.raises(UsageError, match="data: nothing given to train on"):
        train("translate")


def test_too_few_pairs() -> None:
    with pytest.raises(DataError, match="valid part: no pairs; too little data"):
        TASK.prepare(OPTIONS, [("a", "b"), ("c", "d")])
