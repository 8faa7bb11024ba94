"""Writes the golden exports of this version: ``python tests/golden/make.py``, once for each release.

Each folder of ``tests/golden/VERSION`` has an exported model, and ``expected.json`` with inputs and results.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import seriatim
from runtime_data import CASES, NAIVE, SENTENCES
from runtime_settings import SETTINGS, TEXT
from seriatim import runtime
from seriatim.storage import write_json
from seriatim.version import __version__

LANGUAGE = {
    "lstm": "float32",
    "highway": "int8",
    "transformer": "bf16",
    "cnn": "int8",
    "lru": "float32",
    "markov": "float32",
}
TASKS = {
    "classify-max": "float32", "classify-both": "int8", "classify-numbers": "bf16", "regress": "float32",
    "forecast": "float32", "forecast-recursive": "float32", "forecast-ar": "float32", "tag-crf": "int8",
    "tag-naive": "float32", "translate": "float32", "translate-transformer": "bf16", "caption": "int8",
    "caption-features": "bf16", "classify-tfidf": "float32", "regress-stats": "float32", "tag-perceptron": "float32",
    "classify-subwords": "float32", "tag-subwords": "int8",
}  # fmt: skip
NUMBERS = [[[1.0, 2.0], [3.0, -1.0], [0.5, 8.0]]]
INPUTS: dict[str, Any] = {
    "language": ["to be or not", "question"],
    "classify-max": ["the sea is warm"], "classify-both": ["the sea is warm"],
    "classify-numbers": NUMBERS, "regress": NUMBERS,
    "forecast": [np.sin(np.arange(60.0)).tolist()], "forecast-ar": [np.sin(np.arange(60.0)).tolist()],
    "forecast-recursive": [np.sin(np.arange(120.0)).reshape(60, 2).tolist()],
    "translate": ["the sea and dog are sun"], "translate-transformer": ["the sea and dog are sun"],
    "caption": [(np.arange(192).reshape(8, 8, 3) % 256).tolist()],
    "caption-features": [np.sin(np.arange(24.0)).reshape(4, 6).tolist()],
    "classify-tfidf": ["the sea is warm"], "regress-stats": NUMBERS, "tag-perceptron": [["The", "dog", "sat"]],
    "classify-subwords": ["the sea is warm"], "tag-subwords": [["The", "dog", "sat", "unseen"]],
    "tag-crf-blend": [["The", "dog", "sat"], ["Unseen", "dog"]],
    "tag-crf": [["The", "dog", "sat"]], "tag-naive": [["The", "dog", "sat"]],
}  # fmt: skip


BLENDS: dict[str, tuple[str, Any, dict[str, Any], str, str]] = {
    "language-blend": ("language", TEXT, {"model": "lstm", "hidden": 12}, "linear", "markov"),
    "tag-crf-blend": (
        "tag", SENTENCES, {"model": "gru", "hidden": 8, "crf": True, "subwords": False}, "scores", "perceptron",
    ),
}  # fmt: skip
"""Task, data, options, form of the mixture, and the baseline in it."""


def make_blend(folder: Path, name: str) -> None:
    """Train a network with baselines, and export a mixture of it and one of them."""
    task, data, options, form, baseline = BLENDS[name]
    with tempfile.TemporaryDirectory() as temporary:
        out = f"{temporary}/run"
        seriatim.train(task, data, out=out, epochs=2, time_limit="5s", quiet=True, **options)
        write_json(Path(out) / "blend.json", {"form": form, "weights": {options["model"]: 0.6, baseline: 0.4}})
        seriatim.load(out).export(folder, use="blend")
    write_expected(folder, INPUTS.get(name, INPUTS["language"]), has_text=task == "language")


def make(folder: Path, name: str, task: str, data: Any, options: dict[str, Any], dtype: str) -> None:
    """Train, export and write the expected results."""
    epochs = None if options["model"] in (*NAIVE, "markov") else 2
    with tempfile.TemporaryDirectory() as temporary:
        out = f"{temporary}/run"
        run = seriatim.train(task, data, out=out, epochs=epochs, quiet=True, baselines="none", **options)
        run.export(folder, dtype=dtype)
    write_expected(folder, INPUTS.get(name, INPUTS["language"]), has_text=task == "language")


def write_expected(folder: Path, inputs: Any, has_text: bool) -> None:
    """Write what the exported model gives now."""
    model = runtime.load(folder)
    expected = {"inputs": inputs, "rows": list(model.predict(inputs))}
    if has_text:
        expected["text"] = "".join(model.generate("to be", length=40, seed=1))
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    root = Path(__file__).parent / __version__
    for name in BLENDS:
        if not (root / name).exists():
            make_blend(root / name, name)
    for name, dtype in LANGUAGE.items():
        if (root / f"language-{name}").exists():
            continue
        make(root / f"language-{name}", f"language-{name}", "language", TEXT, SETTINGS[name], dtype)
    for name, dtype in TASKS.items():
        if (root / name).exists():
            continue
        make(root / name, name, *CASES[name], dtype)
