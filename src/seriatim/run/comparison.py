"""``compare``: the results of several runs of one task, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seriatim.errors import UsageError
from seriatim.run.opened import Result
from seriatim.run.verbs import Run, load


def compare(runs: Sequence[Run | str | Path]) -> Result:
    """Put the results of several runs of one task side by side.

    Returns ``{"task", "main_score", "higher_is_better", "runs": [result, …], "notes": […]}``.

    Raises ``UsageError`` for no run and for runs of different tasks.

    >>> import seriatim, tempfile
    >>> folder, text = tempfile.mkdtemp(), ["to be or not to be. " * 20]
    >>> options = {"baselines": "none", "quiet": True}
    >>> first = seriatim.train("language", text, model="unigram", out=folder + "/first", **options)
    >>> second = seriatim.train("language", text, model="markov", out=folder + "/second", **options)
    >>> [result["model"] for result in seriatim.compare([first, second])["runs"]]
    ['unigram', 'markov']
    """
    opened = [run if isinstance(run, Run) else load(run) for run in runs]
    if not opened:
        raise UsageError("compare: no runs given")
    tasks = sorted({run.task for run in opened})
    if len(tasks) > 1:
        raise UsageError(f"compare: runs of different tasks ({', '.join(tasks)}) have no score in common")
    results = [run.result for run in opened]
    notes = []
    if len({json.dumps(result["data"], sort_keys=True) for result in results}) > 1:
        notes.append("the runs were not scored on the same data and split: their scores do not compare")
    first = opened[0]
    return {
        "task": first.task,
        "main_score": first.main_score,
        "higher_is_better": first.higher_is_better,
        "runs": results,
        "notes": notes,
    }
