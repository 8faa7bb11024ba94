"""Hostile runtime folders: each is refused by one short error, before memory is taken."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tracemalloc

import pytest

import seriatim
from runtime_settings import TEXT
from seriatim import runtime
from seriatim.errors import RunError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An exported folder."""
    folder = tmp_path_factory.mktemp("attacks")
    run = seriatim.train("language", TEXT, out=str(folder / "run"), hidden=8, epochs=1, quiet=True, baselines="none")
    run.export(folder / "exported")
    return folder / "exported"


@pytest.fixture
def folder(original, tmp_path):
    """A copy to damage."""
    return shutil.copytree(original, tmp_path / "copy")


def change(folder, edit):
    """Change the description by ``edit``."""
    file = folder / "model.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def rewrite_weights(folder, header, data=b"", length=None):
    """Write a file of weights with this header, and its hash into the description."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = struct.pack("<Q", len(encoded) if length is None else length) + encoded + data
    (folder / "weights.safetensors").write_bytes(content)
    change(folder, lambda d: d.update(weights=hashlib.sha256(content).hexdigest()))


def refused(folder, match):
    """Check that ``load`` refuses the folder and takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(RunError, match=match) as raised:
            runtime.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


def test_copy_loads(folder):
    assert runtime.load(folder).task == "language"


def spoil_last(folder, name, bits):
    """Set the last number of an array to ``bits``."""
    file = folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    length = int.from_bytes(content[:8], "little")
    end = 8 + length + json.loads(content[8 : 8 + length])[name]["data_offsets"][1]
    content[end - len(bits) : end] = bits
    file.write_bytes(content)
    change(folder, lambda d: d.update(weights=hashlib.sha256(content).hexdigest()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(folder, value):
    spoil_last(folder, "head.bias", struct.pack("<f", value))
    refused(folder, "weights.safetensors: 'head.bias' holds a number that is not finite")


@pytest.mark.parametrize(
    ("dtype", "name", "bits"), [("bf16", "head.weight", "c07f"), ("int8", "head.weight.scale", "0000807f")]
)
def test_rounded_weights_that_are_not_finite(original, tmp_path, dtype, name, bits):
    seriatim.load(original.parent / "run").export(tmp_path / "copy", dtype=dtype)
    spoil_last(tmp_path / "copy", name, bytes.fromhex(bits))
    refused(tmp_path / "copy", "'head.weight(.scale)?' holds a number that is not finite")


@pytest.mark.parametrize(
    ("task", "model"), [("regress", "mean"), ("regress", "stats"), ("classify", "tfidf"), ("regress", "rocket")]
)
def test_naive_weights_that_are_not_finite(tmp_path, task, model):
    rows = [[float(step % (3 + row)) for step in range(12)] for row in range(24)]
    texts = ["sun sea", "rain sea"] * 12
    data = (texts, ["dry", "wet"] * 12) if task == "classify" else (rows, [float(row) for row in range(24)])
    run = seriatim.train(task, data, model=model, out=tmp_path / "run", baselines="none", quiet=True)
    run.export(tmp_path / "copy")
    content = (tmp_path / "copy" / "weights.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    formats = {"F64": "<d", "F32": "<f"}
    floats = {key: entry for key, entry in header.items() if entry["dtype"] in formats}
    assert floats
    for key, entry in floats.items():
        shutil.copytree(tmp_path / "copy", tmp_path / key)
        spoil_last(tmp_path / key, key, struct.pack(formats[entry["dtype"]], float("nan")))
        refused(tmp_path / key, f"'{key}' holds a number that is not finite")


def test_missing_files(folder, tmp_path):
    refused(tmp_path / "nothing", "not a runtime folder")
    (folder / "weights.safetensors").unlink()
    refused(folder, "cannot be read")
    (folder / "model.json").unlink()
    refused(folder, "not a runtime folder")


def test_newer_format(folder):
    change(folder, lambda d: d.update(format=2, seriatim="9.0"))
    refused(folder, "format 2, but seriatim .* reads up to 1; it was written by seriatim 9.0: upgrade")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\x00",
        '{"format": NaN}',
        "[" * 100_000,
        '{"format": 1' + "0" * 5000 + "}",
        '{"format": true}',
    ],
)
def test_damaged_description(folder, text):
    (folder / "model.json").write_text(text)
    refused(folder, "damaged|format")


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(task="x"),
        lambda d: d.update(task=["language"]),
        lambda d: d.update(surprise=1),
        lambda d: d.pop("codec"),
        lambda d: d["codec"].update(tokens=["a"]),
        lambda d: d["codec"].update(tokens=d["codec"]["tokens"] + ["é"]),
        lambda d: d["codec"].update(unit="x"),
        lambda d: d["network"].update(embedding_size=2**31),
        lambda d: d["network"].update(embedding_size=-1),
        lambda d: d["network"].update(embedding_size="8"),
        lambda d: d["network"].update(tied=1),
        lambda d: d["network"]["body"].update(type="pickle"),
        lambda d: d["network"]["body"].update(layers=[]),
        lambda d: d["network"]["body"].update(layers={}),
        lambda d: d["network"]["body"].update(layers=d["network"]["body"]["layers"] * 1000),
        lambda d: d["network"]["body"].update(bidirectional=True),
        lambda d: d["network"]["body"].update(connection="x"),
        lambda d: d["network"]["body"].update(input_size=5),
        lambda d: d["network"]["body"]["layers"][0].update(zoneout=[2, 2]),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(hidden_size=2**31),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(hidden_size=0),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(hidden_size=8.0),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(kind="gru"),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(kind="__class__"),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(surprise=1),
        lambda d: d["network"]["body"]["layers"][0]["cell"].pop("kind"),
        lambda d: d["network"]["body"]["layers"][0]["cell"].update(layer_norm=False),
        lambda d: d["network"]["body"].update(
            type="transformer", hidden_size=8, layers=10**9, heads=1, rotary=True, span=8, causal=True
        ),
        lambda d: d["network"]["body"].update(type="convolution", hidden_size=8, layers=10**9, kernel=3, causal=True),
        lambda d: d["network"]["body"].update(type="feedforward", hidden_size=2**31, layers=1),
        lambda d: d["network"]["body"].update(type="bag", context=2**31),
        lambda d: d.update(weights="0" * 64),
    ],
)  # fmt: skip
def test_changed_description(folder, edit):
    change(folder, edit)
    refused(folder, "model.json|weights.safetensors")


@pytest.mark.parametrize("size", [0, 4, 7, 8, 100])
def test_cut_weights(folder, size):
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    refused(folder, "damaged|cannot be read")


def test_one_changed_bit_of_the_weights(folder):
    file = folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    refused(folder, "SHA-256")


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"not json", b""),
        (b"[]", b""),
        (b"[" * 100_000, b""),
        ({"embedding": {**ENTRY, "shape": [2**40, 2**40]}}, b"12345678"),
        ({"embedding": {**ENTRY, "shape": [-2]}}, b"12345678"),
        ({"embedding": {**ENTRY, "shape": [True]}}, b"12345678"),
        ({"embedding": {**ENTRY, "shape": "2"}}, b"12345678"),
        ({"embedding": {**ENTRY, "shape": [2, 1, 1, 1, 1]}}, b"12345678"),
        ({"embedding": {**ENTRY, "data_offsets": [0, 2**62]}}, b"12345678"),
        ({"embedding": {**ENTRY, "data_offsets": [8, 0]}}, b"12345678"),
        ({"embedding": {**ENTRY, "data_offsets": [1, 9]}}, b"123456789"),
        ({"embedding": {**ENTRY, "dtype": "OBJECT"}}, b"12345678"),
        ({"embedding": {**ENTRY, "dtype": ["F32"]}}, b"12345678"),
        ({"embedding": {**ENTRY, "code": "x"}}, b"12345678"),
        ({"embedding": ENTRY, "other": ENTRY}, b"12345678"),
        ({"embedding": ENTRY}, b"1234567890"),
        ({"embedding": ENTRY}, b"12345678"),
        ({}, b""),
    ],
)
def test_hostile_header_of_weights(folder, header, data):
    rewrite_weights(folder, header, data)
    refused(folder, "weights.safetensors")


def test_header_longer_than_the_file(folder):
    rewrite_weights(folder, b"{}", length=2**63)
    refused(folder, "a header of 9223372036854775808 bytes")


def test_huge_sparse_file_is_not_read(folder):
    os.truncate(folder / "weights.safetensors", 1 << 36)
    refused(folder, "damaged")


def test_huge_sparse_description_is_not_read(folder):
    os.truncate(folder / "model.json", 1 << 36)
    refused(folder, "wanted at most")


def test_unknown_array(folder):
    from seriatim.export.folder import safetensors_bytes
    from seriatim.storage import read_arrays

    arrays = {name: ("float32", values) for name, values in read_arrays(folder / "weights.safetensors").items()}
    content = safetensors_bytes({**arrays, "surprise": next(iter(arrays.values()))})
    (folder / "weights.safetensors").write_bytes(content)
    refused(folder, "unknown array 'surprise'")


def test_a_pickle_is_refused(folder):
    (folder / "weights.safetensors").write_bytes(b"\x80\x04cposix\nsystem\n(S'touch /tmp/attacked'\ntR.")
    refused(folder, "damaged")
