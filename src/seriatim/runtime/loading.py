"""Opens a runtime folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from seriatim.errors import RunError, UsageError
from seriatim.runtime.description import Description, read_description
from seriatim.runtime.model import Model
from seriatim.runtime.weights import WeightFile
from seriatim.version import __version__

FORMAT: Final = 1
"""The version of the runtime folder's format."""
DESCRIPTION: Final = "model.json"
WEIGHTS: Final = "weights.safetensors"
ONNX: Final = "model.onnx"
ARITHMETICS: Final = ("float32", "stored")

READERS: Final[Mapping[str, str]] = {
    "language": "language:read_language",
    "classify": "sequences:Classifier",
    "regress": "sequences:Regressor",
    "forecast": "forecast:Forecaster",
    "tag": "tagging:Tagger",
    "translate": "writing:Translator",
    "caption": "writing:Captioner",
}
"""Module and function that read a model of each task."""
BLEND_READER: Final = "blend:read_blend"


def load(path: str | Path, *, arithmetic: str = "float32") -> Model:
    """Open the runtime folder or the ONNX file at ``path``. No code in it is run, and sizes are checked before memory
    is taken.

    ``arithmetic`` is the arithmetic of the steps of streams: ``float32``, or ``stored``, which multiplies 8- and 16-bit
    weights as they are stored. That is faster where weights fill the cache, and less exact: the largest error of h is
    about 0.02 (int8) and 0.005 (bf16). Cells with a projection or layer norm, and whole sequences, stay in float32.

    An ONNX file, or a folder with ``model.onnx``, is returned as an ``OnnxModel``. Raises ``RunError`` for a model that
    is missing, foreign, damaged or newer than this package, and ``UsageError`` for another ``arithmetic``.
    """
    if arithmetic not in ARITHMETICS:
        raise UsageError(f"arithmetic: got '{arithmetic}', wanted {' or '.join(ARITHMETICS)}")
    folder = Path(path)
    file = folder / ONNX if folder.is_dir() and not is_runtime_folder(folder) else folder
    if file.suffix == ".onnx" and file.is_file():
        from seriatim.runtime.onnx.model import OnnxModel

        return OnnxModel(file)
    if not is_runtime_folder(folder):
        raise RunError(f"{folder}: no {DESCRIPTION}, so this is not a runtime folder (seriatim export RUN DIR)")
    description, raw = read_description(folder / DESCRIPTION)
    version = description.size("format")
    if version > FORMAT:
        written_by = description.value("seriatim", "a later version")
        raise RunError(
            f"{folder}: format {version}, but seriatim {__version__} reads up to {FORMAT}; it was written by seriatim "
            f"{written_by}: upgrade"
        )
    description.text("seriatim")
    weights = WeightFile(folder / WEIGHTS, keeps_type=arithmetic == "stored")
    reader = description.choice("task", READERS)
    module, _, function = (BLEND_READER if description.has("blend") else reader).partition(":")
    read = cast(
        Callable[[Description, WeightFile], Model], getattr(import_module(f"seriatim.runtime.{module}"), function)
    )
    name, digest = description.text("model"), description.text("weights")
    model = read(description, weights)
    model.path, model.name = folder, name
    model.columns = description.part("columns").mapping() if description.has("columns") else {}
    model.info = {"dtype": description.text("dtype"), "scores": description.value("scores", None)}
    description.done()
    weights.done()
    if weights.digest() != digest:
        raise RunError(f"{weights.path}: damaged (its SHA-256 is not the one in {DESCRIPTION})")
    model.hash = hashlib.sha256(raw).hexdigest()
    return model


def is_runtime_folder(path: str | Path) -> bool:
    """Return whether ``path`` has the description of a runtime folder."""
    return (Path(path) / DESCRIPTION).is_file()
