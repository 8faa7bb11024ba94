"""Trainings with options that several processes must agree on, run by each process of a team.

``python rank_cases.py FOLDER`` is one process; RANK and WORLD_SIZE are in its environment. Each case trains in
FOLDER/NAME/whole, keeps a copy of that run folder as it is after an early validation, and goes on from the copy in
FOLDER/NAME/resumed, as processes that were killed there would. Rank r writes FOLDER/NAME/RANK-r.txt: a hash of its
weights and of their average.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from torch import distributed

import seriatim
from runtime_data import CASES as RUNTIME_CASES
from runtime_data import TEXTS
from seriatim.learning import loop, training_end

RNN: dict[str, Any] = {"model": "lstm", "hidden": 8, "batch_size": 5}
STREAMS: dict[str, Any] = {"model": "gru", "hidden": 8, "batch_size": 5, "truncation": 6, "unit": "char"}


def runtime_case(name: str, **options: Any) -> tuple[str, Any, dict[str, Any]]:
    """Return a case of ``runtime_data`` with more options."""
    task, data, own = RUNTIME_CASES[name]
    return task, data, {**own, "batch_size": 5, **options}


CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "average": ("classify", TEXTS, {**RNN, "average": 0.9}),
    "average-streams": ("language", None, {**STREAMS, "average": 0.5, "dropout": 0.0}),
    "adaptive": (
        "language",
        None,
        {**STREAMS, "unit": "word", "softmax": "adaptive", "hidden": 16, "layers": 1, "dropout": 0.0},
    ),
    "word-dropout": ("classify", TEXTS, {**RNN, "word_dropout": 0.3}),
    "word-dropout-tag": runtime_case("tag", word_dropout=0.3),
    "segment": runtime_case("forecast-segment", dropout=0.0, optimizer="sgd", lr=0.5),
    "augment": ("classify", None, {**RNN, "sound": "file", "label": "label", "augment": True, "dropout": 0.0}),
    "batch-norm": runtime_case("classify-fcn", batch_size=3),
    "pictures": runtime_case("caption", batch_size=3),
    "recompute": runtime_case("forecast-recursive", learner="recompute", lookback=12, dropout=0.0),
    "rtrl": ("language", None, {**STREAMS, "learner": "rtrl", "hidden": 4, "layers": 1, "epochs": 1}),
    "uoro": ("language", None, {**STREAMS, "learner": "uoro", "hidden": 4, "layers": 1, "epochs": 1}),
}
"""Task, data and options by a short name."""

COMMON: dict[str, Any] = {"epochs": 2, "baselines": "none", "blend": "none", "checkpoint_every": 4, "quiet": True}

MIN_UPDATES = 2
"""Updates between two validations, so that a short training has several."""


def make_files(folder: Path) -> None:
    """Write a text of 80 different words, and a table of 16 short tones, high or low."""
    draw = np.random.default_rng(0)
    (folder / "words.txt").write_text(" ".join(f"w{number}" for number in draw.integers(0, 80, 250)))
    for row in range(16):
        tone = np.sin(np.arange(1200) * (0.2, 0.5)[row % 2]) + 0.1 * draw.normal(size=1200)
        soundfile.write(folder / f"{row}.wav", 0.5 * tone, 8000)
    rows = (f"{row}.wav,{('low', 'high')[row % 2]}\n" for row in range(16))
    (folder / "sounds.csv").write_text("file,label\n" + "".join(rows))


def data_of(name: str, folder: Path) -> Any:
    """Return the data of a case, or the path of its file."""
    task, data, _ = CASES[name]
    return folder / {"language": "words.txt", "classify": "sounds.csv"}[task] if data is None else data


def run_case(name: str, folder: Path, rank: int, record: list[Any]) -> None:
    """Train the case, and go on from the copy of its run folder. ``record`` receives each training of the loop."""
    task, _, options = CASES[name]
    source = data_of(name, folder)
    whole, copy = folder / name / "whole", folder / name / "resumed"

    def keep_copy(row: dict[str, float]) -> bool:
        if (whole / "checkpoint").exists() and not copy.exists():
            shutil.copytree(whole, copy)
        return False

    seriatim.train(task, source, out=whole, on_validation=keep_copy, **{**COMMON, **options})
    (training,) = record
    averages = () if training.average is None else training.average.weights.values()
    tensors = [*training.model.state_dict().values(), *averages]
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in tensors)).hexdigest()
    (folder / name / f"RANK-{rank}.txt").write_text(digest)
    seriatim.train(task, source, out=copy, resume=True, **{**COMMON, **options})


def main(folder: Path) -> None:
    """Run all cases. The traceback of a case that fails is written to FOLDER/NAME/ERROR-RANK.txt."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    timeout = timedelta(seconds=60)
    distributed.init_process_group("gloo", f"file://{folder}/group", timeout, size, rank)
    record: list[Any] = []
    run = loop._Training.run
    loop._Training.run = lambda training: record.append(training) or run(training)  # type: ignore[func-returns-value, method-assign]
    training_end.MIN_UPDATES_BETWEEN_VALIDATIONS = MIN_UPDATES
    for name in sys.argv[2:] or CASES:
        record.clear()
        (folder / name).mkdir(exist_ok=True)
        try:
            run_case(name, folder, rank, record)
        except Exception:
            (folder / name / f"ERROR-{rank}.txt").write_text(traceback.format_exc())
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
