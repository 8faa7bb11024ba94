"""The data sets that come with the package read as they say."""

from __future__ import annotations

import pytest

from seriatim.data.bundled import bundled, find
from seriatim.data.documents import read_documents
from seriatim.data.sequences import read_sequences
from seriatim.data.series import read_series
from seriatim.errors import UsageError


def test_every_set_names_its_source_and_licence() -> None:
    licences = (find("sunspots").path.parent / "LICENSES.md").read_text()
    assert {one.task for one in bundled()} == {"language", "classify", "forecast"}
    for one in bundled():
        assert one.path.is_file() and one.licence and one.source and one.description
        assert one.file in licences


def test_shakespeare() -> None:
    (text,) = read_documents(find("shakespeare").path)
    assert text.startswith("First Citizen:\n") and len(text) == 1_115_394 and len(set(text)) == 65


def test_sms_spam() -> None:
    found = read_sequences(find("sms_spam").path, text="text", label="label")
    assert len(found) == 5574 and found.labels is not None and found.labels.count("spam") == 747
    assert found.without_duplicates()[1] == 403


def test_sunspots() -> None:
    (one,), notes = read_series(find("sunspots").path, target=["activity"], time="year")
    assert len(one) == 309 and notes == [] and one.times is not None
    assert (one.times[0], one.times[-1], one.values[-1, 0]) == (1700, 2008, 2.9)


def test_no_such_set() -> None:
    with pytest.raises(UsageError, match="did you mean 'sunspots'"):
        find("sunspot")
