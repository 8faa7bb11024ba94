"""Language models from text to scores: the chain rule, the split, and generated text."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seriatim
from seriatim.data.documents import BOUNDARIES, join
from seriatim.data.streams import Streams
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.models.language import NO_TARGET
from seriatim.notation import UNKNOWN
from seriatim.options import fill
from seriatim.run.fitting import fit
from seriatim.tasks.common import next_units
from seriatim.tasks.common.next_units import log_probabilities, unit_stepper
from seriatim.tasks.common.text_batches import StreamEpoch, document_epoch
from seriatim.tasks.language import Language, Text
from seriatim.tasks.options import LanguageOptions
from seriatim.tasks.task import GenerateRequest

TASK = Language()
OPTIONS = LanguageOptions(
    hidden=16, epochs=1, truncation=(20,), batch_size=8, lr=2e-2, embedding=8, context=3, order=3
)  # fmt: skip
MODELS = ("lstm", "transformer", "cnn", "unigram", "markov", "cbow", "window")


def corpus(lines: int = 300, seed: int = 0) -> str:
    draw = random.Random(seed)
    who, does, place = ("the cat", "a dog", "my bird"), ("sees", "likes", "hears"), ("the sun", "a tree", "my house")
    return "".join(f"{draw.choice(who)} {draw.choice(does)} {draw.choice(place)}.\n" for _ in range(lines))


@pytest.fixture(scope="module")
def prepared() -> Any:
    return TASK.prepare(OPTIONS, [corpus()])


@pytest.fixture(scope="module")
def models(prepared: Any) -> dict[str, Any]:
    """A briefly trained model of each type."""
    fit_model = {}
    for name in MODELS:
        torch.manual_seed(0)
        options = dataclasses.replace(OPTIONS, model=name)
        fit_model[name] = TASK.make(options, prepared.codec)
        fit(TASK, fit_model[name], options, prepared, NullStore(), Silent())
    return fit_model


# The chain rule


@pytest.mark.parametrize("name", MODELS)
def test_joint_log_probability_is_the_sum_over_steps(models: dict[str, Any], prepared: Any, name: str) -> None:
    tokens = prepared.test.tokens[:40]
    model = models[name]
    stepper = unit_stepper(model)
    last, state = stepper.read(np.zeros(0, np.int32))
    by_step = []
    for token in tokens.tolist():
        log_chances, state = stepper.step(last, state)
        by_step.append(log_chances[token])
        last = token
    np.testing.assert_allclose(log_probabilities(model, tokens), by_step, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_unit_probabilities_sum_to_one(models: dict[str, Any], prepared: Any, name: str) -> None:
    model = models[name]
    stepper = unit_stepper(model)
    for length in (0, 1, 2, 7):
        log_chances, _ = stepper.step(*stepper.read(prepared.test.tokens[:length]))
        assert log_chances.shape == (len(prepared.codec),)
        assert np.exp(log_chances).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_every_unit_is_predicted_once_and_sees_only_the_past(models: dict[str, Any], prepared: Any, name: str) -> None:
    tokens = prepared.test.tokens[:60]
    whole = log_probabilities(models[name], tokens)
    assert whole.shape == tokens.shape
    np.testing.assert_allclose(log_probabilities(models[name], tokens[:25]), whole[:25], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_scoring_in_rows_is_nearly_exact(
    models: dict[str, Any], prepared: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parallel rows with a warm-up are compared with one row that carries its state through the whole text."""
    tokens = prepared.train.tokens
    folded = log_probabilities(models[name], tokens)  # ten rows
    monkeypatch.setattr(next_units, "EVALUATION_ROWS", 1)
    exact = log_probabilities(models[name], tokens)
    assert folded.shape == exact.shape == tokens.shape
    # After 512 units of warm-up nothing of the start is left in so small a state but rounding.
    np.testing.assert_allclose(folded, exact, rtol=1e-3, atol=1e-3)
    assert folded.mean() == pytest.approx(exact.mean(), rel=1e-5)
    monkeypatch.setattr(next_units, "EVALUATION_STEPS", 7)
    np.testing.assert_allclose(log_probabilities(models[name], tokens), exact, rtol=1e-4, atol=1e-5)


def test_scoring_in_rows_without_warm_up_differs(
    models: dict[str, Any], prepared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = prepared.train.tokens
    exact = log_probabilities(models["lstm"], tokens)
    warmed = next_units.scoring_batches
    monkeypatch.setattr(
        next_units, "scoring_batches", lambda tokens, rows, steps, warmup: warmed(tokens, rows, steps, 0)
    )
    assert not np.allclose(log_probabilities(models["lstm"], tokens), exact, rtol=1e-3, atol=1e-3)


# Scores


@pytest.mark.parametrize("name", MODELS)
def test_scores_follow_from_mean_nll(models: dict[str, Any], prepared: Any, name: str) -> None:
    scores = TASK.score(models[name], OPTIONS, prepared.codec, prepared.test)
    nll = -log_probabilities(models[name], prepared.test.tokens).mean()
    assert scores["nll"] == pytest.approx(nll)
    assert scores["perplexity"] == pytest.approx(math.exp(nll))
    assert scores["bits_per_character"] == pytest.approx(nll / math.log(2))  # a unit is a character


def test_bits_per_character_count_characters_not_units() -> None:
    options = dataclasses.replace(OPTIONS, unit="bpe", vocab_size=280, model="unigram")
    prepared = TASK.prepare(options, [corpus()])
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    units, characters = len(prepared.test.tokens), prepared.test.characters
    assert units < characters
    assert scores["bits_per_character"] == pytest.approx(scores["nll"] * units / characters / math.log(2))


def test_word_units_have_no_bits_per_character() -> None:
    options = dataclasses.replace(OPTIONS, unit="word", model="unigram")
    prepared = TASK.prepare(options, [corpus()])
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    assert TASK.score(model, options, prepared.codec, prepared.test).keys() == {"perplexity", "nll"}


# Splits


def test_text_is_split_80_10_10_in_order() -> None:
    text = corpus()
    prepared = TASK.prepare(OPTIONS, [text])
    parts = [prepared.codec.decode(part.tokens) for part in (prepared.train, prepared.valid, prepared.test)]
    assert "".join(parts) == text
    assert [len(part) / len(text) for part in parts] == pytest.approx([0.8, 0.1, 0.1], abs=0.001)


@pytest.mark.parametrize("unit", ["word", "bpe"])
def test_split_does_not_cut_words(unit: str) -> None:
    text = corpus()
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, unit=unit, vocab_size=300), [text])
    assert prepared.notes == ()  # half a word would be unknown
    assert prepared.sizes["train"] / sum(prepared.sizes.values()) == pytest.approx(0.8, abs=0.01)


def test_valid_and_test_files_are_used_whole(tmp_path: Path) -> None:
    text, valid, test = corpus(), corpus(20, seed=1), corpus(30, seed=2)
    (tmp_path / "valid.txt").write_text(valid, encoding="utf-8")
    (tmp_path / "test.txt").write_text(test, encoding="utf-8")
    paths = {"valid": str(tmp_path / "valid.txt"), "test": str(tmp_path / "test.txt")}

    def parts(*arguments: str) -> list[str]:
        options = dataclasses.replace(OPTIONS, **{name: paths[name] for name in arguments})
        prepared = TASK.prepare(options, [text])
        return [prepared.codec.decode(part.tokens) for part in (prepared.train, prepared.valid, prepared.test)]

    assert parts("valid", "test") == [text, valid, test]
    cut = round(0.9 * len(text))
    assert parts("test") == [text[:cut], text[cut:], test]
    assert parts("valid") == [text[:cut], valid, text[cut:]]


def test_vocabulary_is_fitted_on_training_part_and_unknown_units_are_noted() -> None:
    prepared = TASK.prepare(OPTIONS, [corpus() + "Ω" * 20])
    assert "Ω" not in prepared.codec.tokens
    assert (prepared.test.tokens == UNKNOWN).sum() == 20
    (note,) = prepared.notes
    assert note.startswith("test: ") and "count as <unk>" in note


def test_unknown_units_in_new_text_give_a_note() -> None:
    """A text of only unknown units is easy to predict, so its perplexity is meaningless."""
    codec = TASK.prepare(OPTIONS, [corpus()]).codec
    for text, share in (("ΩΩΩΩ", "100.0 %"), ("theΩ", "25.0 %")):
        (note,) = TASK.read(OPTIONS, codec, [text]).notes
        assert note.startswith(f"data: {share} of the units are not in the vocabulary") and "flatters" in note
    assert TASK.read(OPTIONS, codec, ["the sea"]).notes == ()


def test_too_short_text_is_refused() -> None:
    with pytest.raises(DataError, match="too little text"):
        TASK.prepare(OPTIONS, ["abc"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bidirectional": True}, "bidirectional: a language model must not see what it predicts"),
        ({"order": 9}, "order: got 9, wanted at most 8"),
        ({"order": 2, "model": "window"}, r"order: for markov, not window"),
        ({"tie": True, "model": "markov"}, "tie: for networks, not markov"),
        ({"tie": True, "embedding": 7}, r"embedding: got 7, but --tie wants it as wide as --hidden \(16\)"),
    ],
)
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(OPTIONS, order=arguments.pop("order", None), **{"embedding": None, **arguments}))


@pytest.mark.parametrize("model", ["transformer", "cnn"])
def test_every_network_trains_with_tie_and_restart(prepared: Any, model: str) -> None:
    options = dataclasses.replace(OPTIONS, model=model, tie=True, embedding=None, restart=0.5)
    TASK.check(options)
    torch.manual_seed(0)
    network: Any = TASK.make(options, prepared.codec)
    assert network.output is None
    outcome = fit(TASK, network, options, prepared, NullStore(), Silent())
    uniform = math.log(len(prepared.codec))
    assert outcome.rows[-1]["valid_nll"] < 0.8 * uniform


def test_models_without_state_are_refused() -> None:
    with pytest.raises(UsageError, match="model: 'mlp' is not one of rnn, lstm, gru"):
        fill(LanguageOptions, {"model": "mlp"})


# Text that is written


def write(model: Any, options: LanguageOptions, codec: Vocabulary, **request: Any) -> str:
    return "".join(TASK.generate(model, options, codec, GenerateRequest(**request)))


@pytest.mark.parametrize("name", MODELS)
def test_generation_depends_on_seed(models: dict[str, Any], prepared: Any, name: str) -> None:
    text = write(models[name], OPTIONS, prepared.codec, prompt="the ", length=60, seed=1)
    assert len(text) == 60
    assert text == write(models[name], OPTIONS, prepared.codec, prompt="the ", length=60, seed=1)
    assert text != write(models[name], OPTIONS, prepared.codec, prompt="the ", length=60, seed=2)


@pytest.mark.parametrize("name", MODELS)
def test_temperature_0_takes_most_probable_unit(models: dict[str, Any], prepared: Any, name: str) -> None:
    model = models[name]
    text = write(model, OPTIONS, prepared.codec, prompt="a dog l", length=12, temperature=0.0)
    assert text == write(model, OPTIONS, prepared.codec, prompt="a dog l", length=12, temperature=0.0, seed=5)
    assert text == write(model, OPTIONS, prepared.codec, prompt="a dog l", length=12, top_k=1, seed=5)
    stepper = unit_stepper(model)
    log_chances, _ = stepper.step(*stepper.read(prepared.codec.encode("a dog l")))
    log_chances[UNKNOWN] = -np.inf
    assert text[0] == prepared.codec.tokens[int(log_chances.argmax())]


def test_generated_text_resembles_training_text(models: dict[str, Any], prepared: Any) -> None:
    words = set(corpus().split())
    text = write(models["markov"], OPTIONS, prepared.codec, prompt="the cat ", length=200, seed=0)
    assert np.mean([word in words for word in text.split()[1:-1]]) > 0.5


def test_unknown_unit_is_never_generated() -> None:
    options = dataclasses.replace(OPTIONS, unit="word", vocab_size=5, model="unigram")
    prepared = TASK.prepare(options, [corpus()])
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    assert (prepared.train.tokens == UNKNOWN).any()
    assert "<unk>" not in write(model, options, prepared.codec, length=200, seed=0)


def test_word_prompt_continues_in_the_same_line() -> None:
    options = dataclasses.replace(OPTIONS, unit="word", model="markov")
    prepared = TASK.prepare(options, [corpus()])
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    text = write(model, options, prepared.codec, prompt="the cat", length=8, temperature=0.0)
    assert text.split()[0] in ("sees", "likes", "hears")
    assert text.startswith(" ")


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_multibyte_characters_are_generated_whole(unit: str) -> None:
    text = "안녕하세요 세계 여러분\n" * 200
    options = dataclasses.replace(OPTIONS, unit=unit, model="markov", vocab_size=257 if unit == "bpe" else None)
    prepared = TASK.prepare(options, [text])
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    pieces = list(TASK.generate(model, options, prepared.codec, GenerateRequest(length=60, seed=0, temperature=0.0)))
    assert set("".join(pieces)) <= set(text)
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces)


def test_generation_yields_pieces(models: dict[str, Any], prepared: Any) -> None:
    endless = TASK.generate(models["lstm"], OPTIONS, prepared.codec, GenerateRequest(length=10**12, seed=0))
    assert len("".join(itertools.islice(endless, 5))) == 5


def test_repetition_penalty_avoids_earlier_units(models: dict[str, Any], prepared: Any) -> None:
    request = {"prompt": "the cat sees a", "length": 10, "temperature": 0.0}
    plain_row = write(models["markov"], OPTIONS, prepared.codec, **request)
    text = write(models["markov"], OPTIONS, prepared.codec, repetition_penalty=1e6, **request)
    assert len(set(text)) == 10, "no character comes twice"
    assert not set(text) & set(request["prompt"])
    assert len(set(plain_row)) < 10


def test_predict_scores_each_line_separately(models: dict[str, Any], prepared: Any) -> None:
    lines = ["the cat sees a tree.", "", "tree a sees cat the."]
    rows = list(TASK.predict(models["markov"], OPTIONS, prepared.codec, ["\n".join(lines)]))
    assert [row["line"] for row in rows] == [1, 3]
    assert [row["text"] for row in rows] == [lines[0], lines[2]]
    assert rows[0]["log_probability"] > rows[1]["log_probability"]
    assert rows[0]["perplexity"] == pytest.approx(math.exp(-rows[0]["log_probability"] / rows[0]["units"]))


def test_new_text_is_scored_as_a_whole(prepared: Any) -> None:
    new_data = TASK.read(OPTIONS, prepared.codec, ["the cat", "sees\n"])
    assert isinstance(new_data.part, Text)
    assert new_data.size == len("the cat\nsees\n") == new_data.part.characters


# Documents and learners


def test_documents_start_at_files_blank_lines_or_lines() -> None:
    texts = ["one\ntwo\n\nthree", "four\n"]
    pieces = {boundary: list(join(texts, boundary).split_texts()) for boundary in BOUNDARIES}
    assert pieces == {
        "file": ["one\ntwo\n\nthree\n", "four\n"],
        "paragraph": ["one\ntwo\n\n", "three\nfour\n"],
        "line": ["one\n", "two\n", "\n", "three\n", "four\n"],
    }
    assert list(join(texts, "file").part(5, 18).split_texts()) == ["wo\n\nthree\n", "fou"]


def test_scoring_resets_state_at_document_starts(models: dict[str, Any], prepared: Any) -> None:
    """The whole text with document starts is compared with each document alone, up to rounding in float32."""
    tokens, starts = prepared.test.tokens[:90], np.array([0, 20, 21, 64])
    for name in ("lstm", "window"):
        whole = log_probabilities(models[name], tokens, starts)
        single = [log_probabilities(models[name], part) for part in np.split(tokens, starts[1:])]
        np.testing.assert_allclose(whole, np.concatenate(single), rtol=1e-4, atol=1e-5)
        assert not np.allclose(whole, log_probabilities(models[name], tokens), rtol=1e-4, atol=1e-5)


def test_document_batches_contain_each_unit_once() -> None:
    tokens, starts = np.arange(1, 31, dtype=np.int32), np.array([0, 7, 9, 22])
    batches = list(document_epoch(tokens, starts, 3, seed=0, epoch=1))
    calls = torch.cat([batch.targets[batch.targets != NO_TARGET] for batch in batches])
    assert sorted(calls.tolist()) == tokens.tolist()
    assert sum(batch.units for batch in batches) == 30
    for batch in batches:
        is_scored = (batch.targets != NO_TARGET) & (batch.inputs != UNKNOWN)
        assert torch.equal(batch.inputs[is_scored], batch.targets[is_scored] - 1)
        assert (batch.inputs[0] == UNKNOWN).all()


def test_overlapping_batches_agree_on_restarts() -> None:
    tokens = np.arange(400, dtype=np.int32)
    marks: dict[int, Any] = {}
    for batch, first in zip(
        StreamEpoch(Streams(tokens, 4, 5, overlap=12, starts=np.array([0, 33, 250])), 0.5, 3, 1),
        [max(5 * position - 12, 0) for position in range(20)],
        strict=True,
    ):
        reset = torch.zeros_like(batch.targets, dtype=torch.bool) if batch.reset is None else batch.reset
        for row, mark in enumerate(reset):
            assert torch.equal(mark, marks.setdefault(first + row, mark))
    generator = torch.stack([mark for step, mark in sorted(marks.items())])
    assert generator[33, 0] and generator[50, 2]  # where documents start
    assert generator[::5].float().mean() == pytest.approx(0.5, abs=0.2)
    assert generator.sum() - generator[::5].sum() == 1  # 33; 250 is a drawn step as well


@pytest.mark.parametrize("learner", ["bptt", "recompute", "rtrl", "snap1", "uoro"])
def test_every_learner_trains_a_language_model(learner: str) -> None:
    options = dataclasses.replace(
        OPTIONS,
        hidden=4,
        embedding=3,
        learner=learner,
        documents="line",
        truncation=(3,),
        batch_size=16,
        time_limit=1.0,
    )
    prepared = TASK.prepare(options, [corpus(40)])
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    outcome = fit(TASK, model, options, prepared, NullStore(), Silent())
    assert math.isfinite(outcome.rows[-1]["valid_nll"])


@pytest.mark.parametrize("model", ["transformer", "cbow", "markov"])
def test_forward_mode_learners_need_recurrent_models(model: str) -> None:
    with pytest.raises(UsageError, match=f"learner: rtrl is for rnn, lstm, gru, .*, not {model}"):
        TASK.check(dataclasses.replace(OPTIONS, order=None, model=model, learner="rtrl", truncation=(5,)))


@pytest.mark.parametrize(
    ("options", "batch_size"),
    [
        ({}, None),
        ({"model": "slstm"}, 16),
        ({"model": "mingru"}, 8),
        ({"model": "lru"}, 8),
        ({"model": "lru", "unit": "roll"}, None),
        ({"model": "minlstm", "learner": "rtrl"}, None),
    ],
)
def test_slow_cells_take_smaller_batches(options: dict[str, Any], batch_size: int | None) -> None:
    assert TASK.model_defaults(options).get("batch_size") == batch_size


@pytest.mark.parametrize(("options", "convolution"), [({}, 4), ({"residual": "none"}, 1), ({"convolution": 2}, 2)])
def test_linear_cells_have_a_convolution_in_blocks(options: dict[str, Any], convolution: int, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes. " * 40, encoding="utf-8")
    small = {"hidden": 4, "epochs": 1, "baselines": "none", "quiet": True}
    run = seriatim.train("language", text, out=str(tmp_path / "run"), model="mingru", **small, **options)
    assert (run.options.convolution, run.options.batch_size) == (convolution, 8)


@pytest.mark.parametrize(
    ("options", "is_normalised"),
    [
        ({}, True),
        ({"model": "rnn"}, True),
        ({"model": "rnn", "layers": 2, "layer_norm": False}, False),
        ({"model": "gru"}, True),
        ({"model": "slstm"}, False),
        ({"layer_norm": False}, False),
        ({"model": "gru", "reset_gate": "before"}, False),
        ({"learner": "snap1", "truncation": 10}, False),
    ],
)
def test_layer_norm_is_the_default_where_it_is_possible(
    options: dict[str, Any], is_normalised: bool, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes. " * 40, encoding="utf-8")
    small = {"hidden": 4, "epochs": 1, "batch_size": 4, "baselines": "none", "quiet": True}
    run = seriatim.train("language", text, out=str(tmp_path / "run"), **small, **options)
    assert run.options.layer_norm is is_normalised
    assert run.options.layers == (2 if options.get("model") == "rnn" else 1)
    assert (run.options.lr, run.options.schedule) == (4e-3, "cosine")
