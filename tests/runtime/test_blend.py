"""Exported blends give what the blend of the run gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

import seriatim
from json_values import close
from runtime_data import CLASSES, NUMBERS, SENTENCES, SERIES, TEXTS
from runtime_settings import TEXT
from seriatim import runtime
from seriatim.errors import DataError, RunError, UsageError
from seriatim.storage import write_json
from seriatim.tasks.common.tagging import scores_of

TABLE = [[0.5, 0.3, 0.6, 0.4]]
BLENDS = {
    "language": (TEXT, {"model": "lstm"}, "linear", {"lstm": 0.7, "markov": 0.3}),
    "language-three": (TEXT, {"model": "gru"}, "logits", {"gru": 0.5, "markov": 0.3, "unigram": 0.1}),
    "classify": (TEXTS, {"model": "lstm"}, "linear", {"lstm": 0.4, "tfidf": 0.5, "majority": 0.1}),
    "classify-numbers": (CLASSES, {"model": "gru"}, "logits", {"gru": 0.9, "nearest": 0.2, "rocket": 0.5}),
    "regress": (NUMBERS, {"model": "lstm"}, "quantiles", {"lstm": TABLE, "rocket": TABLE, "stats": TABLE}),
    "forecast": (
        SERIES, {"model": "gru", "horizon": 2}, "quantiles",
        {"gru": [[0.2, 0.3, 0.4]] * 2, "ar": [[0.5] * 3] * 2, "naive": [[0.3, 0.2, 0.1]] * 2},
    ),
    "tag": (SENTENCES, {"model": "gru"}, "linear", {"gru": 0.6, "perceptron": 0.4}),
    "tag-crf": (SENTENCES, {"model": "gru", "crf": True}, "scores", {"gru": 0.6, "perceptron": 0.4}),
    "tag-crfs": (
        SENTENCES, {"model": "gru", "crf": True, "ensemble": 2}, "scores", {"gru": 0.6, "perceptron": 0.4},
    ),
}  # fmt: skip
ROWS = {
    "language": ["to be or not", "suffer"], "classify": ["the sea is warm", "never seen"],
    "regress": NUMBERS[0][:3], "forecast": SERIES, "tag": [["The", "dog", "sat"], ["Unseen"] * 5],
}  # fmt: skip


@pytest.fixture(scope="module")
def blended(tmp_path_factory):
    """A function from a name to a run with this blend, and its exported model."""
    models = {}

    def pair(name):
        if name not in models:
            folder = tmp_path_factory.mktemp("blend")
            data, options, form, weights = BLENDS[name]
            run = seriatim.train(
                name.split("-")[0], data, out=str(folder / "run"), hidden=8, epochs=1, quiet=True, time_limit="2s",
                **options,
            )  # fmt: skip
            write_json(run.path / "blend.json", {"form": form, "weights": weights})
            run = seriatim.load(run.path)
            result = run.export(folder / "exported", use="blend")
            assert result["model"] == "blend" and result["difference"] <= 1e-5
            models[name] = run, runtime.load(folder / "exported")
        return models[name]

    return pair


@pytest.mark.parametrize("name", BLENDS)
def test_predictions_equal_those_of_the_run(blended, name):
    run, model = blended(name)
    rows = CLASSES[0][:3] if name == "classify-numbers" else ROWS[name.split("-")[0]]
    ours, theirs = [*model.predict(rows)], [*run.predict(rows, use="blend")]
    close(ours, theirs)
    alone = [*run.predict(rows, use="network")]
    assert name.startswith("tag") or alone != theirs, "the network alone gives the same"
    assert all(isinstance(row, dict) for row in model.csv_rows(ours[0]))


@pytest.mark.parametrize("name", ["tag-crf", "tag-crfs"])
def test_scores_of_sentences_equal_those_of_the_run(blended, name):
    """The perceptron has no transitions, and the mixture has those of the networks."""
    run, model = blended(name)
    blend, sentences = run._opened.blend, run._opened.codec.encode(ROWS["tag"])
    table = blend.mix(blend.each(lambda member: scores_of(member.model, sentences)))
    transitions, start, end = model.crf
    ours = np.concatenate([*model.sentence_scores(ROWS["tag"]), transitions, start[None], end[None]])
    np.testing.assert_allclose(ours, table, atol=1e-5)
    network = scores_of(blend.members[0].model, sentences)
    np.testing.assert_allclose(transitions, 0.6 * network[-len(transitions) - 2 : -2], atol=1e-6)


@pytest.mark.parametrize("name", ["language", "language-three"])
@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"seed": 3, "top_k": 6, "repetition_penalty": 1.3}])
def test_text_equals_that_of_the_run(blended, name, options):
    run, model = blended(name)
    for prompt in ("", "to be"):
        text = "".join(run.generate(prompt, use="blend", length=80, **options))
        assert "".join(model.generate(prompt, length=80, **options)) == text


def test_stream_of_a_blend_is_saved_and_restored(blended):
    _, model = blended("language")
    stream = model.stream(seed=2)
    stream.step("to be")
    saved, other = stream.snapshot(), model.stream()
    text = "".join(stream.write(30))
    other.restore(saved)
    assert other.position == 5 and "".join(other.write(30)) == text
    assert np.array_equal(model.step_many([other, stream], ["a", "a"])[0], stream.model.next_scores([other.state])[0])


def test_snapshot_of_a_blend_that_misses_a_member_is_refused(blended):
    _, model = blended("language")
    stream = model.stream()
    for change in (
        lambda state: state.arrays.pop("0.output"),
        lambda state: state.arrays.update({"7.more": np.zeros(1)}),
        lambda state: state.values.update({"1.": {"context": [1e9]}}),
        lambda state: state.values.update({"1.": 5}),
    ):
        damaged = stream.fork()
        change(damaged.state)
        with pytest.raises(DataError, match="snapshot: damaged"):
            stream.restore(damaged.snapshot())


@pytest.mark.parametrize("name", ["classify", "forecast", "tag"])
def test_stream_of_a_blend_is_refused_by_the_member_that_cannot_read_it(blended, name):
    with pytest.raises(UsageError, match=r"cannot read a stream|a naive forecaster reads the whole history"):
        blended(name)[1].stream()


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_networks_of_a_blend_are_rounded_and_counts_are_not(blended, tmp_path, dtype):
    run, model = blended("language")
    result = run.export(tmp_path / "x", use="blend", dtype=dtype)
    assert result["difference"] <= 1e-5
    content = json.loads((tmp_path / "x" / "model.json").read_text())
    assert content["dtype"] == dtype and [part["model"] for part in content["blend"]["parts"]] == ["lstm", "markov"]
    rounded = runtime.load(tmp_path / "x")
    before, after = (member.log_probabilities(np.arange(5)) for member in
                     (model._mixture.members[1], rounded._mixture.members[1]))  # fmt: skip
    assert np.array_equal(before, after)
    assert [*rounded.predict(["to be"])] != [*model.predict(["to be"])]


def test_onnx_of_a_blend_is_refused(blended, tmp_path):
    with pytest.raises(UsageError, match="a blend is no single network; give --use network"):
        blended("language")[0].export(tmp_path / "x", use="blend", onnx=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda blend: blend.update(form="quantiles"), "'form' is 'quantiles'"),
        (lambda blend: blend.update(form="other"), "'form' is 'other'"),
        (lambda blend: blend.update(parts=[]), "'parts' is"),
        (lambda blend: blend["parts"][0].update(weight=-1), "a weight of at least 0"),
        (lambda blend: blend["parts"][0].update(weight=[[1.0]]), "a weight of at least 0"),
        (lambda blend: blend["parts"][0].update(weight="x"), "'weight' is damaged"),
        (lambda blend: blend["parts"][0].update(more=1), "unknown key 'more'"),
        (lambda blend: blend["parts"].pop(), "unknown array '1."),
        (lambda blend: blend["parts"].append(blend["parts"][0]), "no array 'embedding'"),
        (lambda blend: blend.update(more=1), "unknown key 'more'"),
    ],
)
def test_hostile_blends_are_refused(blended, tmp_path, change, match):
    import shutil

    folder = shutil.copytree(blended("language")[1].path, tmp_path / "copy")
    content = json.loads((folder / "model.json").read_text())
    change(content["blend"])
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=match):
        runtime.load(folder)


@pytest.mark.parametrize(
    ("name", "form", "match"),
    [("tag-crf", "linear", "members without a CRF"), ("tag", "scores", "a member with a CRF")],
)
def test_form_of_a_blend_of_taggers_fits_its_members(blended, tmp_path, name, form, match):
    import shutil

    folder = shutil.copytree(blended(name)[1].path, tmp_path / "copy")
    content = json.loads((folder / "model.json").read_text())
    content["blend"]["form"] = form
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=match):
        runtime.load(folder)
