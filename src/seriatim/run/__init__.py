"""The run folder, and the verbs as methods of what it holds.

    train(task, data, …) → Run      load(path) → Run      compare([run, run])
    Run: evaluate · predict · write_predictions · generate

A run folder is the one artefact that everything after training reads:

    config.json           format, task, model, every option, where the data came from and their hash
    vocabulary.json       or scaler.json: raw values ↔ arrays
    model.safetensors     weights of the best validation score
    baselines/            the fitted naive models, so that new data can be scored beside them as well
    metrics.jsonl         a row per validation
    checkpoint/           the whole state of the training, for --resume
    result.json           the scores; written last, so it stands for a finished run
"""

from __future__ import annotations

from seriatim.run.training import train
from seriatim.run.verbs import Run, compare, load, verdict
from seriatim.tasks.common.vectors import train_vectors

__all__ = ["Run", "compare", "load", "train", "train_vectors", "verdict"]
