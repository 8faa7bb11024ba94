"""``Run.export``: it refuses what it cannot do, and leaves nothing half-written."""

from __future__ import annotations

import pytest
import safetensors.numpy

from seriatim.errors import RunError, UsageError
from seriatim.run import parity


def test_folder_that_is_not_empty_is_refused(language_pair, tmp_path):
    run, _ = language_pair("lstm")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        run.export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_unknown_dtype_is_refused(language_pair, tmp_path):
    with pytest.raises(UsageError, match=r"dtype: got 'int9' \(did you mean 'int8'\?\)"):
        language_pair("lstm")[0].export(tmp_path / "x", dtype="int9")
    with pytest.raises(UsageError, match="markov has counts and estimates, which are never rounded"):
        language_pair("markov")[0].export(tmp_path / "x", dtype="int8")


def test_model_that_differs_is_not_written(language_pair, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match=r"the runtime differs from the run by .*, wanted at most -1"):
        language_pair("lstm")[0].export(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_text_that_differs_is_an_error():
    with pytest.raises(RunError, match="writes another text than the run, from character 3 on"):
        parity._same_text("abc", "abd")


def test_difference_of_json_values():
    assert parity.difference({"a": [1.0, 200.0]}, {"a": [1.5, 201.0]}) == 0.5
    for other in ({"a": [1.0]}, {"b": [1.0, 2.0]}, {"a": [1.0, 2]}, {"a": "x"}):
        with pytest.raises(RunError, match="the runtime gives"):
            parity.difference({"a": [1.0, 2.0]}, other)


def test_safetensors_reads_the_weights(language_pair):
    _, model = language_pair("lstm")
    arrays = safetensors.numpy.load_file(model.path / "weights.safetensors")
    assert arrays["body.0.forward.w_hh"].shape == (64, 16)


def test_equal_exports_are_equal_bytes(language_pair, tmp_path):
    run, model = language_pair("lstm")
    run.export(tmp_path / "again")
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (model.path / name).read_bytes()
