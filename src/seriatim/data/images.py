"""Pictures, and what is said of each: files by path, bytes in a table, arrays, or feature vectors of a user's own."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.collection import Collection, key
from seriatim.data.files import InputStream, check_file, first_line, load_npy
from seriatim.data.tables import Table, open_table
from seriatim.errors import DataError, MissingExtra, UsageError

Picture = NDArray[Any]
"""uint8 ``[H, W, C]``: C is 3 for red, green and blue, or 1; or float32 ``[R, C]``: a feature vector per region."""

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".npy")
"""Of a file that is itself a picture, not a table of pictures."""
MOST_BYTES: Final = 8 << 30
"""All pictures of a data set are held in memory: N · H · W · C bytes of pixels, or 4 · N · R · C of features."""


@dataclass(frozen=True)
class PictureFormat:
    """How pictures are read: as pixels of ``side`` × ``side``, in colour or in grey, or as feature vectors."""

    side: int = 64
    grey: bool = False
    features: bool = False


@dataclass(frozen=True)
class Pictures(Collection):
    """Different pictures in order of first appearance; duplicates are equal pixel by pixel."""

    plural: ClassVar[str] = "pictures"
    compared: ClassVar[str] = "pictures"

    inputs: list[Picture]
    captions: list[list[str]]
    """What is said of each; empty lists where nothing is."""
    groups: list[str] | None
    names: list[str]
    """Of each picture: its path as the table has it, or where it stands."""
    rows: list[int]
    """The picture of each row of the table."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def keys(self) -> list[Hashable]:
        return list(map(key, self.inputs))

    @property
    def content(self) -> object:
        return self.inputs, self.captions

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Pictures:
        """Those at ``indices``, in that order, a row each."""
        return Pictures(
            [self.inputs[index] for index in indices],
            [self.captions[index] for index in indices],
            None if self.groups is None else [self.groups[index] for index in indices],
            [self.names[index] for index in indices],
            list(range(len(indices))),
        )


def read_pictures(
    source: object,
    look: PictureFormat,
    *,
    image: str | None = None,
    features: str | None = None,
    text: str | None = None,
    group: str | None = None,
    header: bool = True,
    need_text: bool = True,
) -> Pictures:
    """Pictures and captions from whatever holds them.

    - a table (see ``open_table``) with a column ``image`` and a column ``text``, a row per caption: rows with the same
      image are captions of one picture. A cell holds a path, from the table's own folder or absolute, or, in Parquet, a
      file's bytes, or ``{"bytes", "path"}`` as Hugging Face's data sets have it;
    - the same with ``features`` in place of ``image``: paths of ``.npy`` files, or lists of numbers; one vector
      ``[C]``, or one per region ``[R, C]``;
    - in memory, ``(X, captions)`` or ``X`` alone, where ``X`` is a list of uint8 arrays ``[H, W]`` or ``[H, W, C]`` (of
      float arrays ``[C]`` or ``[R, C]`` for features) or one array of them, and each of ``captions`` a text or a list
      of texts;
    - the path of a single picture or ``.npy`` file, without ``need_text``.

    Every picture is brought to ``look.side`` × ``look.side`` pixels, whatever its shape was, so that nothing at its
    edges is lost; what is transparent becomes white; a photograph is turned the way its EXIF data say.

    Raises ``UsageError`` for options that do not fit or a column that does not exist, and ``DataError`` with the row of
    an empty caption, or of a picture that is missing, not a picture, truncated, or of another width or kind than the
    first.
    """
    if (memory := _in_memory(source)) is not None:
        return _from_memory(*memory, look, need_text)
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES and not need_text:
        return _from_cells([str(source)], lambda row: "data", Path(), look)
    column = features if look.features else image
    if column is None:
        raise UsageError("image: name the column of the images, or --features, the column of feature vectors")
    if need_text and text is None:
        raise UsageError("text: name the column of the captions")
    needed = [column, *([text] if need_text and text else []), *([group] if group else [])]
    table = open_table(source, header=header, columns=needed)
    folder = Path(source).parent if isinstance(source, (str, Path)) and not isinstance(source, InputStream) else Path()
    found = _from_cells(table.values(column, "image"), lambda row: _place(table, row, column), folder, look)
    captions = _captions(table, text, found) if need_text and text else found.captions
    groups = _groups(table, group, found) if group else None
    return Pictures(found.inputs, captions, groups, found.names, found.rows)


def _place(table: Table, row: int, column: str) -> str:
    return f"{table.name}: {table.line(row)}, column '{column}'"


def _from_cells(cells: Sequence[Any], place: Callable[[int], str], folder: Path, look: PictureFormat) -> Pictures:
    """Read each different cell once."""
    numbers: dict[Hashable, int] = {}
    rows = [numbers.setdefault(_key(cell), len(numbers)) for cell in cells]
    firsts = np.unique(rows, return_index=True)[1]
    load = _vector if look.features else _pixels
    shelf = _Shelf(len(numbers), look)
    names = []
    for row in map(int, firsts):
        try:
            shelf.add(load(_opened(cells[row], folder), look))
        except _BadPictureError as bad:
            raise DataError(f"{place(row)}: {bad}") from None
        names.append(_name(cells[row], row))
    return Pictures(shelf.inputs, [[] for _ in numbers], None, names, rows)


def _captions(table: Table, text: str, found: Pictures) -> list[list[str]]:
    captions: list[list[str]] = [[] for _ in found.inputs]
    for row, (number, caption) in enumerate(zip(found.rows, table.text(text), strict=True)):
        if not caption.strip():
            raise table.fault(row, text, "empty caption")
        captions[number].append(caption)
    return captions


def _groups(table: Table, group: str, found: Pictures) -> list[str]:
    groups: dict[int, str] = {}
    for row, (number, name) in enumerate(zip(found.rows, table.labels(group), strict=True)):
        if groups.setdefault(number, name) != name:
            raise table.fault(row, group, f"'{name}', but '{groups[number]}' before for the same image")
    return [groups[number] for number in range(len(found))]


class _BadPictureError(Exception):
    """What is wrong with one picture."""


class _Shelf:
    """Where pictures are put one by one: pixels in one block, whose size is known before the first is read."""

    def __init__(self, count: int, look: PictureFormat) -> None:
        self.inputs: list[Picture] = []
        self._features = look.features
        self._bytes = 0
        shape = (count, look.side, look.side, 1 if look.grey else 3)
        if not look.features:
            self._check(int(np.prod(shape, dtype=np.int64)), "--image-size or --grey")
            self._block = np.empty(shape, np.uint8)

    def add(self, picture: Picture) -> None:
        if self._features:
            if self.inputs and picture.shape[1] != self.inputs[0].shape[1]:
                width = self.inputs[0].shape[1]
                raise _BadPictureError(f"vectors of {picture.shape[1]} numbers, wanted {width} as in the first row")
            self._bytes += picture.nbytes
            self._check(self._bytes, "fewer regions")
            self.inputs.append(picture)
        else:
            row = self._block[len(self.inputs)]
            row[:] = picture
            self.inputs.append(row)

    def _check(self, size: int, remedy: str) -> None:
        if size > MOST_BYTES:
            raise DataError(
                f"image: the pictures take {size / 1e9:.1f} GB of memory, wanted at most {MOST_BYTES / 1e9:.1f} GB; "
                f"try {remedy}"
            )


def _key(cell: Any) -> Hashable:
    """A value that cells share when they hold the same picture."""
    if isinstance(cell, Mapping):
        return tuple(_key(cell.get(part)) for part in ("bytes", "path"))
    return tuple(map(_key, cell)) if isinstance(cell, list) else cell


def _name(cell: Any, row: int) -> str:
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return path if isinstance(path, str) else f"row {row + 1}"


def _opened(cell: Any, folder: Path) -> Any:
    """What to read a picture from: a path that is there, or a file's bytes, or numbers."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return io.BytesIO(cell)
    if isinstance(cell, list):
        return cell
    if not isinstance(cell, str):
        raise _BadPictureError(f"{str(cell)[:40]!r} is not a path or a file's bytes")
    try:
        return check_file(folder / cell)
    except DataError as error:
        raise _BadPictureError(str(error)) from None


def _pixels(opened: Any, look: PictureFormat) -> Picture:
    """A file → uint8 ``[side, side, C]``."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("--image", "train") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(opened) as file:
                file.draft("RGB", (look.side, look.side))  # a JPEG can be decoded small
                return _as_pixels(ImageOps.exif_transpose(file), look)
    except UnidentifiedImageError:
        raise _BadPictureError(f"{_named(opened)}not an image, or of a kind that Pillow cannot read") from None
    except Exception as error:  # decoders raise errors of many kinds, all of which mean a broken file
        raise _BadPictureError(f"{_named(opened)}broken image: {first_line(error)}") from None


def _as_pixels(image: Any, look: PictureFormat) -> Picture:
    """A Pillow image → uint8 ``[side, side, C]``."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("L" if look.grey else "RGB").resize((look.side, look.side), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(look.side, look.side, -1)


def _vector(opened: Any, look: PictureFormat) -> Picture:
    """A ``.npy`` file, or numbers → float32 ``[R, C]``."""
    name = _named(opened)
    try:
        given = np.asarray(opened) if isinstance(opened, (list, np.ndarray)) else load_npy(opened)
    except ValueError as error:
        raise _BadPictureError(f"{name}{first_line(error)}") from None
    if given.dtype.kind != "f" and not isinstance(opened, list):
        raise _BadPictureError(f"{name}features of {given.dtype}, wanted float16, float32 or float64")
    if given.ndim not in (1, 2) or not given.size:
        raise _BadPictureError(f"{name}features of shape {given.shape}, wanted [C] or [R, C]")
    with np.errstate(over="ignore"):
        vectors = np.atleast_2d(given).astype(np.float32)
    if not np.isfinite(vectors).all():
        wrong = np.atleast_2d(given)[~np.isfinite(vectors)][0]
        raise _BadPictureError(f"{name}{wrong} is not a finite number")
    return vectors


def _named(opened: object) -> str:
    return f"{opened}: " if isinstance(opened, Path) else ""


def _in_memory(source: object) -> tuple[Any, Any] | None:
    """Arrays and captions (or ``None``), where that is what ``source`` holds."""
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], (list, tuple, np.ndarray)):
        return source
    if isinstance(source, np.ndarray):
        return source, None
    if isinstance(source, list) and source and all(isinstance(one, np.ndarray) for one in source):
        return source, None
    return None


def _from_memory(arrays: Any, captions: Any, look: PictureFormat, need_text: bool) -> Pictures:
    locations = [f"data item {number}" for number in range(1, len(arrays) + 1)]
    if not locations:
        raise DataError("data: no pictures")
    shelf = _Shelf(len(arrays), look)
    for one, place in zip(arrays, locations, strict=True):
        try:
            shelf.add(_vector(np.asarray(one), look) if look.features else _from_array(np.asarray(one), look))
        except _BadPictureError as bad:
            raise DataError(f"{place}: {bad}") from None
    said: list[list[str]] = [[] for _ in arrays]
    if captions is not None:
        if len(captions) != len(arrays):
            raise DataError(f"data: {len(captions)} captions for {len(arrays)} pictures")
        said = [[one] if isinstance(one, str) else list(one) for one in captions]
    for some, place in zip(said, locations, strict=True):
        if need_text and (not some or not all(isinstance(one, str) and one.strip() for one in some)):
            raise DataError(f"{place}: empty caption" if some else f"{place}: no caption")
    return Pictures(shelf.inputs, said, None, locations, list(range(len(arrays))))


def _from_array(pixels: Picture, look: PictureFormat) -> Picture:
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise _BadPictureError(f"pixels of {pixels.dtype}, wanted uint8")
    if pixels.ndim not in (2, 3) or not pixels.size or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise _BadPictureError(f"pixels of shape {pixels.shape}, wanted [H, W] or [H, W, C] with C of 1, 3 or 4")
    return _as_pixels(Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels), look)
