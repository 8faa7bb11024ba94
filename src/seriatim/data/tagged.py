"""Reads sentences with a tag for each word from CoNLL-U, columns, JSON lines, or lists in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Collection as Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.collection import Collection
from seriatim.data.compression import format_suffix
from seriatim.data.files import InputStream, check_unicode, read_text
from seriatim.errors import DataError, UsageError, nearest

CONLLU: Final = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U, in order (https://universaldependencies.org/format.html)."""
BLANKS: Final = " \t\r\n"
"""Characters that separate columns. Other white space, such as U+00A0 and U+3000, may be a word or a part of it."""
WANTED: Final = "wanted the path of a .conllu, .jsonl, .tsv, .conll or .txt file, or a list of (words, tags) pairs"


@dataclass(frozen=True)
class Sentence:
    """Words and, if known, their tags."""

    words: list[str]
    tags: list[str] | None
    source: str
    """Prefix of locations: ``dev.conllu line`` or ``data item``."""
    numbers: list[int]
    """Line of each word, or number of the item in memory."""
    is_line: bool = False
    """Whether the sentence is one line of a text; its row number is then the number of the line."""

    def location(self, word: int) -> str:
        """Return the location of word ``word`` (from 0), for messages: ``dev.conllu line 17``."""
        return f"{self.source} {self.numbers[word]}"


@dataclass(frozen=True)
class Tagged(Collection):
    """Sentences in the order of their file; duplicates have the same words."""

    plural: ClassVar[str] = "sentences"
    compared: ClassVar[str] = "sentences"
    sentences: list[Sentence]
    groups: None = None

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def rows(self) -> list[int]:
        """Row number of each sentence, from 1; blank lines between lines of a text count."""
        return [item.numbers[0] if item.is_line else row for row, item in enumerate(self.sentences, 1)]

    @property
    def words(self) -> list[list[str]]:
        """Words of each sentence."""
        return [sentence.words for sentence in self.sentences]

    @property
    def tags(self) -> list[list[str]]:
        """Tags of each sentence, if known."""
        return [cast("list[str]", sentence.tags) for sentence in self.sentences]

    @property
    def keys(self) -> list[str]:
        return ["\n".join(words) for words in self.words]

    @property
    def content(self) -> object:
        return self.words, self.tags

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Tagged:
        return Tagged([self.sentences[index] for index in indices])


@dataclass(frozen=True)
class TagColumns:
    """The columns of the words and the tags in a file."""

    tags: str | None = None
    """CoNLL-U: a name (default upos). Columns: a number from 1 (default the last). JSON: a name (default tags)."""
    words: str | None = None
    """CoNLL-U: a name (default form). Columns: a number from 1 (default the first). JSON: a name (default words)."""


def read_tagged(
    source: object,
    columns: TagColumns = TagColumns(),
    *,
    need_tags: bool = True,
    known_tags: Container[str] | None = None,
) -> Tagged:
    """Read sentences. The extension of a file decides its format; ``.gz`` or ``.zst`` may follow it.

    - ``.conllu``: ten columns separated by tabs; multiword tokens (3-4) and empty nodes (5.1) are skipped;
    - ``.tsv``, ``.conll``, ``.txt``: one word per line with its tag, separated by tabs or otherwise by white space,
      with blank lines between sentences; ``-DOCSTART-`` lines are skipped;
    - ``.jsonl``: ``{"words": [...], "tags": [...]}`` per line;
    - in memory: a list of (words, tags) pairs or of such dictionaries.

    Without ``need_tags`` no tags are read, and sentences may also be lists of words, or texts with words separated by
    white space: in a list, or in a ``.txt`` file, a line each. A ``.txt`` file holds columns instead if it has tabs, or
    if all lines have the same number of words and, with ``known_tags``, a known tag in the column of the tags.

    Raises ``UsageError`` for an unknown extension or column. Raises ``DataError`` with file and line for a line that
    lacks a column, words without tags, numbers of words and tags that differ, or a file without sentences.
    """
    if isinstance(source, (str, Path, InputStream)):
        file, extension = _open(source, columns, need_tags)
        prose = extension == ".txt" and not need_tags and _is_prose(file, known_tags)
        name, iterator = file.name, (_prose if prose else _READERS[extension])(file)
    elif isinstance(source, (list, tuple)):
        name, iterator = "data", _from_memory(source, columns, need_tags)
    else:
        raise UsageError(f"data: got {type(source).__name__}, {WANTED}")
    sentences = list(iterator)
    if not sentences:
        raise DataError(f"{name}: no sentences")
    return Tagged(sentences)


@dataclass(frozen=True)
class _File:
    """A text file and the options to read it."""

    name: str
    text: str
    columns: TagColumns
    need_tags: bool

    def blocks(self) -> Iterator[list[tuple[int, str]]]:
        """Yield blocks of numbered lines; blank lines separate blocks."""
        block: list[tuple[int, str]] = []
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.strip():
                block.append((number, line))
            elif block:
                yield block
                block = []
        if block:
            yield block

    def sentence(self, rows: list[tuple[int, str, str]]) -> Sentence:
        """Build a sentence from (line, word, tag) rows; check that words and required tags are not empty."""
        for number, word, tag in rows:
            if not word:
                raise self.fault(number, "an empty word")
            if self.need_tags and not tag:
                raise self.fault(number, f"word '{word}' has no tag")
        tags = [tag for _, _, tag in rows] if self.need_tags else None
        return Sentence([word for _, word, _ in rows], tags, f"{self.name} line", [number for number, _, _ in rows])

    def fault(self, number: int, reason: str) -> DataError:
        return DataError(f"{self.name}: line {number}: {reason}")


def _conllu(file: _File) -> Iterator[Sentence]:
    form = _conllu_column(file.columns.words or "form")
    tag = _conllu_column(file.columns.tags or "upos") if file.need_tags else form
    for block in file.blocks():
        rows = []
        for number, line in block:
            cells = line.split("\t")
            if line.startswith("#"):
                continue
            if len(cells) != len(CONLLU):
                raise file.fault(
                    number, f"{_count(len(cells), 'column')}, wanted {len(CONLLU)} separated by tabs (CoNLL-U)"
                )
            if "-" in cells[0] or "." in cells[0]:
                continue
            # _ means a missing tag in upos, but an ordinary value in the other columns
            rows.append((number, cells[form], "" if cells[tag] == "_" and CONLLU[tag] == "upos" else cells[tag]))
        if rows:
            yield file.sentence(rows)


def _conllu_column(name: str) -> int:
    if name not in CONLLU:
        raise UsageError(f"column: no column '{name}' in CoNLL-U{nearest(name, CONLLU)}")
    return CONLLU.index(name)


def _plain(file: _File) -> Iterator[Sentence]:
    has_tabs, width = _has_tabs(file.text), 0
    for block in file.blocks():
        rows = []
        for number, line in block:
            cells = [cell.strip(BLANKS) for cell in line.split("\t")] if has_tabs else _split_blanks(line)
            width = width or len(cells)
            if len(cells) == 1 and file.need_tags:
                raise file.fault(number, f"one column ('{cells[0]}'), wanted a word and its tag")
            if len(cells) != width:
                raise file.fault(number, f"{_count(len(cells), 'column')}, wanted {width} as in the first line")
            word = cells[_plain_column(file, file.columns.words or "1", width)]
            tag = cells[_plain_column(file, file.columns.tags or str(width), width)] if file.need_tags else ""
            if cells[0] != "-DOCSTART-":
                rows.append((number, word, tag))
        if rows:
            yield file.sentence(rows)


def _plain_column(file: _File, name: str, width: int) -> int:
    if not name.isdigit() or not 1 <= int(name) <= width:
        raise UsageError(f"column: no column '{name}' in {file.name}, wanted a number from 1 to {width}")
    return int(name) - 1


def _prose(file: _File) -> Iterator[Sentence]:
    for block in file.blocks():
        for number, line in block:
            yield replace(file.sentence([(number, word, "") for word in line.split()]), is_line=True)


def _json_lines(file: _File) -> Iterator[Sentence]:
    for block in file.blocks():
        for number, line in block:
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise file.fault(number, f"not JSON: {error.msg} at column {error.colno}") from None
            check_unicode(item, f"{file.name}: line {number}")
            if not isinstance(item, dict):
                raise file.fault(number, f"wanted an object {{…}}, got {line.strip()[:40]}")
            try:
                yield _from_mapping(item, f"{file.name} line", number, file.columns, file.need_tags)
            except _Fault as fault:
                raise file.fault(number, str(fault)) from None


_READERS: Final[dict[str, Callable[[_File], Iterator[Sentence]]]] = {
    ".conllu": _conllu, ".conll": _plain, ".tsv": _plain, ".txt": _plain, ".jsonl": _json_lines, ".ndjson": _json_lines
}  # fmt: skip
"""Reader of each extension."""


def _open(source: str | Path | InputStream, columns: TagColumns, need_tags: bool) -> tuple[_File, str]:
    """Return the file with its text, and its extension."""
    if isinstance(source, InputStream):
        name, extension = source.name, f".{source.format}"
    else:
        name = str(source)
        extension = format_suffix(name)
    if extension not in _READERS:
        known = ", ".join(_READERS)
        if isinstance(source, InputStream):
            raise UsageError(f"format: got {source.format}, wanted one of {known.replace('.', '')}")
        raise UsageError(f"{name}: unknown extension for tagged sentences, wanted one of {known}")
    text = source.text() if isinstance(source, InputStream) else read_text(source)
    return _File(name, text, columns, need_tags), extension


def _split_blanks(line: str) -> list[str]:
    """Split a line at spaces and tabs; a no-break or ideographic space belongs to a word."""
    return re.split(f"[{BLANKS}]+", line.strip(BLANKS))


def _has_tabs(text: str) -> bool:
    """Whether tabs separate the columns: most lines have one. A stray tab is white space."""
    lines = [line for line in text.split("\n") if line.strip()]
    return 2 * sum("\t" in line for line in lines) > len(lines)


def _is_prose(file: _File, known_tags: Container[str] | None) -> bool:
    """Whether a text is prose, not columns: see ``read_tagged``."""
    if _has_tabs(file.text):
        return False
    lines = [_split_blanks(line) for line in file.text.split("\n") if line.strip()]
    widths = {len(words) for words in lines}
    if len(lines) == 1 or len(widths) > 1:
        return True
    width = widths.pop()
    if known_tags is None or width == 1:
        return False
    column = _plain_column(file, file.columns.tags or str(width), width)
    return not all(words[column] in known_tags or words[0] == "-DOCSTART-" for words in lines)


class _Fault(Exception):
    """Raised for a bad item, with the reason but without the location."""


def _from_memory(source: Sequence[object], columns: TagColumns, need_tags: bool) -> Iterator[Sentence]:
    for number, item in enumerate(source, 1):
        try:
            if isinstance(item, Mapping):
                yield _from_mapping(item, "data item", number, columns, need_tags)
            elif _is_pair(item):
                words, tags = cast("tuple[Any, Any]", item)
                yield _checked(words, tags if need_tags else None, "data item", number)
            elif need_tags:
                raise _Fault("words without tags, wanted a pair of (words, tags)")
            else:
                yield _checked(item.split() if isinstance(item, str) else item, None, "data item", number)
        except _Fault as fault:
            raise DataError(f"data item {number}: {fault}") from None


def _is_pair(item: object) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and all(isinstance(part, (list, tuple)) for part in item)


def _from_mapping(item: Mapping[str, Any], source: str, number: int, columns: TagColumns, need_tags: bool) -> Sentence:
    words, tags = columns.words or "words", columns.tags or "tags"
    for name in (words, tags) if need_tags else (words,):
        if name not in item:
            raise _Fault(f"no '{name}'{nearest(name, item)}")
    return _checked(item[words], item[tags] if need_tags else None, source, number)


def _checked(words: Any, tags: Any, source: str, number: int) -> Sentence:
    """Build a sentence from untrusted lists."""
    check_unicode([words, tags], f"{source} {number}")
    for noun, values in (("words", words), ("tags", tags)):
        if values is None and noun == "tags":
            continue
        if not isinstance(values, (list, tuple)) or not all(isinstance(value, str) for value in values):
            raise _Fault(f"the {noun} are not a list of strings")
        if not all(value.strip(BLANKS) for value in values):
            raise _Fault(f"one of the {noun} is empty")
    if not words:
        raise _Fault("no words")
    if tags is not None and len(tags) != len(words):
        raise _Fault(f"{_count(len(words), 'word')}, but {_count(len(tags), 'tag')}")
    return Sentence(list(words), None if tags is None else list(tags), source, [number] * len(words))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
