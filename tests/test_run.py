"""The whole path from a file to a run folder and back, for every task."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from seriatim.errors import DataError, RunError, UsageError
from seriatim.learning.observer import Silent
from seriatim.run import Run, compare, load, train, verdict
from seriatim.storage import read_arrays

COMMON: dict[str, Any] = {"hidden": 8, "epochs": 1, "threads": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "language": {**COMMON, "truncation": 20, "batch_size": 8, "lr": 1e-2},
    "classify": {**COMMON, "text": "text", "label": "label", "baselines": "fast"},
    "forecast": {**COMMON, "time": "date", "target": "close", "horizon": 4, "season": 6, "lookback": 12},
}
SCORES = {
    "language": {"perplexity", "nll", "bits_per_character"},
    "classify": {"accuracy", "macro_f1"},
    "forecast": {"mase", "smape", "rmse", "mse", "mae", "quantile_loss", "coverage"},
}
BASELINES = {
    "language": ["unigram", "markov", "cbow", "window"],
    "classify": ["majority"],
    "forecast": ["naive", "seasonal_naive", "drift", "ar", "theta", "ets"],
}
CODEC = {"language": "vocabulary.json", "classify": "vocabulary.json", "forecast": "scaler.json"}
TASKS = tuple(OPTIONS)
every_task = pytest.mark.parametrize("task", TASKS)


def corpus(lines: int = 120, seed: int = 0) -> str:
    draw = random.Random(seed)
    who, place = ("the cat", "a dog", "my bird"), ("the sun", "a tree", "my house")
    return "".join(f"{draw.choice(who)} sees {draw.choice(place)}.\n" for _ in range(lines))


def messages(rows: int = 60, seed: int = 0) -> str:
    draw = random.Random(seed)
    words = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue")}
    lines = [f"{' '.join(draw.choices(words[label], k=3))} {row},{label}" for row in range(rows) for label in words]
    return "\n".join(["text,label", *lines]) + "\n"


def prices(rows: int = 90, seed: int = 0) -> str:
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(rows, 2))
    days = np.datetime64("2020-01-01") + np.arange(rows)
    wave = 10 + np.sin(np.arange(rows) * 2 * np.pi / 6)
    lines = [f"{day},{wave[row] + noise[row, 0]:.4f},{5 + noise[row, 1]:.4f}" for row, day in enumerate(days)]
    return "\n".join(["date,close,open", *lines]) + "\n"


MAKE: dict[str, tuple[str, Callable[..., str]]] = {
    "language": ("corpus.txt", corpus), "classify": ("messages.csv", messages), "forecast": ("prices.csv", prices)
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one data file for each task."""
    home = tmp_path_factory.mktemp("home")
    for name, make in MAKE.values():
        (home / name).write_text(make(), encoding="utf-8")
    return home


def data(home: Path, task: str) -> Path:
    return home / MAKE[task][0]


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Run]:
    """One trained run for each task."""
    return {task: train(task, data(home, task), out=str(home / task), **OPTIONS[task]) for task in TASKS}


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


# What a run is


@every_task
def test_keys_of_the_result(runs: dict[str, Run], task: str) -> None:
    result = runs[task].result
    assert list(result) == [
        "task", "model", "run", "data", "scores", "baselines", "parameters", "epochs", "seconds",
        "blend", "best",
    ]  # fmt: skip
    assert (result["task"], result["model"], result["epochs"]) == (task, "lstm", 1)
    assert result["data"].keys() == {"train", "valid", "test", "hash"}
    assert result["scores"].keys() == SCORES[task]
    assert list(result["baselines"]) == BASELINES[task]
    assert all(scores.keys() == SCORES[task] for scores in result["baselines"].values())
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    weights = read_arrays(runs[task].path / "model.safetensors")
    assert result["parameters"] == sum(array.size for array in weights.values())


@every_task
def test_files_of_the_run_folder(runs: dict[str, Run], task: str) -> None:
    folder = runs[task].path
    assert files(folder) == {
        "config.json", "model.safetensors", CODEC[task], "metrics.jsonl", "result.json", "checkpoint/state.safetensors",
        *(f"baselines/{name}.safetensors" for name in BASELINES[task]),
        *(["blend.json"] if runs[task].result["blend"] else []),
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["format"] == 1
    assert not {"out", "resume"} & config["options"].keys()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows and {"step", "epoch", "train_loss", "gradient_norm", "clipped"} <= rows[0].keys()
    assert any(key.startswith("valid_") for key in rows[0])
    assert ("tokens_per_second" if task == "language" else "steps_per_second") in rows[0]


@every_task
def test_run_folder_contains_no_pickle(runs: dict[str, Run], task: str) -> None:
    for name in files(runs[task].path):
        raw = (runs[task].path / name).read_bytes()
        if name.endswith(".safetensors"):
            length = int.from_bytes(raw[:8], "little")
            json.loads(raw[8 : 8 + length])
        else:
            [json.loads(line) for line in ([raw] if name.endswith(".json") else raw.splitlines())]


@every_task
def test_weights_file_contains_no_path_time_or_host(runs: dict[str, Run], task: str) -> None:
    raw = (runs[task].path / "model.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "__metadata__" not in header


# Again, elsewhere, with other data


@every_task
def test_loaded_run_has_equal_scores(runs: dict[str, Run], task: str) -> None:
    loaded = load(str(runs[task].path))
    assert repr(loaded) == f"Run('{loaded.path}', task='{task}', model='lstm')"
    assert loaded.evaluate() == runs[task].result
    assert loaded.options == runs[task].options


@every_task
def test_a_run_folder_can_be_moved(runs: dict[str, Run], home: Path, tmp_path: Path, task: str) -> None:
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(runs[task].path, moved)
    run = load(moved)
    assert run.result["run"] == str(moved)
    assert list(run.predict(data(home, task))) == list(runs[task].predict(data(home, task)))
    assert run.evaluate()["scores"] == runs[task].result["scores"]


@every_task
def test_evaluate_scores_stored_baselines_on_new_data(runs: dict[str, Run], tmp_path: Path, task: str) -> None:
    name, make = MAKE[task]
    (tmp_path / name).write_text(make(seed=7), encoding="utf-8")
    new_data = runs[task].evaluate(tmp_path / name)
    assert list(new_data) == list(runs[task].result)
    assert new_data["data"]["hash"] != runs[task].result["data"]["hash"]
    assert new_data["data"]["train"] == 0 and new_data["data"]["test"] > 0
    assert list(new_data["baselines"]) == BASELINES[task]
    assert task == "classify" or new_data["scores"] != runs[task].result["scores"]
    assert new_data["scores"].keys() == SCORES[task]


def test_unknown_units_in_new_text_give_a_note(runs: dict[str, Run], capsys: pytest.CaptureFixture[str]) -> None:
    class Listening(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    listening = Listening()
    runs["language"].evaluate(["ΩΩΩΩ"], observer=listening)
    (note,) = listening.notes
    assert note.startswith("data: 100.0 % of the units are not in the vocabulary") and capsys.readouterr().err == ""
    runs["language"].evaluate(["ΩΩΩΩ"])
    assert capsys.readouterr().err == f"note: {note}\n"


def test_learning_rate_search(home: Path, tmp_path: Path) -> None:
    options = {**OPTIONS["classify"], "baselines": "none"}
    run = train("classify", data(home, "classify"), out=str(tmp_path / "run"), **options, lr="find")
    assert json.loads((run.path / "config.json").read_text())["options"]["lr"] == "find"
    assert load(run.path).options.lr == "find" and run.result["lr"] > 0
    for lr in (0.0, 0, "0"):
        with pytest.raises(UsageError, match=r"^lr: got 0.0, wanted more than 0.0$"):
            train("classify", data(home, "classify"), out=str(tmp_path / "none"), **options, lr=lr)


@every_task
def test_equal_seeds_give_equal_bytes(runs: dict[str, Run], home: Path, tmp_path: Path, task: str) -> None:
    options = {**OPTIONS[task], "baselines": "none"}
    repeated = train(task, data(home, task), out=str(tmp_path / "same"), **options)
    other_seed = train(task, data(home, task), out=str(tmp_path / "other"), seed=1, **options)
    weights = [(run.path / "model.safetensors").read_bytes() for run in (runs[task], repeated, other_seed)]
    assert weights[0] == weights[1] != weights[2]
    assert repeated.result["scores"] == runs[task].result["scores"]


@every_task
def test_observer_does_not_change_the_result(runs: dict[str, Run], home: Path, tmp_path: Path, task: str) -> None:
    message: list[str] = []

    class Watch(Silent):
        def note(self, text: str) -> None:
            message.append(text)

        def baseline(self, name: str) -> None:
            message.append(name)

    watched = train(task, data(home, task), out=str(tmp_path / "run"), observer=Watch(), **OPTIONS[task])
    assert watched.result["baselines"] == runs[task].result["baselines"]
    remarks = [text for text in message if text.startswith("blend: ")]
    assert [text for text in message if text not in remarks] == [*watched.notes, *BASELINES[task]]
    assert len(remarks) == (task != "language"), "there are too few validation texts and windows to fit weights"


def test_changed_data_are_refused(runs: dict[str, Run], home: Path, tmp_path: Path) -> None:
    name, make = MAKE["forecast"]
    (tmp_path / name).write_text(make(), encoding="utf-8")
    run = train("forecast", tmp_path / name, out=str(tmp_path / "run"), baselines="none", **OPTIONS["forecast"])
    (tmp_path / name).write_text(make(seed=3), encoding="utf-8")
    with pytest.raises(DataError, match=r"prices\.csv: changed since the run was trained"):
        run.evaluate()
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"prices\.csv: no such file"):
        run.evaluate()


# Data of every kind


@pytest.fixture(scope="module")
def frame(home: Path) -> pl.DataFrame:
    return pl.read_csv(home / "prices.csv", try_parse_dates=True)


@pytest.mark.parametrize("form", ["polars", "pandas", "tsv", "parquet", "jsonl", "rows"])
def test_table_formats_give_equal_runs(runs: dict[str, Run], frame: pl.DataFrame, tmp_path: Path, form: str) -> None:
    def file(write: Callable[[Path], object]) -> Path:
        path = tmp_path / f"prices.{form}"
        write(path)
        return path

    sources: dict[str, Callable[[], object]] = {
        "polars": lambda: frame,
        "pandas": lambda: pd.DataFrame(frame.to_dict(as_series=False)),
        "tsv": lambda: file(lambda path: frame.write_csv(path, separator="\t")),
        "parquet": lambda: file(frame.write_parquet),
        "jsonl": lambda: file(frame.write_ndjson),
        "rows": frame.to_dicts,
    }
    run = train("forecast", sources[form](), out=str(tmp_path / "run"), **{**OPTIONS["forecast"], "baselines": "none"})
    assert run.result["scores"] == runs["forecast"].result["scores"]
    assert run.result["data"] == runs["forecast"].result["data"]
    rows = [list(runs["forecast"].predict(source)) for source in (sources[form](), frame)]
    assert rows[0] == rows[1]


def test_arrays_and_lists(frame: pl.DataFrame, tmp_path: Path) -> None:
    values = frame["close"].to_numpy()
    options = {**COMMON, "horizon": 4, "lookback": 12, "baselines": "none"}
    scores = [
        train("forecast", source, out=str(tmp_path / str(number)), **options).result["scores"]
        for number, source in enumerate([values, values.tolist(), values[:, None], frame["close"]])
    ]
    assert scores == [scores[0]] * 4
    with pytest.raises(DataError, match="trained on data in memory; give the data to score"):
        load(tmp_path / "0").evaluate()


def test_texts_and_labels_in_memory(home: Path, tmp_path: Path, runs: dict[str, Run]) -> None:
    table = pl.read_csv(home / "messages.csv")
    options = {**COMMON, "baselines": "none"}
    run = train("classify", (table["text"].to_list(), table["label"].to_list()), out=str(tmp_path / "run"), **options)
    assert run.result["scores"] == runs["classify"].result["scores"]
    rows = list(run.predict(["red rose", "blue sky"]))
    assert [row["row"] for row in rows] == [1, 2]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1.0) for row in rows)
    assert rows == list(runs["classify"].predict(["red rose", "blue sky"], use="network"))


def test_texts_in_memory_are_a_corpus(home: Path, tmp_path: Path, runs: dict[str, Run]) -> None:
    options = {**OPTIONS["language"], "baselines": "none"}
    run = train("language", [(home / "corpus.txt").read_text()], out=str(tmp_path / "run"), **options)
    assert run.result["scores"] == runs["language"].result["scores"]
    with pytest.raises(UsageError, match="a string is the path of a file, got 'the cat\\nsat…'; put a text in a list"):
        train("language", "the cat\nsat")


# Predictions


def test_predictions_from_an_open_binary_file(runs: dict[str, Run], home: Path) -> None:
    for task, format in (("language", "txt"), ("classify", "csv"), ("forecast", "csv")):
        run, file = runs[task], data(home, task)
        expected = list(run.predict(file))
        assert list(run.predict(io.BytesIO(file.read_bytes()))) == expected, "each task has a format of its own"
        assert list(run.predict(io.BytesIO(file.read_bytes()), format=format)) == expected
    tsv = (home / "prices.csv").read_text().replace(",", "\t").encode()
    assert list(runs["forecast"].predict(io.BytesIO(tsv), format="tsv")) == expected
    lines = list(runs["classify"].predict(io.BytesIO(b"red rose\nblue sky\n"), format="txt"))
    assert lines == list(runs["classify"].predict(["red rose", "blue sky"]))


def test_predict_needs_no_label(runs: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text\nred rose\nblue sky\n")
    rows = list(runs["classify"].predict(tmp_path / "new.csv"))
    assert [set(row) for row in rows] == [{"row", "label", "probability", "probabilities"}] * 2
    for row in rows:
        assert row["probabilities"].keys() == {"warm", "cold"}
        assert row["probability"] == row["probabilities"][row["label"]] == max(row["probabilities"].values())


def test_forecast_continues_after_the_end(runs: dict[str, Run], home: Path) -> None:
    (row,) = runs["forecast"].predict(home / "prices.csv")
    assert row["step"] == [1, 2, 3, 4]
    assert [stamp[:10] for stamp in row["time"]] == ["2020-03-31", "2020-04-01", "2020-04-02", "2020-04-03"]
    assert list(row["close"]) == ["0.1", "0.5", "0.9"]
    low, middle, high = (row["close"][level] for level in ("0.1", "0.5", "0.9"))
    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))


@every_task
def test_write_predictions_writes_the_rows(runs: dict[str, Run], home: Path, tmp_path: Path, task: str) -> None:
    run, source = runs[task], data(home, task)
    rows = list(run.predict(source))
    run.write_predictions(source, tmp_path / "out.jsonl")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == rows
    run.write_predictions(source, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        flat = list(csv.DictReader(file))
    columns = {
        "language": ["line", "text", "units", "log_probability", "perplexity"],
        "classify": ["row", "label", "probability", "probabilities_cold", "probabilities_warm"],
        "forecast": ["id", "step", "time", "close_0.1", "close_0.5", "close_0.9"],
    }
    assert list(flat[0]) == columns[task]
    assert len(flat) == (4 if task == "forecast" else len(rows))
    if task == "forecast":
        assert [float(row["close_0.5"]) for row in flat] == rows[0]["close"]["0.5"]
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "out.csv"}


# Generation


@pytest.mark.parametrize("unit", ["char", "word", "bpe"])
def test_generation_with_all_units(home: Path, tmp_path: Path, unit: str) -> None:
    options = {**OPTIONS["language"], "unit": unit, "vocab_size": 270, "baselines": "none"}
    run = train("language", home / "corpus.txt", out=str(tmp_path / "run"), **options)
    run = load(run.path)
    once, loaded, other = ("".join(run.generate("the cat", length=20, seed=seed)) for seed in (1, 1, 2))
    assert once == loaded != other
    likeliest = {"".join(run.generate("the cat", length=10, temperature=0.0, seed=seed)) for seed in (1, 2)}
    assert len(likeliest) == 1
    assert "<unk>" not in once
    assert "".join(run.generate(length=5, seed=0))


def test_stop_string_ends_the_text(runs: dict[str, Run]) -> None:
    whole = "".join(runs["language"].generate("the ", length=60, seed=3))
    stop = whole[20:23]
    ended = "".join(runs["language"].generate("the ", length=60, seed=3, stop=[stop, "nowhere"]))
    assert ended == whole[: whole.index(stop)]
    assert ended == "".join(runs["language"].generate("the ", length=60, seed=3, stop=stop))
    other = "".join(runs["language"].generate("the ", length=60, seed=3, repetition_penalty=3.0))
    assert other != whole
    for arguments, error in (
        ({"stop": [""]}, "stop: got"),
        ({"repetition_penalty": 0.0}, "repetition_penalty: got 0.0"),
    ):
        with pytest.raises(UsageError, match=error):
            runs["language"].generate("the ", **arguments)  # type: ignore[arg-type]


def test_generate_is_refused_for_other_tasks(runs: dict[str, Run]) -> None:
    assert runs["language"].writing == "continues"
    for task in ("classify", "forecast"):
        assert runs[task].writing is None
        with pytest.raises(UsageError, match=f"generate: for language and translate runs; this is a {task} run"):
            runs[task].generate("x")


# Baselines


@pytest.mark.parametrize(
    ("task", "model"),
    [(task, model) for task in TASKS for model in (*BASELINES[task], *(["bag"] if task == "classify" else []))],
)
def test_each_baseline_can_be_trained_alone(home: Path, tmp_path: Path, task: str, model: str) -> None:
    options = {**OPTIONS[task], "model": model, "baselines": "none"}
    run = train(task, data(home, task), out=str(tmp_path / "run"), **options)
    assert run.model == model
    loaded = load(run.path)
    assert loaded.evaluate() == run.result
    assert list(loaded.predict(data(home, task)))
    if task == "language":
        assert "".join(loaded.generate("the", length=5, seed=0))
    assert run.result["parameters"] > 0


def test_baseline_of_a_run_equals_baseline_trained_alone(runs: dict[str, Run], home: Path, tmp_path: Path) -> None:
    for task, model in (("language", "markov"), ("classify", "majority"), ("forecast", "ar")):
        options = {**OPTIONS[task], "model": model, "baselines": "none"}
        single = train(task, data(home, task), out=str(tmp_path / task), **options)
        assert single.result["scores"] == runs[task].result["baselines"][model]


def test_baselines_option_selects_baselines(home: Path, tmp_path: Path) -> None:
    def other_baselines(choice: str, model: str) -> list[str]:
        options = {**OPTIONS["language"], "baselines": choice, "model": model}
        return list(train("language", home / "corpus.txt", out=str(tmp_path / choice), **options).result["baselines"])

    assert other_baselines("none", "lstm") == []
    assert other_baselines("fast", "gru") == ["unigram", "markov"]
    assert other_baselines("all", "unigram") == ["markov", "cbow", "window"]  # never beside itself


# The verdict and comparisons


@pytest.mark.parametrize(
    ("own", "others", "higher", "error"),
    [
        (None, {"a": 4.0}, False, "lstm has no s to compare"),
        (3.0, {"a": 4.0, "b": 5.0}, False, "lstm beats every baseline: s 3, a 4"),
        (0.9, {"a": 0.5, "b": 0.8}, True, "lstm beats every baseline: s 0.9, b 0.8"),
        (4.5, {"a": 4.0, "b": 5.0}, False, "lstm LOSES to a: s 4.5, a 4; it beats b"),
        (0.1, {"a": 0.5, "b": 0.8}, True, "lstm LOSES to b: s 0.1, b 0.8; it beats no baseline"),
        (4.0, {"a": 4.0, "b": 5.0}, False, "lstm is no better than a: s 4, a 4"),
        (4.0, {}, False, "no baseline to compare lstm with"),
    ],
)
def test_verdict_sentences(own: float | None, others: dict[str, float], higher: bool, error: str) -> None:
    baselines = {name: {"s": score} for name, score in others.items()}
    result = {"model": "lstm", "scores": {} if own is None else {"s": own}, "baselines": baselines}
    assert verdict(result, "s", higher) == error


@every_task
def test_run_verdict(runs: dict[str, Run], task: str) -> None:
    run = runs[task]
    best = (max if run.higher_is_better else min)(scores[run.main_score] for scores in run.result["baselines"].values())
    own = run.result["scores"][run.main_score]
    better = own > best if run.higher_is_better else own < best
    assert ("beats every" in run.verdict()) == better


def test_compare_runs(runs: dict[str, Run], home: Path, tmp_path: Path) -> None:
    options = {**OPTIONS["forecast"], "baselines": "none"}
    repeated = train("forecast", home / "prices.csv", out=str(tmp_path / "same"), **{**options, "model": "gru"})
    farther = train("forecast", home / "prices.csv", out=str(tmp_path / "far"), **{**options, "horizon": 5})
    pair = compare([runs["forecast"], str(repeated.path)])
    assert pair.keys() == {"task", "main_score", "higher_is_better", "runs", "notes"}
    assert [run["model"] for run in pair["runs"]] == ["lstm", "gru"]
    assert pair["notes"] == []
    assert compare([repeated, farther])["notes"] == [
        "the runs were not scored on the same data and split: their scores do not compare"
    ]
    with pytest.raises(UsageError, match="compare: runs of different tasks"):
        compare([runs["forecast"], runs["language"]])
    with pytest.raises(UsageError, match="compare: no runs given"):
        compare([])


# Files for validation and test


def test_valid_and_test_files_are_used_whole(home: Path, tmp_path: Path) -> None:
    for name, seed in (("valid.csv", 1), ("test.csv", 2)):
        (tmp_path / name).write_text(messages(10 + seed, seed), encoding="utf-8")
    options = {**OPTIONS["classify"], "baselines": "none"}
    paths = {"valid": str(tmp_path / "valid.csv"), "test": str(tmp_path / "test.csv")}
    pair = train("classify", home / "messages.csv", out=str(tmp_path / "both"), **paths, **options).result["data"]
    assert (pair["train"], pair["valid"], pair["test"]) == (120, 22, 24)
    run = train("classify", home / "messages.csv", out=str(tmp_path / "one"), test=paths["test"], **options)
    assert (run.result["data"]["train"], run.result["data"]["valid"]) == (108, 12)
    assert run.result["data"]["test"] == 24
    assert run.evaluate(tmp_path / "test.csv")["scores"] == run.result["scores"]


# Out and resume


def test_default_run_folders_are_numbered(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {**OPTIONS["classify"], "model": "majority", "baselines": "none"}
    places = [train("classify", home / "messages.csv", **options).path for _ in range(2)]
    assert places == [Path("runs/classify-majority-1"), Path("runs/classify-majority-2")]


def test_folder_with_files_is_refused(runs: dict[str, Run], home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    for out in (tmp_path, runs["classify"].path):
        previous = files(out)
        with pytest.raises(UsageError, match="is not empty; give another folder, or --resume"):
            train("classify", home / "messages.csv", out=str(out), **OPTIONS["classify"])
        assert files(out) == previous
    with pytest.raises(RunError, match=r"no config\.json, so this is not a run folder; nothing to resume"):
        train("classify", home / "messages.csv", out=str(tmp_path), resume=True, **OPTIONS["classify"])


@pytest.mark.parametrize("has_folder", [False, True])
def test_resume_without_checkpoint_trains_from_the_start(
    runs: dict[str, Run], home: Path, tmp_path: Path, has_folder: bool
) -> None:
    out = tmp_path / "run"
    if has_folder:  # what a crash in the very first write leaves
        out.mkdir()
        (out / ".config.json.part").write_text("{")
    options = {**OPTIONS["classify"], "baselines": "none"}
    run = train("classify", home / "messages.csv", out=str(out), resume=True, **options)
    assert run.result["scores"] == runs["classify"].result["scores"]


def test_resume_of_finished_run_returns_stored_result(
    runs: dict[str, Run], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seriatim.tasks.classify.Classify.plan", lambda *arguments: pytest.fail("trained again"))
    out = runs["classify"].path
    previous = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    options = {**OPTIONS["classify"], "quiet": False}
    loaded = train("classify", home / "messages.csv", out=str(out), resume=True, **options)
    assert loaded.result == runs["classify"].result
    assert {name: (out / name).stat().st_mtime_ns for name in files(out)} == previous
    assert f"note: {out} is finished: nothing was trained." in capsys.readouterr().err


@pytest.mark.parametrize("task", TASKS)
def test_resume_of_finished_run_with_other_data_is_refused(
    runs: dict[str, Run], home: Path, tmp_path: Path, task: str
) -> None:
    other = tmp_path / data(home, task).name
    lines = data(home, task).read_text(encoding="utf-8").splitlines(keepends=True)
    other.write_text("".join(lines[:-1]), encoding="utf-8")
    out = str(runs[task].path)
    with pytest.raises(DataError, match="resume: the data have changed since"):
        train(task, other, out=out, resume=True, **OPTIONS[task])


def test_resume_with_other_options_is_refused(runs: dict[str, Run], home: Path) -> None:
    out = str(runs["classify"].path)
    with pytest.raises(UsageError, match=r"hidden: got 9, but .* began with 8; resume with the same options"):
        train("classify", home / "messages.csv", out=out, resume=True, **{**OPTIONS["classify"], "hidden": 9})
    with pytest.raises(UsageError, match=r"resume: .* is a classify run, not language"):
        train("language", home / "corpus.txt", out=out, resume=True)
    free = {"threads": 2, "quiet": True, "checkpoint_every": 7}
    assert train("classify", home / "messages.csv", out=out, resume=True, **{**OPTIONS["classify"], **free}).result


def test_resume_with_other_data_is_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    shutil.copytree(runs["classify"].path, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "messages.csv").write_text(messages(seed=9), encoding="utf-8")
    with pytest.raises(DataError, match="resume: the data have changed since"):
        train("classify", tmp_path / "messages.csv", out=str(tmp_path / "run"), resume=True, **OPTIONS["classify"])
    with pytest.raises(RunError, match="this run is not finished; go on with --resume --out"):
        load(tmp_path / "run").result  # noqa: B018


def test_bundled_set_sets_options(tmp_path: Path) -> None:
    run = train("forecast", "sunspots", model="naive", out=str(tmp_path / "run"), baselines="none")
    assert run.options.target  # type: ignore[attr-defined]
    assert run.evaluate() == run.result
    with pytest.raises(UsageError, match="data: the bundled set 'sunspots' is for forecast, not language"):
        train("language", "sunspots")
    with pytest.raises(DataError, match=r"sunspot: no such file, nor a bundled set .* \(did you mean 'sunspots'\?\)"):
        train("forecast", "sunspot", target="x")


@every_task
@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_bf16_scores_near_fp32(task: str, model: str, home: Path, tmp_path: Path) -> None:
    """The arithmetic has only 8 bits of fraction; weights and carry stay in float32."""
    main = {"language": "perplexity", "classify": "accuracy", "forecast": "mase"}[task]
    scores = []
    for precision in ("fp32", "bf16"):
        options = OPTIONS[task] | {"model": model, "baselines": "none", "precision": precision}
        run = train(task, data(home, task), out=str(tmp_path / precision), observer=Silent(), **options)
        arrays = read_arrays(run.path / "model.safetensors").items()
        assert {array.dtype for name, array in arrays if not name.startswith("start.")} == {np.dtype(np.float32)}
        scores.append(run.result["scores"][main])
    assert scores[1] == pytest.approx(scores[0], rel=0.15)


def test_error_shows_the_beginning_of_a_text_that_is_no_path() -> None:
    with pytest.raises(DataError, match="no such file, nor a bundled set of that name") as caught:
        train("language", "word " * 2000)
    assert len(str(caught.value)) < 500
