"""Predictions in parts by Ray: the bytes of a single process, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars
import pytest

import seriatim
from seriatim.scoring import prepare, score, score_partition

pytest.importorskip("ray")


def parent_of(process: Path) -> Path:
    """Return the folder in /proc of the parent."""
    return process.with_name((process / "stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
@pytest.mark.filterwarnings("ignore")
def test_killed_worker_loses_and_doubles_nothing(tmp_path):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["sun", "sea", "rain", "snow"], 5)) for _ in range(200)]
    frame = polars.DataFrame({"text": texts, "label": ["wet" if "rain" in text else "dry" for text in texts]})
    frame.write_csv(tmp_path / "train.csv")
    frame.select("text").write_parquet(tmp_path / "many.parquet")
    options = {"text": "text", "label": "label", "blend": "none", "baselines": "none", "quiet": True}
    seriatim.train("classify", tmp_path / "train.csv", model="tfidf", out=tmp_path / "run", **options)
    job, partitions = prepare(tmp_path / "run", tmp_path / "many.parquet", tmp_path / "plain", part_rows=2)
    for partition in partitions:
        score_partition(job, partition)
    killed: list[int] = []

    def kill_first(done: int, parts: int) -> None:
        """Kill the workers of this process's cluster that are busy when a part is finished, until one was killed."""
        for process in () if killed else Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_busy = b"ray::score_partition" in (process / "cmdline").read_bytes()
                if is_busy and parent_of(parent_of(process)).name == str(os.getpid()):
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.append(int(process.name))

    arguments = tmp_path / "run", tmp_path / "many.parquet", tmp_path / "out"
    score(*arguments, engine="ray", workers=1, part_rows=2, progress=kill_first)
    assert killed
    contents = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("out", "plain")]
    assert contents[0] == contents[1]
