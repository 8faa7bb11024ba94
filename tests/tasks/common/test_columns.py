"""A column cannot be read and predicted at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seriatim.errors import UsageError
from seriatim.run import train

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("classify", {"text": "a", "label": "a"}, "text: 'a' is also the label, which the model has to predict"),
    ("classify", {"channels": ("b", "a"), "id": "c", "label": "a"}, "channels: 'a' is also the label"),
    ("regress", {"text": "a", "target": " a"}, "text: 'a' is also the target"),
    ("forecast", {"time": "a", "target": ("b", "a")}, "time: 'a' is also the target"),
    ("forecast", {"id": "a", "target": ("a",)}, "id: 'a' is also the target"),
    ("tag", {"words": "1", "column": "1"}, "words: '1' is also the column"),
    ("translate", {"source": "a", "target": "a"}, "source: 'a' is also the target"),
    ("caption", {"image": "a", "text": "a"}, "image: 'a' is also the text"),
]


@pytest.mark.parametrize(("task", "options", "message"), CASES)
def test_column_of_input_and_answer_is_refused(
    task: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n" + "1,2,3\n" * 20)
    with pytest.raises(UsageError, match=message):
        train(task, tmp_path / "a.csv", out=str(tmp_path / "run"), quiet=True, **options)
    assert not (tmp_path / "run").exists()
