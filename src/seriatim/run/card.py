"""The card of a run: what it is, how well it does, and how to use it, as ``README.md`` of a model repository.

The header is YAML with a ``model-index``, from which Hugging Face shows the scores. JSON values are YAML too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seriatim.run.described import DescribedRun
from seriatim.run.score_rows import score_rows

PIPELINES = {
    "language": ("text-generation", "Language modelling"),
    "forecast": ("time-series-forecasting", "Forecasting"),
    "tag": ("token-classification", "Tagging"),
    "translate": ("translation", "Translation"),
    "caption": ("image-to-text", "Captioning"),
}
TEXTS = {"classify": ("text-classification", "Text classification"), "regress": ("text-classification", "Regression")}
NUMBERS = {
    "classify": ("tabular-classification", "Sequence classification"),
    "regress": ("tabular-regression", "Sequence regression"),
}


def write_card(run: DescribedRun, name: str, license: str | None, data: str) -> str:
    """Return the card of a finished run, called ``name``. ``data`` names what it was trained on."""
    result = run.result
    type_, title = _pipeline(run)
    models, best = score_rows(result)
    metrics = [{"type": score, "name": score, "value": value} for score, value in models[best].items()]
    entry = {
        "task": {"type": type_, "name": title},
        "dataset": {"type": "local", "name": data, "split": "test"},
        "metrics": metrics,
    }
    header: dict[str, Any] = {
        "library_name": "seriatim",
        "pipeline_tag": type_,
        "tags": ["recurrent", "seriatim", run.task, run.model],
        **({} if license is None else {"license": license}),
        "model-index": [{"name": name, "results": [entry]}],
    }
    yaml = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in header.items())
    return f"---\n{yaml}---\n\n" + "\n".join(_body(run, name, title, models, best, data)) + "\n"


def _body(
    run: DescribedRun, name: str, title: str, models: Mapping[str, Mapping[str, float]], best: str, data: str
) -> Iterator[str]:
    result = run.result
    yield f"# {name}\n"
    yield f"{title} with Seriatim: `{run.model}`, {result['parameters']:,} parameters.\n"
    yield f"Scores on the test part of {data} (training {result['data']['train']:,}, validation "
    yield f"{result['data']['valid']:,}, test {result['data']['test']:,}), beside the baselines on the same split:\n"
    names = list(dict.fromkeys([run.main_score, *(score for scores in models.values() for score in scores)]))
    yield "| model | " + " | ".join(names) + " |"
    yield "|---" * (1 + len(names)) + "|"
    sign = -1 if run.higher_is_better else 1
    for model, scores in sorted(models.items(), key=lambda item: sign * item[1].get(run.main_score, sign * math.inf)):
        label = f"**{model}**" if model == best else model
        yield f"| {label} | " + " | ".join(f"{scores[s]:.4g}" if s in scores else "-" for s in names) + " |"
    yield f"\n{run.verdict()[:1].upper()}{run.verdict()[1:]}. Predictions come from {best}.\n"
    yield "```python\nimport seriatim\n"
    yield f'run = seriatim.Run.from_pretrained("{name}")'
    yield 'run.generate("…")\n```' if run.task == "language" else "run.predict(data)\n```"


def _pipeline(run: DescribedRun) -> tuple[str, str]:
    """Return Hugging Face's name of the task, and a title."""
    if run.task in PIPELINES:
        return PIPELINES[run.task]
    reads_texts = getattr(run.codec, "inputs", None) is not None and run.codec.inputs.vocabulary is not None
    return (TEXTS if reads_texts else NUMBERS)[run.task]


def data_name(source: list[str] | None) -> str:
    """Return the file names of the training data, without their folders."""
    return "data in memory" if source is None else ", ".join(Path(path).name for path in source)
