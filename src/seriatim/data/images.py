"""Reads pictures and their captions from files, bytes in a table, arrays, or the user's own feature vectors."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.collection import Collection, duplicate_key
from seriatim.data.files import InputStream, check_file, check_unicode, first_line, load_npy
from seriatim.data.tables import Table, open_table
from seriatim.errors import DataError, MissingExtra, UsageError

Picture = NDArray[Any]
"""uint8 ``[H, W, C]`` with C = 3 (red, green, blue) or 1; or float32 ``[R, C]``, one feature vector per region."""

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".npy")
"""Extensions of a single picture, in contrast to a table of pictures."""
MAX_BYTES: Final = 8 << 30
"""Limit of memory: all pictures are loaded, N · H · W · C bytes of pixels or 4 · N · R · C bytes of features."""


@dataclass(frozen=True)
class PictureFormat:
    """How to read pictures: as ``side`` × ``side`` pixels, in colour or grey, or as feature vectors."""

    side: int = 64
    grey: bool = False
    features: bool = False


@dataclass(frozen=True)
class Pictures(Collection):
    """Distinct pictures in order of first appearance; duplicates have equal pixels."""

    plural: ClassVar[str] = "pictures"
    compared: ClassVar[str] = "pictures"

    inputs: list[Picture]
    captions: list[list[str]]
    """Captions of each picture; an empty list if it has none."""
    groups: list[str] | None
    names: list[str]
    """Name of each picture: its path in the table, or its row."""
    rows: list[int]
    """Index of the picture in each row of the table."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def keys(self) -> list[Hashable]:
        return list(map(duplicate_key, self.inputs))

    @property
    def content(self) -> object:
        return self.inputs, self.captions

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Pictures:
        """Select the pictures at ``indices``, in that order, one row each."""
        return Pictures(
            [self.inputs[index] for index in indices],
            [self.captions[index] for index in indices],
            None if self.groups is None else [self.groups[index] for index in indices],
            [self.names[index] for index in indices],
            list(range(len(indices))),
        )


def read_pictures(
    source: object,
    format: PictureFormat,
    *,
    image: str | None = None,
    features: str | None = None,
    text: str | None = None,
    group: str | None = None,
    header: bool = True,
    need_text: bool = True,
) -> Pictures:
    """Read pictures and captions. ``source`` is one of these:

    - a table (see ``open_table``) with the columns ``image`` and ``text``, one row per caption. Rows with the same
      image are captions of one picture. A cell holds a path (absolute, or relative to the table's folder) or, in
      Parquet, the bytes of a file or ``{"bytes", "path"}`` as in Hugging Face data sets;
    - such a table with ``features`` instead of ``image``: paths of ``.npy`` files, or lists of numbers; one vector
      ``[C]``, or one per region ``[R, C]``;
    - in memory, ``(X, captions)`` or ``X`` alone. ``X`` is a list of uint8 arrays ``[H, W]`` or ``[H, W, C]`` (for
      features: float arrays ``[C]`` or ``[R, C]``) or one array of them; each caption is a text or a list of texts;
    - the path of a single picture or ``.npy`` file, without ``need_text``.

    Each picture is resized to ``format.side`` × ``format.side`` pixels regardless of its shape, so that nothing at the
    edges is lost. Transparent pixels become white. A photograph is rotated as its EXIF data say.

    Raises ``UsageError`` for options that do not fit or a column that does not exist. Raises ``DataError`` with the row
    of an empty caption, or of a picture that is missing, damaged, or differs in width or kind from the first.
    """
    if (memory := _in_memory(source)) is not None:
        return _from_memory(*memory, format, need_text)
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES and not need_text:
        return _from_cells([str(source)], lambda row: "data", Path(), format)
    column = features if format.features else image
    if column is None:
        raise UsageError("image: name the column of the images, or --features, the column of feature vectors")
    if need_text and text is None:
        raise UsageError("text: name the column of the captions")
    needed = [column, *([text] if need_text and text else []), *([group] if group else [])]
    table = open_table(source, header=header, columns=needed)
    folder = Path(source).parent if isinstance(source, (str, Path)) and not isinstance(source, InputStream) else Path()
    pictures = _from_cells(table.values(column, "image"), lambda row: _locate(table, row, column), folder, format)
    captions = _captions(table, text, pictures) if need_text and text else pictures.captions
    groups = _groups(table, group, pictures) if group else None
    return Pictures(pictures.inputs, captions, groups, pictures.names, pictures.rows)


def _locate(table: Table, row: int, column: str) -> str:
    return f"{table.name}: {table.line(row)}, column '{column}'"


def _from_cells(cells: Sequence[Any], locate: Callable[[int], str], folder: Path, format: PictureFormat) -> Pictures:
    """Read the pictures of a column; each distinct cell is read once."""
    numbers: dict[Hashable, int] = {}
    rows = [numbers.setdefault(_key(cell), len(numbers)) for cell in cells]
    firsts = np.unique(rows, return_index=True)[1]
    load = _vector if format.features else _pixels
    storage = _Storage(len(numbers), format)
    names = []
    for row in map(int, firsts):
        try:
            storage.add(load(_open(cells[row], folder), format))
        except _BadPictureError as error:
            raise DataError(f"{locate(row)}: {error}") from None
        names.append(_name(cells[row], row))
    return Pictures(storage.inputs, [[] for _ in numbers], None, names, rows)


def _captions(table: Table, text: str, pictures: Pictures) -> list[list[str]]:
    captions: list[list[str]] = [[] for _ in pictures.inputs]
    for row, (number, caption) in enumerate(zip(pictures.rows, table.text(text), strict=True)):
        if not caption.strip():
            raise table.fault(row, text, "empty caption")
        captions[number].append(caption)
    return captions


def _groups(table: Table, group: str, pictures: Pictures) -> list[str]:
    groups: dict[int, str] = {}
    for row, (number, name) in enumerate(zip(pictures.rows, table.labels(group), strict=True)):
        if groups.setdefault(number, name) != name:
            raise table.fault(row, group, f"'{name}', but '{groups[number]}' before for the same image")
    return [groups[number] for number in range(len(pictures))]


class _BadPictureError(Exception):
    """Raised for one bad picture, with the reason."""


class _Storage:
    """Stores pictures one by one; pixels go into one block that is allocated before the first picture is read."""

    def __init__(self, count: int, format: PictureFormat) -> None:
        self.inputs: list[Picture] = []
        self._features = format.features
        self._bytes = 0
        shape = (count, format.side, format.side, 1 if format.grey else 3)
        if not format.features:
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
        if size > MAX_BYTES:
            raise DataError(
                f"image: the pictures take {size / 1e9:.1f} GB of memory, wanted at most {MAX_BYTES / 1e9:.1f} GB; "
                f"try {remedy}"
            )


def _key(cell: Any) -> Hashable:
    """Return a hashable value that is equal for cells with the same picture."""
    if isinstance(cell, Mapping):
        return tuple(_key(cell.get(part)) for part in ("bytes", "path"))
    return tuple(map(_key, cell)) if isinstance(cell, list) else cell


def _name(cell: Any, row: int) -> str:
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return path if isinstance(path, str) else f"row {row + 1}"


def _open(cell: Any, folder: Path) -> Any:
    """Return the source of a picture: an existing path, a file of bytes, or a list of numbers."""
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


def _pixels(opened: Any, format: PictureFormat) -> Picture:
    """Read a picture file as uint8 ``[side, side, C]``."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("--image", "train") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(opened) as file:
                file.draft("RGB", (format.side, format.side))  # a JPEG can be decoded small
                file.load()
                with suppress(Exception):  # damaged EXIF data say nothing about the pixels
                    return _as_pixels(ImageOps.exif_transpose(file), format)
                return _as_pixels(file, format)
    except UnidentifiedImageError:
        raise _BadPictureError(f"{_named(opened)}not an image, or of a kind that Pillow cannot read") from None
    except Exception as error:  # decoders raise many types of error; all mean a broken file
        raise _BadPictureError(f"{_named(opened)}broken image: {first_line(error)}") from None


def _as_pixels(image: Any, format: PictureFormat) -> Picture:
    """Convert a Pillow image to uint8 ``[side, side, C]``."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("L" if format.grey else "RGB").resize((format.side, format.side), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(format.side, format.side, -1)


def _vector(opened: Any, format: PictureFormat) -> Picture:
    """Convert a ``.npy`` file or numbers to float32 ``[R, C]``."""
    name = _named(opened)
    try:
        array = _unmasked(opened) if isinstance(opened, (list, np.ndarray)) else load_npy(opened)
    except ValueError as error:
        raise _BadPictureError(f"{name}{first_line(error)}") from None
    if array.dtype.kind != "f" and not isinstance(opened, list):
        raise _BadPictureError(f"{name}features of {array.dtype}, wanted float16, float32 or float64")
    if array.ndim not in (1, 2) or not array.size:
        raise _BadPictureError(f"{name}features of shape {array.shape}, wanted [C] or [R, C]")
    with np.errstate(over="ignore"):
        vectors = np.atleast_2d(array).astype(np.float32)
    if not np.isfinite(vectors).all():
        wrong = np.atleast_2d(array)[~np.isfinite(vectors)][0]
        raise _BadPictureError(f"{name}{wrong} is not a finite number")
    return vectors


def _unmasked(values: Any) -> Picture:
    array = np.ma.asanyarray(values)
    if np.ma.is_masked(array):
        raise _BadPictureError(f"{int(np.ma.getmaskarray(array).sum())} masked values")
    return np.asarray(array)


def _named(opened: object) -> str:
    return f"{opened}: " if isinstance(opened, Path) else ""


def _in_memory(source: object) -> tuple[Any, Any] | None:
    """Return the arrays and the captions (or ``None``) if ``source`` holds them; ``None`` otherwise."""
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], (list, tuple, np.ndarray)):
        return source
    if isinstance(source, np.ndarray):
        return source, None
    if isinstance(source, list) and source and all(isinstance(item, np.ndarray) for item in source):
        return source, None
    return None


def _from_memory(arrays: Any, captions: Any, format: PictureFormat, need_text: bool) -> Pictures:
    locations = [f"data item {number}" for number in range(1, len(arrays) + 1)]
    if not locations:
        raise DataError("data: no pictures")
    storage = _Storage(len(arrays), format)
    for array, location in zip(arrays, locations, strict=True):
        try:
            storage.add(_vector(array, format) if format.features else _from_array(_unmasked(array), format))
        except _BadPictureError as error:
            raise DataError(f"{location}: {error}") from None
    texts: list[list[str]] = [[] for _ in arrays]
    if captions is not None:
        if len(captions) != len(arrays):
            raise DataError(f"data: {len(captions)} captions for {len(arrays)} pictures")
        texts = [[caption] if isinstance(caption, str) else list(caption) for caption in captions]
    for own, location in zip(texts, locations, strict=True):
        if need_text and (not own or not all(isinstance(text, str) and text.strip() for text in own)):
            raise DataError(f"{location}: empty caption" if own else f"{location}: no caption")
        check_unicode(own, location)
    return Pictures(storage.inputs, texts, None, locations, list(range(len(arrays))))


def _from_array(pixels: Picture, format: PictureFormat) -> Picture:
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise _BadPictureError(f"pixels of {pixels.dtype}, wanted uint8")
    if pixels.ndim not in (2, 3) or not pixels.size or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise _BadPictureError(f"pixels of shape {pixels.shape}, wanted [H, W] or [H, W, C] with C of 1, 3 or 4")
    return _as_pixels(Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels), format)
