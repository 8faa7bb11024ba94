"""Copies a run as an unfinished one with other options, so that resuming it computes only what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from seriatim.run.folder import read_config
from seriatim.storage import write_json


def copy_unfinished(source: Path, target: Path, changes: Mapping[str, object]) -> None:
    """Copy the run folder ``source`` to ``target`` without result and baselines, and with ``changes`` of its options.

    A resumed training in ``target`` finds the network trained, and fits the baselines that its options ask for.
    """
    left_out = shutil.ignore_patterns("result.json", "baselines", "blend.json", "logger.json")
    shutil.copytree(source, target, ignore=left_out)
    config = read_config(target)
    write_json(target / "config.json", {**config, "options": {**config["options"], **changes}})
