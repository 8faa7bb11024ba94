"""The table of extras agrees with ``pyproject.toml``."""

from __future__ import annotations

import re
from pathlib import Path

from seriatim.cli.extras import EXTRAS, extra_of

IMPORT_NAMES = {"scikit-learn": "sklearn", "pillow": "PIL"}


def test_extras_match_pyproject():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for extra, modules in EXTRAS.items():
        (listed,) = re.findall(rf"^{extra} = \[(.*)\]$", text, flags=re.MULTILINE)
        packages = re.findall(r'"([\w-]+)', listed)
        assert tuple(IMPORT_NAMES.get(package, package) for package in packages) == modules


def test_extra_of():
    assert extra_of("torch.nn.functional") == "train" and extra_of("tokenizers") == "bpe"
    assert extra_of("torchvision") is None
