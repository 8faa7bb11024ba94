"""Every engine that is installed writes the same bytes, and loses and doubles nothing when a worker is killed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars
import pytest

import seriatim
from seriatim.errors import DataError, RunError
from seriatim.scoring import prepare, score, score_partition
from seriatim.scoring.plan import PLAN
from seriatim.scoring.running import ENGINES

pytestmark = [pytest.mark.processes, pytest.mark.filterwarnings("default")]

WORDS = ["sun", "sea", "wind", "rain", "snow", "hail", "fog", "dew"]
MODULES = {"ray": "ray", "spark": "pyspark", "dask": "dask"}
WORKERS = {"local": b"spawn_main", "dask": b"spawn_main", "ray": b"ray::score_partition", "spark": b"pyspark.daemon"}
"""A part of the command line of each engine's workers."""


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch) -> str:
    name: str = request.param
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray's workers would wait for every other process
    if name in MODULES and importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed; scripts/test-extras installs it")
    if name == "spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    return name


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A network of texts, as a run and as a runtime folder, and a file with 103 texts of 1 to 40 words."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, length)) for length in rng.integers(1, 41, 120)]
    frame = polars.DataFrame({"text": lines, "label": ["wet" if "rain" in line else "dry" for line in lines]})
    frame.write_csv(folder / "train.csv")
    frame.head(103).select("text").write_parquet(folder / "many.parquet", row_group_size=10)
    options = {"text": "text", "label": "label", "hidden": 12, "epochs": 1, "baselines": "none", "quiet": True}
    run = seriatim.train("classify", folder / "train.csv", model="gru", out=folder / "run", **options)
    run.export(folder / "exported")
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def one_process(texts: Path, model: str, out: Path, part_rows: int) -> dict[str, bytes]:
    """Score in this process, and return the bytes of all files."""
    job, partitions = prepare(texts / model, texts / "many.parquet", out, part_rows=part_rows)
    for partition in partitions:
        score_partition(job, partition)
    return bytes_of(out)


@pytest.mark.parametrize("model", ["run", "exported"])
def test_engines_write_equal_bytes_and_skip_what_is_there(texts, tmp_path, engine, model):
    expected = one_process(texts, model, tmp_path / "plain", 30)
    assert len(expected) == 5
    arguments = texts / model, texts / "many.parquet", tmp_path / "out"
    seen: list[tuple[int, int]] = []
    options = {"engine": engine, "part_rows": 30, "workers": 1}
    summary = score(*arguments, **options, progress=lambda done, parts: seen.append((done, parts)))
    assert (summary.parts, summary.skipped, summary.rows, seen[-1]) == (4, 0, 103, (4, 4))
    assert bytes_of(tmp_path / "out") == expected
    lost = tmp_path / "out" / "rows-000000000031-000000000060.parquet"
    stays = tmp_path / "out" / "rows-000000000001-000000000030.parquet"
    lost.unlink()
    before = stays.stat().st_mtime_ns
    assert score(*arguments, **options).skipped == 3
    assert bytes_of(tmp_path / "out") == expected and stays.stat().st_mtime_ns == before
    assert score(*arguments, **options).skipped == 4


def stat_of(process: Path) -> list[str]:
    """Return the values of /proc/PID/stat after the name: the state, the parent, …"""
    return (process / "stat").read_text().rpartition(")")[2].split()


def is_descendant(process: Path, ancestor: int) -> bool:
    while int(process.name) > 1:
        process = process.with_name(stat_of(process)[1])
        if int(process.name) == ancestor:
            return True
    return False


def workers_of(engine: str) -> list[Path]:
    """Return the folders in /proc of the workers of this process. A worker of Spark is a fork of its daemon."""
    workers = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            is_worker = WORKERS[engine] in (process / "cmdline").read_bytes()
            if engine == "spark" and is_worker:
                is_worker = WORKERS[engine] in (process.with_name(stat_of(process)[1]) / "cmdline").read_bytes()
            if is_worker and is_descendant(process, os.getpid()):
                workers.append(process)
    return workers


def kill_a_worker(engine: str, out: Path, stop: threading.Event, killed: list[str]) -> None:
    """Kill workers after the first part, until one leaves a file that it was writing. Its name goes into ``killed``."""
    while not killed and not stop.wait(0.001):
        for process in workers_of(engine) if any(out.glob("rows-*")) else ():
            begun: list[Path] = []
            while process.exists() and not begun and not stop.wait(0.0003):
                begun = list(out.glob(".rows-*"))
            with suppress(OSError):
                os.kill(int(process.name), signal.SIGKILL)
                while stat_of(process)[0] != "Z":
                    time.sleep(0.001)
            killed += [file.name for file in begun if file.exists()][: 1 - len(killed)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_killed_worker_loses_and_doubles_nothing(texts, tmp_path, engine):
    expected = one_process(texts, "exported", tmp_path / "plain", 1)
    arguments = texts / "exported", texts / "many.parquet", tmp_path / "out"
    options = {"engine": engine, "part_rows": 1, "workers": 1}
    stop, killed = threading.Event(), list[str]()
    killer = threading.Thread(target=kill_a_worker, args=(engine, tmp_path / "out", stop, killed))
    killer.start()
    try:
        if engine == "dask":  # its processes on this machine are not started again
            with pytest.raises(RunError, match="the same command goes on"):
                score(*arguments, **options)
        else:
            score(*arguments, **options)
    finally:
        stop.set()
        killer.join()
    assert len(killed) == 1  # a task was cut short
    if engine == "dask":
        assert score(*arguments, **options).skipped > 0
    assert bytes_of(tmp_path / "out") == expected


def test_bad_row_is_named_by_every_engine(texts, tmp_path, engine):
    polars.DataFrame({"text": ["sun", "sea", None]}).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"bad.parquet: in rows 3 to 3, counted from the first of them: .*row 1"):
        score(texts / "run", tmp_path / "bad.parquet", tmp_path / "out", engine=engine, part_rows=1, workers=1)
    names = {file.name for file in (tmp_path / "out").iterdir() if not file.name.startswith(".")}
    assert names <= {PLAN, *(f"rows-{row:012d}-{row:012d}.parquet" for row in (1, 2))}
