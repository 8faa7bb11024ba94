"""Every value of every golden description, replaced by hostile ones: an error of ours, or a model that loads."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import pytest

from seriatim import runtime
from seriatim.errors import SeriatimError

FOLDERS = sorted((Path(__file__).parents[1] / "golden").glob("*/*/"))
HOSTILE = (None, -1, 2**31, "x", [], {})


def places(value, path=()):
    """The paths of all values, but of long lists only the first items."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_changed_value_is_refused_or_loads(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    original = json.loads((folder / "model.json").read_text())
    tracemalloc.start()
    try:
        for path in places(original):
            for value in HOSTILE:
                changed = json.loads(json.dumps(original))
                *parents, last = path
                inner = changed
                for key in parents:
                    inner = inner[key]
                inner[last] = value
                (copy / "model.json").write_text(json.dumps(changed))
                try:
                    runtime.load(copy)
                except SeriatimError as error:
                    assert "\n" not in str(error)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
