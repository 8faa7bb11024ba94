"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from seriatim.errors import RunError
from seriatim.storage import read_arrays, read_json, write_arrays, write_bytes, write_json


def test_arrays_are_restored(tmp_path: Path) -> None:
    arrays = {"a": torch.randn(3, 4), "b": np.arange(5), "scalar": torch.tensor(2.5), "turned": torch.randn(2, 3).T}
    write_arrays(tmp_path / "x.safetensors", arrays)
    back = read_arrays(tmp_path / "x.safetensors")
    for name, value in arrays.items():
        assert np.array_equal(back[name], np.asarray(value)), name
        assert back[name].shape == tuple(value.shape)


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_arrays(tmp_path / name, {"w": np.ones((3, 3)), "v": np.zeros(2)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "result.json"
    write_json(file, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"result.json: cannot be written \(No space left on device\)"):
        write_json(file, {"a": 2})
    assert read_json(file) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "under" / "it", b"")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff", b"[1, 2"])
def test_damaged_and_missing_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        read_json(tmp_path / "x")
    with pytest.raises(RunError, match="damaged"):
        read_arrays(tmp_path / "x")
    with pytest.raises(RunError, match="not there"):
        read_json(tmp_path / "y")
    with pytest.raises(RunError, match="not there"):
        read_arrays(tmp_path / "y")
