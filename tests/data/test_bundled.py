"""The bundled data sets match their descriptions."""

from __future__ import annotations

import pytest

from seriatim.data.bundled import bundled_set, bundled_sets
from seriatim.data.documents import read_documents
from seriatim.data.images import PictureFormat, read_pictures
from seriatim.data.rolls import read_rolls
from seriatim.data.sequences import read_sequences
from seriatim.data.series import read_series
from seriatim.data.tagged import TagColumns, read_tagged
from seriatim.errors import UsageError


def test_sets_name_source_and_licence() -> None:
    licences = (bundled_set("sunspots").path.parent / "LICENSES.md").read_text()
    assert {bundled.task for bundled in bundled_sets()} >= {"language", "classify", "forecast", "tag", "caption"}
    for bundled in bundled_sets():
        assert bundled.path.is_file() and bundled.licence and bundled.source and bundled.description
        assert bundled.file in licences


def test_shakespeare() -> None:
    (text,) = read_documents(bundled_set("shakespeare").path)
    assert text.startswith("First Citizen:\n") and len(text) == 1_115_394 and len(set(text)) == 65


def test_sms_spam() -> None:
    result = read_sequences(bundled_set("sms_spam").path, text="text", label="label")
    assert len(result) == 5574 and result.labels is not None and result.labels.count("spam") == 747
    assert result.without_duplicates()[1] == 403


def test_sunspots() -> None:
    (series,), notes = read_series(bundled_set("sunspots").path, target=["activity"], time="year")
    assert len(series) == 309 and notes == [] and series.times is not None
    assert (series.times[0], series.times[-1], series.values[-1, 0]) == (1700, 2008, 2.9)


def test_scenes() -> None:
    result = read_pictures(
        bundled_set("scenes").path, PictureFormat(32), image="image", text="caption", group="combination"
    )
    assert len(result) == 2000 and all(len(captions) == 2 for captions in result.captions)
    colours = {"red": (220, 50, 47), "green": (60, 160, 60), "blue": (50, 90, 220)}
    for pixels, captions in zip(result.inputs[:100], result.captions, strict=False):
        for name, colour in colours.items():
            painted = bool((pixels == colour).all(-1).any())
            assert all((name in caption.split()) == painted for caption in captions)


def test_ewt_third() -> None:
    result = read_tagged(bundled_set("ewt_third").path)
    assert len(result) == 4276 and sum(map(len, result.words)) == 69_030
    assert len({tag for tags in result.tags for tag in tags}) == 17
    assert "NNP" in read_tagged(bundled_set("ewt_third").path, TagColumns("xpos")).tags[0]


def test_adding() -> None:
    result = read_sequences(bundled_set("adding").path, target="")
    assert len(result) == 2000 and result.targets is not None
    for values, target in zip(result.arrays, result.targets, strict=True):
        assert values[:, 1].sum() == 2 and target[0] == pytest.approx(float(values[:, 0] @ values[:, 1]))


def test_jsb_chorales() -> None:
    parts = read_rolls(bundled_set("jsb_chorales").path).parts()
    assert parts is not None and [len(part) for part in parts.values()] == [229, 76, 77]


def test_unknown_set_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'sunspots'"):
        bundled_set("sunspot")
