"""Predictions in parts are the predictions of the whole file."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest

import seriatim
from seriatim.cli.app import run as run_command
from seriatim.errors import DataError, RunError, UsageError
from seriatim.scoring import prepare, score, score_partition
from seriatim.scoring.plan import PLAN, partitions_of
from seriatim.scoring.scorer import hash_of_run, open_scorer
from seriatim.storage import PART

WORDS = ["sun", "sea", "wind", "rain", "snow", "hail", "fog", "dew"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A run of texts and its runtime folder, and a file with 103 texts."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, 5)) for _ in range(120)]
    frame = polars.DataFrame({"message": lines, "label": ["wet" if "rain" in line else "dry" for line in lines]})
    frame.write_csv(folder / "train.csv")
    frame.head(103).select(polars.col("message"), other=1).write_parquet(folder / "many.parquet", row_group_size=10)
    options = {"text": "message", "label": "label", "blend": "none", "baselines": "none", "quiet": True}
    run = seriatim.train("classify", folder / "train.csv", model="tfidf", out=folder / "run", **options)
    run.export(folder / "exported")
    return folder


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """A run of numeric sequences, and a file with sequences of 1 to 9 rows."""
    folder = tmp_path_factory.mktemp("steps")
    rng = np.random.default_rng(1)
    lengths = rng.integers(3, 10, 40)
    ids = np.repeat([f"s{number}" for number in rng.permutation(40)], lengths)
    frame = polars.DataFrame({"key": ids, "x": rng.normal(size=len(ids)), "y": np.repeat(rng.normal(size=40), lengths)})
    frame.write_csv(folder / "train.csv")
    frame.drop("y").write_parquet(folder / "many.parquet")
    options = {"channels": "x", "id": "key", "target": "y", "blend": "none", "baselines": "none", "quiet": True}
    seriatim.train("regress", folder / "train.csv", model="stats", out=folder / "run", **options)
    return folder


def table_of(folder: Path) -> polars.DataFrame:
    return polars.concat([polars.read_parquet(file) for file in sorted(folder.glob("rows-*.parquet"))])


def whole(folder: Path, tmp_path: Path) -> polars.DataFrame:
    seriatim.load(folder / "run").write_predictions(folder / "many.parquet", tmp_path / "whole.parquet")
    return polars.read_parquet(tmp_path / "whole.parquet")


def work(model: Path, folder: Path, out: Path, **options: object) -> None:
    """Score all partitions in this process."""
    job, partitions = prepare(model, folder / "many.parquet", out, **options)
    for partition in partitions:
        score_partition(job, partition)


def test_parts_are_the_predictions_of_the_whole_file(texts, tmp_path):
    work(texts / "run", texts, tmp_path / "out", part_rows=10)
    names = [file.name for file in sorted((tmp_path / "out").glob("rows-*"))]
    assert names[0] == "rows-000000000001-000000000010.parquet" and len(names) == 11
    assert names[-1] == "rows-000000000101-000000000103.parquet"
    assert table_of(tmp_path / "out").equals(whole(texts, tmp_path))


def test_sequences_stay_whole(steps, tmp_path):
    work(steps / "run", steps, tmp_path / "out", part_rows=20)
    assert len(list((tmp_path / "out").glob("rows-*"))) > 5
    table = table_of(tmp_path / "out")
    assert table.equals(whole(steps, tmp_path)) and table.height == 40


def test_parts_have_the_wanted_size_and_know_what_came_before(steps):
    scorer = open_scorer(steps / "run")
    ids = polars.read_parquet(steps / "many.parquet")["key"].to_list()
    parts = partitions_of(steps / "many.parquet", scorer, 20)
    assert all(20 <= part.end - part.start < 20 + 9 for part in parts[:-1])  # and the rest of a sequence of 9 rows
    assert [part.offset for part in parts] == [len(set(ids[: part.start])) for part in parts]


def test_each_row_has_a_prediction_of_its_own(steps, tmp_path):
    options = {"channels": "x", "id": "key", "target": "y", "every_step": True, "blend": "none", "baselines": "none"}
    seriatim.train(
        "regress", steps / "train.csv", model="gru", hidden=3, epochs=1, out=tmp_path / "run", quiet=True, **options
    )
    work(tmp_path / "run", steps, tmp_path / "out", part_rows=20)
    table = table_of(tmp_path / "out")
    assert table["row"].to_list() == list(range(1, table.height + 1))
    seriatim.load(tmp_path / "run").write_predictions(steps / "many.parquet", tmp_path / "whole.parquet")
    expected = polars.read_parquet(tmp_path / "whole.parquet")
    assert table.columns == expected.columns and table["row"].equals(expected["row"])
    np.testing.assert_allclose(table["prediction"], expected["prediction"], atol=1e-5)


def test_changed_data_and_models_are_refused(texts, tmp_path):
    data = tmp_path / "many.parquet"
    frame = polars.read_parquet(texts / "many.parquet")
    frame.write_parquet(data)
    job, (partition,) = prepare(texts / "run", data, tmp_path / "out")
    with pytest.raises(RunError, match="changed since the work began, or is another model on this machine"):
        score_partition(replace(job, model_hash="sha256:other"), partition)
    polars.concat([frame, frame]).write_parquet(data)
    with pytest.raises(RunError, match=r"many\.parquet: changed since the work began"):
        score_partition(job, partition)
    assert not list((tmp_path / "out").glob("rows-*"))


def test_ids_are_found_across_blocks(steps, monkeypatch):
    scorer = open_scorer(steps / "run")
    expected = partitions_of(steps / "many.parquet", scorer, 20)
    monkeypatch.setattr("seriatim.scoring.plan.BLOCK", 7)
    assert partitions_of(steps / "many.parquet", scorer, 20) == expected


def test_exported_model(texts, tmp_path):
    work(texts / "exported", texts, tmp_path / "out", part_rows=40)
    table, expected = table_of(tmp_path / "out"), whole(texts, tmp_path)
    assert table.columns == expected.columns and table["label"].equals(expected["label"])
    np.testing.assert_allclose(table["probability"], expected["probability"], atol=1e-5)


def test_two_workers_may_score_the_same_partition(texts, tmp_path, monkeypatch):
    job, (partition,) = prepare(texts / "exported", texts / "many.parquet", tmp_path / "out")
    monkeypatch.setattr("seriatim.scoring.partition._LOCK", threading.RLock())
    rename, contents = os.replace, []

    def replace_after_the_other_worker(source: Path, target: Path) -> None:
        """Let a second worker do all of its work before the first renames its file."""
        monkeypatch.setattr(os, "replace", rename)
        score_partition(job, partition)
        contents.append(partition.path(job).read_bytes())
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace_after_the_other_worker)
    score_partition(job, partition)
    assert [partition.path(job).read_bytes()] == contents and len(list(Path(job.out).iterdir())) == 2


def test_hash_of_a_run_depends_on_every_file_of_weights(tmp_path):
    names = ["config.json", "model.safetensors", "baselines/tfidf.safetensors", "members/2/model.safetensors"]
    hashes = {hash_of_run(tmp_path)}
    for name in names:
        for content in ("a", "b"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
            hashes.add(hash_of_run(tmp_path))
    assert len(hashes) == 1 + 2 * len(names)


def test_folder_of_another_plan_is_refused(texts, tmp_path):
    data = texts / "many.parquet"
    prepare(texts / "run", data, tmp_path / "out")
    prepare(texts / "run", data, tmp_path / "out")
    with pytest.raises(UsageError, match="has predictions with part_rows 50000, not 7"):
        prepare(texts / "run", data, tmp_path / "out", part_rows=7)
    with pytest.raises(UsageError, match="has predictions with model 'sha256:"):
        prepare(texts / "exported", data, tmp_path / "out")
    polars.read_parquet(data).head(102).write_parquet(tmp_path / "fewer.parquet")
    with pytest.raises(UsageError, match="has predictions with data 'sha256:"):
        prepare(texts / "run", tmp_path / "fewer.parquet", tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=f"is not empty and has no {PLAN}"):
        prepare(texts / "run", data, tmp_path / "other")


def test_finished_work_is_not_repeated_and_leftovers_are_removed(texts, tmp_path):
    work(texts / "run", texts, tmp_path / "out", part_rows=40)
    (tmp_path / "out" / f".rows.{PART}").write_text("left by a killed worker")
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("rows-*")}
    summary = score(texts / "run", texts / "many.parquet", tmp_path / "out", part_rows=40)
    assert (summary.parts, summary.skipped, summary.rows) == (3, 3, 103)
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir() if file.name != PLAN} == before


def test_rows_of_an_id_must_be_together(steps, tmp_path):
    polars.DataFrame({"key": ["a", "b", "a"], "x": [1.0, 2.0, 3.0]}).write_parquet(tmp_path / "mixed.parquet")
    with pytest.raises(DataError, match="row 3, column 'key': 'a' came before; sort the file"):
        prepare(steps / "run", tmp_path / "mixed.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_input(texts, tmp_path):
    data, out = texts / "many.parquet", tmp_path / "out"
    polars.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "not.parquet").write_text("text\n")
    wrong: list[tuple[type[Exception], str, dict[str, object]]] = [
        (UsageError, "engine: got 'lcoal', wanted", {"engine": "lcoal"}),
        (UsageError, "workers: got 0, wanted at least 1", {"workers": 0}),
        (UsageError, "part_rows: got 0, wanted at least 1", {"part_rows": 0}),
        (UsageError, "part_format: got 'xlsx', wanted", {"part_format": "xlsx"}),
        (UsageError, "wanted a .parquet file", {"data": texts / "train.csv"}),
        (UsageError, "no column 'message'", {"data": tmp_path / "other.parquet"}),
        (DataError, "not a Parquet file", {"data": tmp_path / "not.parquet"}),
        (UsageError, "use: no model 'markov'", {"use": "markov"}),
    ]
    for error, message, options in wrong:
        with pytest.raises(error, match=message):
            score(texts / "run", options.pop("data", data), out, **options)
        assert not out.exists()


def test_bad_row_is_named(texts, tmp_path):
    polars.DataFrame({"message": ["sun", "sea", None]}).write_parquet(tmp_path / "bad.parquet")
    job, partitions = prepare(texts / "run", tmp_path / "bad.parquet", tmp_path / "out", part_rows=2)
    score_partition(job, partitions[0])
    with pytest.raises(DataError, match=r"rows 3 to 3, counted from the first of them: .*row 1"):
        score_partition(job, partitions[1])
    assert len(list((tmp_path / "out").glob("*rows-*"))) == 1


@pytest.mark.processes
def test_command(texts, tmp_path, capsys):
    arguments = ["predict", str(texts / "exported"), str(texts / "many.parquet"), "--out", str(tmp_path / "out")]
    assert run_command([*arguments, "--workers", "1", "--part-format", "jsonl"]) == 0
    assert "103 rows in 1 parts" in capsys.readouterr().out
    assert len((tmp_path / "out" / "rows-000000000001-000000000103.jsonl").read_text().splitlines()) == 103
    assert run_command([*arguments, "--beam-size", "3"]) == 2
    assert "--beam-size: cannot be used with --out" in capsys.readouterr().err
    assert run_command([*arguments[:3], "--engine", "dask"]) == 2
    assert "--engine: wanted --out DIR" in capsys.readouterr().err
