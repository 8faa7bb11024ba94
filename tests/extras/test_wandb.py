"""W&B without its server; ``scripts/test-extras`` installs it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import seriatim

pytest.importorskip("wandb", reason="wandb is heavy; scripts/test-extras installs it")

pytestmark = pytest.mark.filterwarnings("default")
TEXTS = (["the sun is warm", "the sea is cold"] * 30, ["warm", "cold"] * 30)


def records(content: bytes) -> Iterator[bytes]:
    """The records of a W&B file, a log as LevelDB writes it: blocks of 32 kB of (crc, length, type, data)."""
    position, data = 7, b""  # after the file's own header
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, form = struct.unpack_from("<HB", content, position + 4)
        data += content[position + 7 : position + 7 + length]
        position += 7 + length
        if form in (1, 4):  # whole, or the last part
            yield data
            data = b""


def test_rows_and_scores_are_in_the_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = {"hidden": 4, "epochs": 4, "batch_size": 1, "baselines": "fast", "quiet": True}
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", log="wandb", **options)
    (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
    history, summary = [], {}
    for data in records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            history.append({item.key or item.nested_key[0]: item.value_json for item in record.history.item})
        if record.HasField("summary"):
            summary |= {item.key or item.nested_key[0]: item.value_json for item in record.summary.update}
    assert len(history) == 2 and float(history[0]["valid_nll"]) > 0 and history[1]["_step"] == str(4 * 48)
    assert float(summary["test_accuracy_majority"]) == run.result["baselines"]["majority"]["accuracy"]
