"""Pictures and captions from files, tables and arrays, and what is wrong with those that cannot be read."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from PIL import Image

from seriatim.data import images
from seriatim.data.images import PictureFormat, Pictures, read_pictures
from seriatim.errors import DataError, UsageError

LOOK = PictureFormat(side=8)
VECTORS = dataclasses.replace(LOOK, features=True)


def halves(width: int = 16, height: int = 16, left: Any = (255, 0, 0), right: Any = (0, 0, 255)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), right)
    image.paste(left, (0, 0, width // 2, height))
    return image


def encoded(image: Image.Image, format: str = "PNG", **given: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **given)
    return file.getvalue()


def table(folder: Path, *rows: str, header: str = "image,caption") -> Path:
    file = folder / "table.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def read(source: object, look: PictureFormat = LOOK, **given: Any) -> Pictures:
    return read_pictures(source, look, **{"image": "image", "text": "caption", **given})


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
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


def test_rows_with_the_same_image_are_captions_of_one_picture(shelf: Path) -> None:
    found = read(table(shelf, "a.png,two halves", "in/b.jpg,green", "a.png,red and blue"))
    assert found.captions == [["two halves", "red and blue"], ["green"]]
    assert found.rows == [0, 1, 0]
    assert found.names == ["a.png", "in/b.jpg"]
    assert all(one.shape == (8, 8, 3) and one.dtype == np.uint8 for one in found.inputs)
    np.testing.assert_array_equal(found.inputs[0][:, :3], np.broadcast_to([255, 0, 0], (8, 3, 3)))
    np.testing.assert_array_equal(found.inputs[0][:, 5:], np.broadcast_to([0, 0, 255], (8, 3, 3)))


def test_a_path_counts_from_the_table_or_from_the_root(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf / "in")
    found = read(table(shelf, "a.png,x", f"{shelf / 'a.png'},y"))
    np.testing.assert_array_equal(*found.inputs)


@pytest.mark.parametrize("shape", [(8, 8), (64, 8), (8, 64), (3, 5), (301, 99)])
def test_every_shape_is_brought_to_one_and_nothing_is_cut_off(shape: tuple[int, int], shelf: Path) -> None:
    (shelf / "c.png").write_bytes(encoded(halves(*shape)))
    (pixels,) = read(table(shelf, "c.png,x")).inputs
    assert pixels.shape == (8, 8, 3)
    assert pixels[:, 0, 0].min() > 200 > 50 > pixels[:, 0, 2].max()
    assert pixels[:, 7, 2].min() > 200 > 50 > pixels[:, 7, 0].max()


def test_a_picture_of_the_right_size_is_taken_as_it_is(shelf: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    (shelf / "c.png").write_bytes(encoded(Image.fromarray(pixels)))
    np.testing.assert_array_equal(read(table(shelf, "c.png,x")).inputs[0], pixels)


def test_bytes_in_a_table_and_in_memory_are_what_the_file_is(shelf: Path) -> None:
    known = read(table(shelf, "a.png,x")).inputs[0]
    raw = (shelf / "a.png").read_bytes()
    cells: dict[str, Any] = {
        "bytes": raw, "hugging": {"bytes": raw, "path": "elsewhere.png"}, "path": {"bytes": None, "path": "a.png"}
    }  # fmt: skip
    for cell in cells.values():
        polars.DataFrame({"image": [cell, cell], "caption": ["x", "y"]}).write_parquet(shelf / "t.parquet")
        found = read(shelf / "t.parquet")
        np.testing.assert_array_equal(found.inputs[0], known)
        assert found.captions == [["x", "y"]]
    assert found.names == ["a.png"]
    arrays = [np.asarray(halves()), np.asarray(halves(9, 40))]
    found = read((arrays, ["x", ["y", "z"]]))
    np.testing.assert_array_equal(found.inputs[0], known)
    assert found.captions == [["x"], ["y", "z"]]
    assert [one.shape for one in read(np.stack([known, known]), need_text=False).inputs] == [(8, 8, 3)] * 2


@pytest.mark.parametrize(
    ("image", "wanted"),
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
def test_every_kind_of_pixel(image: Image.Image, wanted: tuple[int, int, int], shelf: Path) -> None:
    (shelf / "c.png").write_bytes(encoded(image))
    np.testing.assert_array_equal(read(table(shelf, "c.png,x")).inputs[0], np.broadcast_to(wanted, (8, 8, 3)))


def test_a_photograph_is_turned_the_way_its_camera_was_held(shelf: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    (shelf / "c.jpg").write_bytes(encoded(halves(), "JPEG", exif=exif, quality=95))
    (pixels,) = read(table(shelf, "c.jpg,x")).inputs
    assert pixels[:, 0, 2].min() > 200  # blue is on the left


def test_grey(shelf: Path) -> None:
    (pixels,) = read(table(shelf, "a.png,x"), dataclasses.replace(LOOK, grey=True)).inputs
    assert pixels.shape == (8, 8, 1)
    assert set(pixels[:, (0, 7)].reshape(-1)) == {76, 29}


def test_feature_vectors(shelf: Path) -> None:
    found = read(table(shelf, "one.npy,x", "two.npy,y"), VECTORS, image=None, features="image")
    np.testing.assert_array_equal(found.inputs[0], np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(found.inputs[1], np.full((2, 3), 2, np.float32))
    polars.DataFrame({"image": [[1.0, 1, 1], [2.0, 2.0, 2.5]], "caption": ["x", "y"]}).write_parquet(
        shelf / "t.parquet"
    )
    listed = read(shelf / "t.parquet", VECTORS, image=None, features="image")
    np.testing.assert_array_equal(listed.inputs[1], np.array([[2, 2, 2.5]], np.float32))
    memory = read((np.ones((2, 3)), ["x", "y"]), VECTORS)
    np.testing.assert_array_equal(memory.inputs[1], found.inputs[0])


def test_a_picture_alone_can_be_read_to_write_about(shelf: Path) -> None:
    found = read(shelf / "a.png", need_text=False)
    np.testing.assert_array_equal(found.inputs[0], read(table(shelf, "a.png,x")).inputs[0])
    assert read(shelf / "two.npy", VECTORS, need_text=False).inputs[0].shape == (2, 3)


def test_groups_and_duplicates(shelf: Path) -> None:
    (shelf / "same.png").write_bytes((shelf / "a.png").read_bytes())
    file = table(shelf, "a.png,x,1", "same.png,y,2", "in/b.jpg,z,1", header="image,caption,who")
    found = read(file, group="who")
    assert found.groups == ["1", "2", "1"]
    fewer, dropped = found.without_duplicates()
    assert (dropped, fewer.names, fewer.groups, fewer.captions) == (
        1,
        ["a.png", "in/b.jpg"],
        ["1", "1"],
        [["x"], ["z"]],
    )
    bad = table(shelf, "a.png,x,1", "a.png,y,2", header="image,caption,who")
    with pytest.raises(DataError, match="line 3, column 'who': '2', but '1' before for the same image"):
        read(bad, group="who")


def test_memory_is_bounded_before_anything_is_read(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 8 * 8 * 3 * 2)
    assert len(read(table(shelf, "a.png,x", "in/b.jpg,y"))) == 2
    with pytest.raises(DataError, match=r"take 0.0 GB of memory, wanted at most 0.0 GB; try --image-size or --grey"):
        read(table(shelf, "a.png,x", "in/b.jpg,y", "nothere.png,z"))


@pytest.mark.parametrize(
    ("cell", "said"),
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
def test_pictures_that_cannot_be_read(cell: str, said: str, shelf: Path) -> None:
    file = table(shelf, "a.png,x", f"{cell},y")
    with pytest.raises(DataError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: line 3, column 'image': {shelf}/{said}")


@pytest.mark.parametrize(
    ("cell", "said"),
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
def test_features_that_cannot_be_read(cell: str, said: str, shelf: Path) -> None:
    file = table(shelf, "one.npy,x", f"{cell},y")
    with pytest.raises(DataError) as refused:
        read(file, VECTORS, image=None, features="image")
    assert str(refused.value).startswith(f"{file}: line 3, column 'image': ")
    assert said in str(refused.value)
    assert "pickle" not in str(refused.value), "how to load what must not be loaded"


def test_cells_that_hold_no_picture(shelf: Path) -> None:
    for content, said in {
        "image,caption\na.png,x\n,y\n": "line 3, column 'image': no image",
        "image,caption\na.png,x\na.png, \n": "line 3, column 'caption': empty caption",
        "image,caption\na.png,x\na.png,\n": "line 3, column 'caption': no text",
    }.items():
        (shelf / "table.csv").write_text(content)
        with pytest.raises(DataError, match=said):
            read(shelf / "table.csv")
    with pytest.raises(DataError, match="row 1, column 'image': '7' is not a path or a file's bytes"):
        read([{"image": 7, "caption": "x"}])


def test_a_bomb_is_refused(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"a.png: broken image: Image size \(256 pixels\) exceeds limit"):
        read(table(shelf, "a.png,x"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ((np.zeros((2, 8, 8, 3), np.uint8), ["x"]), "data: 1 captions for 2 pictures"),
        ((np.zeros((1, 8, 8, 3)), ["x"]), "data item 1: pixels of float64, wanted uint8"),
        ((np.zeros((1, 8, 8, 2), np.uint8), ["x"]), r"data item 1: pixels of shape \(8, 8, 2\), wanted"),
        ((np.zeros((2, 8, 8), np.uint8), ["x", " "]), "data item 2: empty caption"),
        ((np.zeros((2, 8, 8), np.uint8), ["x", []]), "data item 2: no caption"),
        (np.zeros((1, 8, 8), np.uint8), "data item 1: no caption"),
        (([], []), "data: no pictures"),
    ],
)
def test_arrays_that_cannot_be_used(source: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(source)


def test_options_that_do_not_fit(shelf: Path) -> None:
    file = table(shelf, "a.png,x")
    with pytest.raises(UsageError, match="image: name the column of the images, or --features"):
        read(file, image=None)
    with pytest.raises(UsageError, match="text: name the column of the captions"):
        read(file, text=None)
    with pytest.raises(UsageError, match=r"no column 'imge' \(did you mean 'image'"):
        read(file, image="imge")
