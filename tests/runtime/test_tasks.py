"""Exported models of all tasks give the results of their runs, and their streams the results of whole sequences."""

from __future__ import annotations

import numpy as np
import pytest

import seriatim
from json_values import close
from runtime_data import CASES
from seriatim import runtime
from seriatim.errors import DataError, UsageError

random = np.random.default_rng(1)
ROWS = {
    "texts": ["the sea is warm", "sun", "   ", "never seen words " * 30],
    "numbers": [random.normal(size=(length, 2)) * 3 + 5 for length in (1, 7, 30)],
    "series": [np.cumsum(random.normal(size=60)) for _ in range(3)],
    "channels": [random.normal(size=(50, 2)), random.normal(size=(70, 2))],
    "sentences": [["The", "dog", "sat"], ["x" * 80], ["A"] * 40],
}


def rows_of(name):
    task, data, _ = CASES[name]
    if task in ("classify", "regress"):
        return ROWS["texts" if isinstance(data[0][0], str) else "numbers"]
    if task == "tag":
        return ROWS["sentences"]
    if task == "translate":
        return ["the sea and dog are sun", "unknown words", "cat"]
    if task == "caption":
        return data[0][:3]
    return ROWS["series" if data[0].ndim == 1 else "channels"]


@pytest.mark.parametrize("name", CASES)
def test_predictions_equal_those_of_the_run(task_pair, name):
    run, model = task_pair(name)
    rows = rows_of(name)
    if isinstance(rows[0], str):
        rows = [row for row in rows if row.strip()]  # a run refuses them
    theirs = [{key: value for key, value in row.items() if key != "image"} for row in run.predict(rows)]
    close([*model.predict(rows)], theirs)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("translate")])
@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"seed": 4, "top_k": 5, "repetition_penalty": 1.2}])
def test_answers_equal_those_of_the_run(task_pair, name, options):
    run, model = task_pair(name)
    prompt = "the sea and dog are sun"
    assert "".join(model.generate(prompt, **options)) == "".join(run.generate(prompt, **options))


@pytest.mark.parametrize("name", ["translate", "translate-concat", "translate-dot", "translate-blocks"])
def test_alignments_equal_those_of_the_run(task_pair, name):
    run, model = task_pair(name)
    texts = ["the sea and dog are sun", "cat"]
    theirs = [row["alignment"] for row in run.predict(texts, alignment=True)]
    close([model.align(text) for text in texts], theirs)
    assert theirs[0]["source"] and all(sum(row) == pytest.approx(1, abs=1e-3) for row in theirs[0]["weights"])


@pytest.mark.parametrize("name", ["translate-none", "translate-transformer", "translate-copy"])
def test_models_without_one_attention_have_no_alignment(task_pair, name):
    assert task_pair(name)[1].align("the sea") is None


STREAMING = [
    "classify-max",
    "classify-mean",
    "classify-bag",
    "classify-numbers",
    "classify-convolution",
    "classify-mlp",
    "regress",
    "regress-bag",
    "classify-subwords",
    "regress-subwords",
]


@pytest.mark.parametrize("name", STREAMING)
def test_stream_of_a_sequence_equals_its_prediction(task_pair, name):
    _, model = task_pair(name)
    row = rows_of(name)[1]
    expected = next(model.predict([row]))
    stream = model.stream()
    for step in [row] if isinstance(row, str) else row:
        answer = stream.step(step)
    del expected["row"]
    close(answer, expected)


@pytest.mark.parametrize("name", ["classify-subwords", "regress-subwords"])
def test_stream_reads_the_parts_of_unknown_words(task_pair, name):
    _, model = task_pair(name)
    words = ["unseen", "sunny", "words"]
    expected = next(model.predict([" ".join(words)]))
    stream = model.stream()
    for word in words:
        answer = stream.step(word)
    del expected["row"]
    close(answer, expected, 1e-6)


@pytest.mark.parametrize("name", STREAMING)
def test_stream_of_a_sequence_is_bit_equal_among_others(task_pair, name):
    _, model = task_pair(name)
    row = rows_of(name)[0]
    steps = row.split() if isinstance(row, str) else list(rows_of(name)[1])
    streams, alone = [model.stream() for _ in range(9)], model.stream()
    streams[2].step(steps[0])
    streams[2].state.carry = tuple(np.full_like(part, np.nan) for part in streams[2].state.carry)
    for step in steps:
        assert model.step_many(streams, [step] * 9)[4] == alone.step(step)
    restored = runtime.load(model.path).stream()
    restored.restore(alone.snapshot())
    assert restored.step(steps[0]) == alone.step(steps[0])


def test_stream_of_a_forecaster_equals_its_forecast(task_pair):
    _, model = task_pair("forecast-recursive")
    history = rows_of("forecast-recursive")[0]
    stream = model.stream()
    answers = [stream.step(values) for values in history]
    assert answers[: model.lookback - 1] == [None] * (model.lookback - 1)
    close(answers[-1], model.forecast(history, id="1"))
    restored = model.stream()
    restored.restore(stream.snapshot())
    assert restored.step(history[0]) == stream.step(history[0])
    with pytest.raises(UsageError, match="id: no series 'x'"):
        model.stream(id="x")


def test_stream_of_a_forecaster_with_a_start_equals_its_forecast(task_pair):
    _, model = task_pair("forecast-start")
    history = CASES["forecast-start"][1][0]
    stream = model.stream(id="1")
    for value in history:
        answer = stream.step([value])
    close(answer, model.forecast(history, id="1"))


def test_stream_of_a_tagger_equals_its_tags(task_pair):
    for name in ("tag-forward", "tag-subwords", "tag-naive"):
        _, model = task_pair(name)
        words = ["The", "dog", "ran", "away"]
        stream = model.stream()
        tags = [stream.step(word)["tag"] for word in words]
        assert tags == next(model.predict([words]))["tags"]


@pytest.mark.parametrize(
    "name",
    [
        "classify-both",
        "classify-transformer",
        "classify-fcn",
        "classify-majority",
        "tag",
        "tag-crf",
        "forecast-ar",
        "translate-copy",
        "caption-common",
    ],
)
def test_models_without_streams_say_so(task_pair, name):
    with pytest.raises(UsageError, match="stream: "):
        task_pair(name)[1].stream()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("classify-max", 3),
        ("classify-numbers", [[1.0]]),
        ("classify-numbers", "text"),
        ("classify-numbers", [[1.0, np.nan]]),
        ("classify-numbers", np.zeros((0, 2))),
        ("forecast", [1.0]),
        ("forecast", [np.nan] * 60),
        ("forecast", [1e200] * 60),
        ("forecast-mask", [np.nan] * 60),
        ("forecast-recursive", np.zeros((60, 3))),
        ("translate", 3),
        ("caption", np.zeros((7, 8, 3), np.uint8)),
        ("caption-features", [[1.0]]),
        ("tag", "text"),
        ("tag", []),
        ("tag", ["a", ""]),
    ],
)
def test_bad_rows_are_refused(task_pair, name, row):
    with pytest.raises(DataError, match=r"row 1|series '1'"):
        list(task_pair(name)[1].predict([row]))


def test_series_of_the_training_have_their_own_scalers(task_pair):
    run, model = task_pair("forecast")
    history = CASES["forecast"][1][1]
    assert model.forecast(history, id="2") != {**model.forecast(history), "id": "2"}
    close(model.forecast(history, id="2"), [*run.predict(CASES["forecast"][1])][1])


@pytest.mark.parametrize("model", ["gru", "transformer", "unigram", "markov"])
def test_piano_rolls(tmp_path, model):
    random = np.random.default_rng(0)
    pieces = [(random.random((12, 6)) < 0.3).astype(np.uint8) for _ in range(20)]
    options = {} if model in ("unigram", "markov") else {"hidden": 8, "epochs": 2}
    run = seriatim.train(
        "language", pieces, unit="roll", model=model, out=str(tmp_path / "run"), quiet=True, baselines="none", **options
    )
    run.export(tmp_path / "exported")
    exported = runtime.load(tmp_path / "exported")
    close([*exported.predict(pieces[:3])], [*run.predict(pieces[:3])])
    assert "".join(exported.generate(length=20, seed=3)) == "".join(run.generate(length=20, seed=3))
    stream = exported.stream()
    chances = [stream.step(np.flatnonzero(step).tolist()) for step in pieces[0]]
    joint = np.log(np.where(pieces[0][1:] > 0, chances[:-1], 1 - np.array(chances[:-1]))).sum()
    first = exported.stream().step([])
    joint += np.log(np.where(pieces[0][0] > 0, first, 1 - first)).sum() if model in ("unigram", "markov") else 0
    expected = next(exported.predict(pieces[:1]))["log_probability"]
    if model in ("unigram", "markov"):
        assert joint == pytest.approx(expected, rel=1e-6)
    with pytest.raises(DataError, match="wanted a list of numbers of notes"):
        stream.step([6])


def test_every_step_of_a_regression(tmp_path):
    random = np.random.default_rng(0)
    table = tmp_path / "steps.csv"
    lines = [f"{unit},{random.normal():.4f},{20 - step}" for unit in range(14) for step in range(8)]
    table.write_text("unit,a,life\n" + "\n".join(lines) + "\n")
    run = seriatim.train(
        "regress", table, channels=("a",), id="unit", target="life", every_step=True, lookback=5, hidden=8, epochs=1,
        out=str(tmp_path / "run"), quiet=True, baselines="none",
    )  # fmt: skip
    run.export(tmp_path / "exported")
    exported = runtime.load(tmp_path / "exported")
    column = np.array([float(line.split(",")[1]) for line in lines])
    theirs = [{key: value for key, value in row.items() if key != "id"} for row in run.predict(table)]
    close([*exported.predict(column.reshape(14, 8))], theirs)
    with pytest.raises(UsageError, match="reads a window, not a stream"):
        exported.stream()


def test_recordings_that_are_normalised_have_no_stream(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    random = np.random.default_rng(0)
    for row in range(20):
        soundfile.write(tmp_path / f"{row}.wav", random.normal(size=800) * 0.1, 8000)
    table = tmp_path / "table.csv"
    table.write_text("file,label,speaker\n" + "".join(f"{row}.wav,{'ab'[row % 2]},{row % 5}\n" for row in range(20)))
    run = seriatim.train(
        "classify", table, sound="file", label="label", group="speaker", hidden=8, epochs=1, baselines="none",
        out=str(tmp_path / "run"), quiet=True,
    )  # fmt: skip
    run.export(tmp_path / "exported")
    model = runtime.load(tmp_path / "exported")
    samples = [soundfile.read(tmp_path / f"{row}.wav", dtype="float32")[0] for row in range(20)]
    close([*model.predict(samples)], [*run.predict(table)])
    with pytest.raises(UsageError, match="stream: recordings are scaled as a whole"):
        model.stream()
    for name in ("nearest", "rocket"):
        naive = seriatim.train(
            "classify", table, sound="file", label="label", group="speaker", model=name, baselines="none",
            out=str(tmp_path / name), quiet=True,
        )  # fmt: skip
        assert naive.export(tmp_path / f"{name}-exported")["difference"] <= 1e-5
        close([*runtime.load(tmp_path / f"{name}-exported").predict(samples)], [*naive.predict(table)])


def test_sound_overlaps_from_step_to_step():
    from seriatim.encoding.scaler import Standardizer
    from seriatim.encoding.sound import LogMel
    from seriatim.runtime.description import Description
    from seriatim.runtime.sequence_inputs import SequenceInputs

    samples = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    sound = LogMel(8000, mels=6)
    stored = Standardizer(np.zeros(6), np.ones(6)).to_json() | {"sound": sound.to_json()}
    inputs = SequenceInputs(Description("test", {"inputs": stored}))
    state = inputs.begin()
    frames = []
    for start in range(0, 4000, 130):
        inputs.check_state(state)
        frames.append(inputs.steps(state, inputs.read_step(samples[start : start + 130])))
    assert np.array_equal(np.concatenate(frames), inputs.encode([samples])[0])


def test_targets_named_like_keys_of_a_forecast(tmp_path):
    """The exported model and the run give the same rows, in which no target replaces a key of the row."""
    values = np.cumsum(random.normal(size=(60, 2)), axis=0)
    frame = [{"time": row[0], "id": row[1]} for row in values.tolist()]
    run = seriatim.train(
        "forecast", frame, target=("time", "id"), model="naive", horizon=2, out=str(tmp_path / "run"), quiet=True
    )
    run.export(tmp_path / "exported")
    (expected,), (row,) = list(run.predict(frame)), list(runtime.load(tmp_path / "exported").predict([values]))
    assert list(row) == ["id", "step", "target_time", "target_id"]
    close(row, expected)
    first = next(runtime.load(tmp_path / "exported").csv_rows(row))
    assert (first["id"], first["step"], first["target_time_0.5"]) == ("1", 1, row["target_time"]["0.5"][0])


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
@pytest.mark.parametrize("model", ["gru", "ar"])
def test_targets_that_end_at_different_rows_are_different_rows(tmp_path, missing, model):
    draw = np.random.default_rng(0)
    series = np.cumsum(draw.normal(size=(60, 3)), 0)
    series[-4:, 0] = series[20:23, 1] = series[-2:, 2] = np.nan  # b ends last
    data = [dict(zip("abc", map(float, row), strict=True)) for row in series]
    run = seriatim.train(
        "forecast", data, target="a,b", covariates="c", horizon=3, lookback=8, missing=missing, model=model, hidden=8,
        epochs=1 if model == "gru" else None, quiet=True, baselines="none", out=str(tmp_path / "run"),
    )  # fmt: skip
    run.export(tmp_path / "exported")
    exported = runtime.load(tmp_path / "exported")
    ours, theirs = [*exported.predict([series])], [*run.predict(data)]
    close(ours, [{**row, "id": "1"} for row in theirs])
    assert [[row[name] is None for name in "ab"] for row in ours] == [[False, True], [True, False]]
    assert [row["a_0.5"] is None for row in exported.csv_rows(ours[1])] == [True] * 3


@pytest.mark.parametrize("name", ["caption", "caption-nearest"])
def test_named_pictures_keep_their_names(task_pair, name):
    run, model = task_pair(name)
    pictures = CASES[name][1][0][:2]
    rows = [*model.predict([("a.png", pictures[0]), pictures[1]])]
    assert [row.get("image") for row in rows] == ["a.png", None]
    assert list(rows[0]) == list(next(iter(run.predict(pictures))))
    assert next(model.csv_rows(rows[0]))["image"] == "a.png"
