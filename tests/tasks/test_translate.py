"""Translation from pairs to scores: training, writing, and fields of predictions."""

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
    """Pairs of two to four letters, and the same letters reversed in capitals."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcde"), draw.integers(2, 5))) for _ in range(count)]
    return [(word, word[::-1].upper()) for word in words]


def fit_model(source: object, **arguments: Any) -> tuple[Any, Any, TranslateOptions]:
    options = dataclasses.replace(OPTIONS, **arguments)
    TASK.check(options)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared, options


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any, TranslateOptions]:
    return fit_model(turned())


def test_network_learns(trained: Any) -> None:
    model, prepared, options = trained
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    assert set(scores) == {"bleu", "chrf", "exact_match", "perplexity"}
    assert scores["exact_match"] > 0.6
    assert scores["perplexity"] < 2.0
    for baseline in ("nearest", "copy"):
        beside = TASK.baseline_options(options, baseline)
        other = TASK.make(beside, prepared.codec)
        fit(TASK, other, beside, prepared, NullStore(), Silent())
        assert TASK.score(other, beside, prepared.codec, prepared.test)["chrf"] < scores["chrf"]


def test_transformer_has_a_rate_of_its_own() -> None:
    assert TASK.model_defaults({"model": "transformer"})["lr"] == 1e-3
    assert "lr" not in TASK.model_defaults({"model": "gru"})


@pytest.mark.parametrize("least", [1, 60])
def test_training_without_epochs_ends_after_ten_epochs_or_the_least_number_of_updates(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translate, "least_updates", least)
    options = dataclasses.replace(OPTIONS, epochs=None)
    prepared = TASK.prepare(options, turned(60))
    batches = -(-prepared.sizes["train"] // OPTIONS.batch_size)
    outcome = fit(TASK, TASK.make(options, prepared.codec), options, prepared, NullStore(), Silent())
    assert outcome.steps == max(10 * batches, least)


def test_prediction_is_best_text_of_the_beam(trained: Any) -> None:
    model, prepared, options = trained
    request = dataclasses.replace(options, beam_size=5, n_best=3, alignment=True)
    rows = list(TASK.predict(model, request, prepared.codec, ["abc", "edcb"]))
    assert [row["row"] for row in rows] == [1, 2]
    for row in rows:
        best = row["n_best"][0]
        assert (row["prediction"], row["score"]) == (best["prediction"], best["score"])
        scores = [hypothesis["score"] for hypothesis in row["n_best"]]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3
        looked = row["alignment"]
        assert looked["source"] == list(row["source"])
        assert looked["target"] == list(row["prediction"])
        np.testing.assert_allclose(np.sum(looked["weights"], 1), 1.0, atol=1e-3)
        assert np.shape(looked["weights"]) == (len(row["prediction"]), len(row["source"]))
    flat = list(TASK.csv_rows(rows[0]))
    assert [row["rank"] for row in flat] == [1, 2, 3] and set(flat[0]) == {
        "row",
        "source",
        "rank",
        "prediction",
        "score",
    }
    plain_row = next(iter(TASK.predict(model, options, prepared.codec, ["abc"])))
    assert list(TASK.csv_rows(plain_row)) == [plain_row]


def test_predictions_do_not_depend_on_batch(trained: Any) -> None:
    model, prepared, options = trained
    sources = prepared.test.pairs.sources
    batched = [row["prediction"] for row in TASK.predict(model, options, prepared.codec, sources)]
    single = [next(iter(TASK.predict(model, options, prepared.codec, [source])))["prediction"] for source in sources]
    assert batched == single


def test_alignment_of_reversed_source_is_in_text_order() -> None:
    model, prepared, options = fit_model(turned(40), epochs=1, reverse=True)
    units = prepared.codec.encode_inputs(["abc"])[0]
    assert prepared.codec.source.decode(units) == "cba"
    (row,) = TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, ["abc"])
    assert row["alignment"]["source"] == ["a", "b", "c"]
    straight, _, _ = fit_model(turned(40), epochs=1)
    assert model.state_dict().keys() == straight.state_dict().keys()


def test_generate_answers_piece_by_piece(trained: Any) -> None:
    model, prepared, options = trained
    request = GenerateRequest(prompt="abc", temperature=0.0)
    pieces = list(TASK.generate(model, options, prepared.codec, request))
    greedy = dataclasses.replace(options, beam_size=1)
    (row,) = TASK.predict(model, greedy, prepared.codec, ["abc"])
    assert len(pieces) > 1 and "".join(pieces) == row["prediction"]
    short = list(TASK.generate(model, options, prepared.codec, dataclasses.replace(request, length=2)))
    assert short == pieces[:2]
    with pytest.raises(UsageError, match="prompt: empty"):
        TASK.generate(model, options, prepared.codec, GenerateRequest(prompt=" "))


def test_max_length_limits_texts(trained: Any) -> None:
    model, prepared, options = trained
    rows = TASK.predict(model, dataclasses.replace(options, max_length=1), prepared.codec, ["abcd"])
    assert [len(row["prediction"]) for row in rows] == [1]


def test_words_and_punctuation() -> None:
    pairs = [(f"Ein Hund, Nummer {number}!", f"A dog, number {number}!") for number in range(40)]
    _, prepared, _ = fit_model(pairs, unit="word", lowercase=True, model="nearest")
    codec = prepared.codec
    assert codec.script.vocabulary.tokens[1:5] == ["a", "dog", ",", "number"]
    units = codec.script.encode_target("A dog, number 7!")
    assert units[-1] == len(codec.script)
    assert codec.script.decode(units[:-1].tolist()) in ("a dog, number 7!", "a dog, number <unk>!")
    assert prepared.train.references[0][0].islower()


def test_codec_is_fitted_on_training_part_and_survives_json() -> None:
    _, prepared, _ = fit_model([(f"a{chr(200 + n)}", f"b{chr(300 + n)}") for n in range(40)], model="copy")
    codec = prepared.codec
    assert len(codec.source) == 1 + 1 + prepared.sizes["train"]
    loaded = TASK.codec_from_json(codec.to_json())
    assert loaded.to_json() == codec.to_json()


def test_many_unknown_words_give_a_note() -> None:
    pairs = [(f"new{number} a", f"b neu{number}") for number in range(40)]
    notes = TASK.prepare(dataclasses.replace(OPTIONS, unit="word"), pairs).notes
    assert notes[0].startswith("valid: 50 % of the sources' words are unknown; --unit bpe")
    assert notes[1].startswith("valid: 33 % of the targets' words are unknown")
    assert len(TASK.prepare(OPTIONS, pairs).notes) == 2


def test_signatures_are_notes(trained: Any) -> None:
    _, prepared, _ = trained
    assert any(note.startswith("bleu: nrefs:1|") for note in prepared.notes)
    assert any(note.startswith("chrf: nrefs:1|") for note in prepared.notes)


def test_duplicates_and_groups() -> None:
    doubled = turned(60) * 2
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, model="copy"), doubled)
    assert any("sources are also in the training part" in note for note in prepared.notes)
    dropped = TASK.prepare(dataclasses.replace(OPTIONS, model="copy", drop_duplicates=True), doubled)
    assert "duplicates dropped before splitting" in dropped.notes[0]
    rows = [
        {"source": source, "target": target, "who": f"g{place // 6}"}
        for place, (source, target) in enumerate(turned(60))
    ]
    grouped = TASK.prepare(dataclasses.replace(OPTIONS, model="copy", group="who"), rows)
    sides = [set(getattr(grouped, part).pairs.groups) for part in ("train", "valid", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@pytest.mark.parametrize("model", ["gru", "transformer"])
def test_run_can_be_resumed_and_evaluated(tmp_path: Any, model: str) -> None:
    for name, place in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{pair[place]}\n" for pair in turned(60)))
    arguments: dict[str, Any] = {
        "source_file": str(tmp_path / "a.txt"), "target_file": str(tmp_path / "b.txt"), "model": model, "epochs": 2,
        "hidden": 16, "unit": "char", "threads": 1, "batch_size": 16,
    }  # fmt: skip
    run = train("translate", out=str(tmp_path / "run"), **arguments)
    loaded = train("translate", out=str(tmp_path / "again"), **arguments)
    assert loaded.result["scores"] == run.result["scores"]
    assert run.evaluate()["scores"] == run.result["scores"]
    assert run.evaluate()["baselines"] == run.result["baselines"]
    other = run.evaluate([arguments["source_file"], arguments["target_file"]], beam_size=1)
    assert other["data"]["test"] == 60 and set(other["scores"]) == set(run.result["scores"])
    run.write_predictions(tmp_path / "a.txt", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "row,source,prediction,score"
    with pytest.raises(UsageError, match="hidden: cannot be changed for a translate run; it takes beam_size"):
        run.evaluate(hidden=3)  # type: ignore[call-arg]


def test_alignment_is_refused_for_transformer() -> None:
    model, prepared, options = fit_model(turned(40), epochs=1, model="transformer", hidden=16)
    with pytest.raises(UsageError, match="alignment: this transformer has many in each layer"):
        list(TASK.predict(model, dataclasses.replace(options, alignment=True), prepared.codec, ["abc"]))


@pytest.mark.parametrize(
    ("arguments", "error"),
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
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError) as refused:
        TASK.check(dataclasses.replace(OPTIONS, **arguments))
    assert str(refused.value).startswith(error)


def test_missing_data_are_refused() -> None:
    with pytest.raises(UsageError, match="data: nothing given to train on"):
        train("translate")


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="valid part: no pairs; too little data"):
        TASK.prepare(OPTIONS, [("a", "b"), ("c", "d")])
