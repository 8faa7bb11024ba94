"""Tests of pictures and captions from files, tables and arrays, and of the errors for bad ones."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from PIL import Image

from seriatim.data import images
from seriatim.data.images import PictureFormat, Pictures, read_pictures
from seriatim.errors import DataError, UsageError

PIXELS = PictureFormat(side=8)
VECTORS = dataclasses.replace(PIXELS, features=True)


def halves(width: int = 16, height: int = 16, left: Any = (255, 0, 0), right: Any = (0, 0, 255)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), right)
    image.paste(left, (0, 0, width // 2, height))
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def table(folder: Path, *rows: str, header: str = "image,caption") -> Path:
    file = folder / "table.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def read(source: object, picture_format: PictureFormat = PIXELS, **options: Any) -> Pictures:
    return read_pictures(source, picture_format, **{"image": "image", "text": "caption", **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures and vectors, good and bad."""
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").write_bytes(encoded(halves()))
    (tmp_path / "in" / "b.jpg").write_bytes(encoded(halves(left="green"), "JPEG"))
    (tmp_path / "half.png").write_bytes(encoded(halves(200, 200, left="lime"))[:-40])
    (tmp_path / "half.jpg").write_bytes((raw := encoded(halves(200, 200), "JPEG"))[: len(raw) // 2])
    (tmp_path / "words.png").write_text("a red and a blue half")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, values in {
        "one": np.ones(3, np.float32), "two": np.full((2, 3), 2.0), "wide": np.ones(4, np.float32),
        "whole": np.ones(3, np.int64), "deep": np.ones((2, 2, 3)), "nan": np.array([1.0, np.nan, 0.0]),
        "huge": np.array([1.0, 1e300, 0.0]), "none": np.ones((0, 3)), "text": np.array(["a", "b", "c"]),
    }.items():  # fmt: skip
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "object.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    (tmp_path / "half.npy").write_bytes((tmp_path / "two.npy").read_bytes()[:-9])
    return tmp_path


def test_rows_with_same_image_are_captions_of_one_picture(folder: Path) -> None:
    result = read(table(folder, "a.png,two halves", "in/b.jpg,green", "a.png,red and blue"))
    assert result.captions == [["two halves", "red and blue"], ["green"]]
    assert result.rows == [0, 1, 0]
    assert result.names == ["a.png", "in/b.jpg"]
    assert all(picture.shape == (8, 8, 3) and picture.dtype == np.uint8 for picture in result.inputs)
    np.testing.assert_array_equal(result.inputs[0][:, :3], np.broadcast_to([255, 0, 0], (8, 3, 3)))
    np.testing.assert_array_equal(result.inputs[0][:, 5:], np.broadcast_to([0, 0, 255], (8, 3, 3)))


def test_paths_are_relative_to_table_or_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "in")
    result = read(table(folder, "a.png,x", f"{folder / 'a.png'},y"))
    np.testing.assert_array_equal(*result.inputs)


@pytest.mark.parametrize("shape", [(8, 8), (64, 8), (8, 64), (3, 5), (301, 99)])
def test_pictures_are_resized_without_cropping(shape: tuple[int, int], folder: Path) -> None:
    (folder / "c.png").write_bytes(encoded(halves(*shape)))
    (pixels,) = read(table(folder, "c.png,x")).inputs
    assert pixels.shape == (8, 8, 3)
    assert pixels[:, 0, 0].min() > 200 > 50 > pixels[:, 0, 2].max()
    assert pixels[:, 7, 2].min() > 200 > 50 > pixels[:, 7, 0].max()


def test_picture_of_right_size_is_unchanged(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    (folder / "c.png").write_bytes(encoded(Image.fromarray(pixels)))
    np.testing.assert_array_equal(read(table(folder, "c.png,x")).inputs[0], pixels)


def test_bytes_and_arrays_equal_the_file(folder: Path) -> None:
    expected = read(table(folder, "a.png,x")).inputs[0]
    raw = (folder / "a.png").read_bytes()
    cells: dict[str, Any] = {
        "bytes": raw, "hugging": {"bytes": raw, "path": "elsewhere.png"}, "path": {"bytes": None, "path": "a.png"}
    }  # fmt: skip
    for cell in cells.values():
        polars.DataFrame({"image": [cell, cell], "caption": ["x", "y"]}).write_parquet(folder / "t.parquet")
        result = read(folder / "t.parquet")
        np.testing.assert_array_equal(result.inputs[0], expected)
        assert result.captions == [["x", "y"]]
    assert result.names == ["a.png"]
    arrays = [np.asarray(halves()), np.asarray(halves(9, 40))]
    result = read((arrays, ["x", ["y", "z"]]))
    np.testing.assert_array_equal(result.inputs[0], expected)
    assert result.captions == [["x"], ["y", "z"]]
    stacked = read(np.stack([expected, expected]), need_text=False)
    assert [picture.shape for picture in stacked.inputs] == [(8, 8, 3)] * 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (9, 9), (0, 0)), (255, 255, 255)),
        (Image.new("L", (9, 9), 77), (77, 77, 77)),
        (Image.new("1", (9, 9), 1), (255, 255, 255)),
        (Image.fromarray(np.full((9, 9), 77 << 8, np.uint16)), (77, 77, 77)),
        (Image.new("RGB", (9, 9), "lime").quantize(), (0, 255, 0)),
    ],
    ids=["transparent", "grey transparent", "grey", "black and white", "16 bits", "palette"],
)
def test_pixel_formats(image: Image.Image, expected: tuple[int, int, int], folder: Path) -> None:
    (folder / "c.png").write_bytes(encoded(image))
    np.testing.assert_array_equal(read(table(folder, "c.png,x")).inputs[0], np.broadcast_to(expected, (8, 8, 3)))


def test_exif_orientation_is_applied(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    (folder / "c.jpg").write_bytes(encoded(halves(), "JPEG", exif=exif, quality=95))
    (pixels,) = read(table(folder, "c.jpg,x")).inputs
    assert pixels[:, 0, 2].min() > 200  # blue is on the left


def test_damaged_exif_does_not_matter(folder: Path) -> None:
    good = encoded(halves(), "PNG")
    chunk = b"eXIf" + b"\x00\x08\x00\x02\x01\x12\x00\x03 not a TIFF header"
    exif = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "c.png").write_bytes(good[:33] + exif + good[33:])  # behind the header
    (folder / "d.png").write_bytes(good)
    damaged, expected = (read(table(folder, f"{name}.png,x")).inputs[0] for name in "cd")
    np.testing.assert_array_equal(damaged, expected)


def test_grey(folder: Path) -> None:
    (pixels,) = read(table(folder, "a.png,x"), dataclasses.replace(PIXELS, grey=True)).inputs
    assert pixels.shape == (8, 8, 1)
    assert set(pixels[:, (0, 7)].reshape(-1)) == {76, 29}


def test_feature_vectors(folder: Path) -> None:
    result = read(table(folder, "one.npy,x", "two.npy,y"), VECTORS, image=None, features="image")
    np.testing.assert_array_equal(result.inputs[0], np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(result.inputs[1], np.full((2, 3), 2, np.float32))
    polars.DataFrame({"image": [[1.0, 1, 1], [2.0, 2.0, 2.5]], "caption": ["x", "y"]}).write_parquet(
        folder / "t.parquet"
    )
    listed = read(folder / "t.parquet", VECTORS, image=None, features="image")
    np.testing.assert_array_equal(listed.inputs[1], np.array([[2, 2, 2.5]], np.float32))
    memory = read((np.ones((2, 3)), ["x", "y"]), VECTORS)
    np.testing.assert_array_equal(memory.inputs[1], result.inputs[0])


def test_single_picture_is_read_for_prediction(folder: Path) -> None:
    result = read(folder / "a.png", need_text=False)
    np.testing.assert_array_equal(result.inputs[0], read(table(folder, "a.png,x")).inputs[0])
    assert read(folder / "two.npy", VECTORS, need_text=False).inputs[0].shape == (2, 3)


def test_groups_and_duplicates(folder: Path) -> None:
    (folder / "same.png").write_bytes((folder / "a.png").read_bytes())
    file = table(folder, "a.png,x,1", "same.png,y,2", "in/b.jpg,z,1", header="image,caption,who")
    result = read(file, group="who")
    assert result.groups == ["1", "2", "1"]
    fewer, dropped = result.without_duplicates()
    assert (dropped, fewer.names, fewer.groups, fewer.captions) == (
        1,
        ["a.png", "in/b.jpg"],
        ["1", "1"],
        [["x"], ["z"]],
    )
    bad = table(folder, "a.png,x,1", "a.png,y,2", header="image,caption,who")
    with pytest.raises(DataError, match="line 3, column 'who': '2', but '1' before for the same image"):
        read(bad, group="who")


def test_memory_limit_is_checked_before_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 8 * 8 * 3 * 2)
    assert len(read(table(folder, "a.png,x", "in/b.jpg,y"))) == 2
    with pytest.raises(DataError, match=r"take 0.0 GB of memory, wanted at most 0.0 GB; try --image-size or --grey"):
        read(table(folder, "a.png,x", "in/b.jpg,y", "nothere.png,z"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("nothere.png", "nothere.png: no such file"),
        ("in", "in: is a directory, wanted a file"),
        ("empty.png", "empty.png: is empty"),
        ("words.png", "words.png: not an image, or of a kind that Pillow cannot read"),
        ("half.png", "half.png: broken image: "),
        ("half.jpg", "half.jpg: broken image: image file is truncated"),
        ("table.csv", "table.csv: not an image"),
    ],
)
def test_bad_pictures_are_refused(cell: str, message: str, folder: Path) -> None:
    file = table(folder, "a.png,x", f"{cell},y")
    with pytest.raises(DataError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: line 3, column 'image': {folder}/{message}")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("nothere.npy", "no such file"),
        ("a.png", "not a .npy file of numbers that can be read"),
        ("half.npy", "not a .npy file of numbers that can be read"),
        ("object.npy", "not a .npy file of numbers that can be read"),
        ("wide.npy", "vectors of 4 numbers, wanted 3 as in the first row"),
        ("whole.npy", "features of int64, wanted float16, float32 or float64"),
        ("text.npy", "features of <U1, wanted float16"),
        ("deep.npy", "features of shape (2, 2, 3), wanted [C] or [R, C]"),
        ("none.npy", "features of shape (0, 3), wanted [C] or [R, C]"),
        ("nan.npy", "nan is not a finite number"),
        ("huge.npy", "1e+300 is not a finite number"),
    ],
)
def test_bad_features_are_refused(cell: str, message: str, folder: Path) -> None:
    file = table(folder, "one.npy,x", f"{cell},y")
    with pytest.raises(DataError) as refused:
        read(file, VECTORS, image=None, features="image")
    assert str(refused.value).startswith(f"{file}: line 3, column 'image': ")
    assert message in str(refused.value)
    assert "pickle" not in str(refused.value), "the message must not suggest an unsafe way to load"


def test_cells_without_picture_are_refused(folder: Path) -> None:
    for content, message in {
        "image,caption\na.png,x\n,y\n": "line 3, column 'image': no image",
        "image,caption\na.png,x\na.png, \n": "line 3, column 'caption': empty caption",
        "image,caption\na.png,x\na.png,\n": "line 3, column 'caption': no text",
    }.items():
        (folder / "table.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            read(folder / "table.csv")
    with pytest.raises(DataError, match="row 1, column 'image': '7' is not a path or a file's bytes"):
        read([{"image": 7, "caption": "x"}])


def test_decompression_bomb_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"a.png: broken image: Image size \(256 pixels\) exceeds limit"):
        read(table(folder, "a.png,x"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((np.zeros((2, 8, 8, 3), np.uint8), ["x"]), "data: 1 captions for 2 pictures"),
        ((np.zeros((1, 8, 8, 3)), ["x"]), "data item 1: pixels of float64, wanted uint8"),
        ((np.zeros((1, 8, 8, 2), np.uint8), ["x"]), r"data item 1: pixels of shape \(8, 8, 2\), wanted"),
        ((np.zeros((2, 8, 8), np.uint8), ["x", " "]), "data item 2: empty caption"),
        ((np.zeros((2, 8, 8), np.uint8), ["x", []]), "data item 2: no caption"),
        (np.zeros((1, 8, 8), np.uint8), "data item 1: no caption"),
        ((np.zeros((2, 8, 8), np.uint8), ["x", "y \ud83d"]), r"data item 2: \\ud83d is half of a character"),
        (([], []), "data: no pictures"),
    ],
)
def test_bad_arrays_are_refused(source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


def test_unfit_options_are_refused(folder: Path) -> None:
    file = table(folder, "a.png,x")
    with pytest.raises(UsageError, match="image: name the column of the images, or --features"):
        read(file, image=None)
    with pytest.raises(UsageError, match="text: name the column of the captions"):
        read(file, text=None)
    with pytest.raises(UsageError, match=r"no column 'imge' \(did you mean 'image'"):
        read(file, image="imge")
