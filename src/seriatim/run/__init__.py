"""The run folder, and the verbs as functions and methods.

    train(task, data, …) → Run      load(path) → Run      compare([run, run])
    Run: evaluate · predict · write_predictions · generate · update

Everything after training reads the run folder:

    config.json           format, task, model, all options, the data's source and hash
    vocabulary.json       or scaler.json: the codec of raw values and arrays
    model.safetensors     the weights of the best validation score
    baselines/            the fitted baselines, so that new data can be scored with them too
    metrics.jsonl         one row for each validation
    members/N/            the same files of network N of an ensemble, from 2
    checkpoint/           the whole state of the training, for --resume
    result.json           the scores; it is written last, so a run with this file is finished
"""

from __future__ import annotations

from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.run.comparison import compare
from seriatim.run.training import train
from seriatim.run.verbs import Run, load
from seriatim.run.verdict import verdict
from seriatim.tasks.common.word_vectors import train_vectors

__all__ = ["Observer", "Plain", "Run", "Silent", "compare", "load", "train", "train_vectors", "verdict"]
