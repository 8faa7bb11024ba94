"""Tests of sentences and tags from all formats, and of the line in error messages."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from seriatim.data.files import InputStream
from seriatim.data.tagged import TagColumns, read_tagged
from seriatim.errors import DataError, SeriatimError, UsageError

WORDS = [["Vámonos", "al", "mar"], ["Sí", "#"]]
TAGS = [["VERB", "ADP", "NOUN"], ["INTJ", "SYM"]]


def row(number: str, form: str, upos: str) -> str:
    return "\t".join([number, form, form.lower(), upos, "x" + upos, "_", "0", "root", "_", "_"])


CONLLU = "\n".join([
    "# newdoc", "# text = Vámonos al mar", row("1", "Vámonos", "VERB"), row("2-3", "almar", "_"),
    row("2", "al", "ADP"), row("2.1", "ghost", "NOUN"), row("3", "mar", "NOUN"), "",
    "# only a comment", "", row("1", "Sí", "INTJ"), row("2", "#", "SYM"), "", "",
])  # fmt: skip
COLUMNS = "\n\n".join(
    "\n".join(f"{word}\t{tag}" for word, tag in zip(*sentence, strict=True))
    for sentence in zip(WORDS, TAGS, strict=True)
)
JSON = "\n".join(json.dumps({"words": words, "tags": tags}) for words, tags in zip(WORDS, TAGS, strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.conllu", CONLLU),
        ("a.tsv", COLUMNS),
        ("a.conll", COLUMNS.replace("\t", "  ")),
        ("a.txt", f"-DOCSTART- X\n\n\n{COLUMNS}\n\n".replace("\t", " ")),
        ("a.txt", COLUMNS.replace("\t", " X ").replace("\n", "\r\n")),
        ("a.jsonl", JSON),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_all_formats_give_equal_sentences(tmp_path: Path, name: str, content: str, packed: bool) -> None:
    file = tmp_path / (name + ".gz" if packed else name)
    file.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    result = read_tagged(file)
    assert (result.words, result.tags) == (WORDS, TAGS)
    untagged = read_tagged(str(file), need_tags=False)
    assert untagged.words == WORDS
    assert all(sentence.tags is None for sentence in untagged.sentences)


@pytest.mark.parametrize(
    "source", [list(zip(WORDS, TAGS, strict=True)), [json.loads(line) for line in JSON.split("\n")]]
)
def test_lists_in_memory(source: Any) -> None:
    result = read_tagged(source)
    assert (result.words, result.tags) == (WORDS, TAGS)
    assert read_tagged(source, need_tags=False).words == WORDS


def test_words_have_line_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.conllu").write_text(CONLLU)
    first, second = read_tagged(tmp_path / "a.conllu").sentences
    assert [first.location(word) for word in range(3)] == [f"{tmp_path}/a.conllu line {line}" for line in (3, 5, 7)]
    assert second.location(0).endswith("line 11")
    assert read_tagged([(["a"], ["b"])]).sentences[0].location(0) == "data item 1"


def test_other_columns(tmp_path: Path) -> None:
    (tmp_path / "a.conllu").write_text(CONLLU)
    (tmp_path / "a.txt").write_text("Rome NNP B-NP B-LOC\nfell VBD B-VP O\n")
    (tmp_path / "a.jsonl").write_text('{"tokens": ["Rome"], "ner": ["B-LOC"]}\n')
    assert read_tagged(tmp_path / "a.conllu", TagColumns("xpos", "lemma")).sentences[1].tags == ["xINTJ", "xSYM"]
    assert read_tagged(tmp_path / "a.conllu", TagColumns("feats")).tags == [["_"] * 3, ["_"] * 2]
    assert read_tagged(tmp_path / "a.txt").tags == [["B-LOC", "O"]]
    assert read_tagged(tmp_path / "a.txt", TagColumns("2")).tags == [["NNP", "VBD"]]
    assert read_tagged(tmp_path / "a.jsonl", TagColumns("ner", "tokens")).tags == [["B-LOC"]]
    assert read_tagged(tmp_path / "a.conllu", TagColumns("4"), need_tags=False).words == WORDS


def test_words_with_spaces_between_tabs(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1 000\tNUM\n")
    assert read_tagged(tmp_path / "a.tsv").words == [["1 000"]]


def test_prose_is_read_for_prediction(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the dog barks\n\nit is loud today\n")
    (tmp_path / "one.txt").write_text("the dog barks")
    (tmp_path / "words.txt").write_text("the\ndog\n\nbarks\n")
    sentences = [["the", "dog", "barks"], ["it", "is", "loud", "today"]]
    assert read_tagged(tmp_path / "a.txt", need_tags=False).words == sentences
    assert read_tagged(["the dog barks", sentences[1]], need_tags=False).words == sentences
    assert read_tagged(tmp_path / "one.txt", need_tags=False).words == sentences[:1]
    assert read_tagged(tmp_path / "words.txt", need_tags=False).words == [["the", "dog"], ["barks"]]


def test_prose_with_equal_numbers_of_words(tmp_path: Path) -> None:
    """Two words a line are a word and its tag only if the tags are known."""
    file = tmp_path / "a.txt"
    file.write_text("red rose\n\nsea sky\n   \nred fire\n")
    stream = InputStream(io.BytesIO(file.read_bytes()), "txt")
    for source in (file, stream):
        prose = read_tagged(source, need_tags=False, known_tags=["NOUN", "ADJ"])
        assert prose.words == [["red", "rose"], ["sea", "sky"], ["red", "fire"]]
        assert prose.rows == [1, 3, 5]
    file.write_text("red ADJ\nrose NOUN\n\n-DOCSTART- O\n\nsea NOUN\n")
    columns = read_tagged(file, need_tags=False, known_tags=["NOUN", "ADJ"])
    assert columns.words == [["red", "rose"], ["sea"]] and columns.rows == [1, 2]
    assert read_tagged(["red rose", "sea"], need_tags=False).rows == [1, 2]


def test_sentences_with_same_words_are_duplicates() -> None:
    tagged = read_tagged([(["a", "b"], ["X", "Y"]), (["a b"], ["X"]), (["a", "b"], ["Y", "Y"])])
    unique, dropped = tagged.without_duplicates()
    assert (unique.words, unique.tags, dropped) == ([["a", "b"], ["a b"]], [["X", "Y"], ["X"]], 1)


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        ("a.conllu", CONLLU.replace("\tADP\txADP", "\t_\t_"), TagColumns(), "line 5: word 'al' has no tag"),
        (
            "a.conllu",
            CONLLU.replace("al\tal\t", "al\t"),
            TagColumns(),
            "line 5: 9 columns, wanted 10 separated by tabs",
        ),
        ("a.conllu", "# nothing\n\n# at all\n", TagColumns(), "a.conllu: no sentences"),
        ("a.conllu", CONLLU, TagColumns("upso"), "column: no column 'upso' in CoNLL-U (did you mean 'upos'?)"),
        ("a.conllu", "", TagColumns(), "a.conllu: is empty"),
        ("a.conllu", " \n\n", TagColumns(), "a.conllu: holds nothing but white space"),
        ("a.tsv", "dog\tNOUN\nbarks\n", TagColumns(), "line 2: one column ('barks'), wanted a word and its tag"),
        ("a.tsv", "dog\tNOUN\nbarks\tVERB\tx\n", TagColumns(), "line 2: 3 columns, wanted 2 as in the first line"),
        ("a.tsv", "dog\tNOUN\n\tVERB\n", TagColumns(), "line 2: an empty word"),
        ("a.tsv", "dog\tNOUN\nbarks\t\n", TagColumns(), "line 2: word 'barks' has no tag"),
        ("a.txt", "dog NOUN\n", TagColumns("3"), "no column '3' in "),
        ("a.txt", "dog NOUN\n", TagColumns("upos"), "wanted a number from 1 to 2"),
        ("a.txt", "-DOCSTART- O\n\n", TagColumns(), "a.txt: no sentences"),
        ("a.jsonl", '{"words": ["a"], "tags": ["X", "Y"]}', TagColumns(), "line 1: 1 word, but 2 tags"),
        ("a.jsonl", '\n{"words": ["a"]}', TagColumns(), "line 2: no 'tags' (known: words)"),
        ("a.jsonl", '{"word": ["a"], "tags": []}', TagColumns(), "line 1: no 'words' (did you mean 'word'?)"),
        ("a.jsonl", '{"words": [], "tags": []}', TagColumns(), "line 1: no words"),
        ("a.jsonl", '{"words": ["a", " "], "tags": ["X", "Y"]}', TagColumns(), "line 1: one of the words is empty"),
        ("a.jsonl", '{"words": "a b", "tags": ["X"]}', TagColumns(), "line 1: the words are not a list of strings"),
        ("a.jsonl", '{"words": ["a"], "tags": [1]}', TagColumns(), "line 1: the tags are not a list of strings"),
        ("a.jsonl", "{broken", TagColumns(), "line 1: not JSON: "),
        ("a.jsonl", "[1]", TagColumns(), "line 1: wanted an object {…}, got [1]"),
        ("a.csv", "word,tag\n", TagColumns(), "unknown extension for tagged sentences"),
        ("a.conllu.gz", "not packed", TagColumns(), "not a gzip file that can be read"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: str, columns: TagColumns, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SeriatimError) as refused:
        read_tagged(tmp_path / name, columns)
    assert message in str(refused.value)
    assert str(refused.value).startswith(("column: no column", str(tmp_path)))


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ([], DataError, "data: no sentences"),
        ([(["a"], ["X"]), (["a"], ["X", "Y"])], DataError, "data item 2: 1 word, but 2 tags"),
        ([["a", "b"]], DataError, "data item 1: words without tags, wanted a pair of (words, tags)"),
        ([(["a"], ["X"]), "text"], DataError, "data item 2: words without tags"),
        ([([], [])], DataError, "data item 1: no words"),
        ([([1], ["X"])], DataError, "data item 1: the words are not a list of strings"),
        (7, UsageError, "data: got int, wanted the path of a .conllu"),
        ("/nowhere.conllu", DataError, "/nowhere.conllu: no such file"),
        (InputStream(io.BytesIO(b"a,b"), "csv"), UsageError, "format: got csv, wanted one of conllu, conll, tsv, txt"),
    ],
)
def test_bad_data_are_refused(source: object, kind: type[SeriatimError], message: str) -> None:
    with pytest.raises(kind) as refused:
        read_tagged(source)
    assert message in str(refused.value)


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conllu.gz").write_bytes(gzip.compress(CONLLU.encode())[:-9])
    with pytest.raises(DataError, match="not a gzip file that can be read"):
        read_tagged(tmp_path / "a.conllu.gz")


def test_stray_tab_is_white_space(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("George B\nWashington\tI\nwent O\n\nhome O\n")
    assert read_tagged(tmp_path / "a.txt").words == [["George", "Washington", "went"], ["home"]]
    (tmp_path / "a.txt").write_text("George B\n\t O\nhome O\n")
    with pytest.raises(DataError, match=r"line 2: one column \('O'\), wanted a word and its tag"):
        read_tagged(tmp_path / "a.txt")


def test_lone_surrogates_are_refused_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": ["a"], "tags": ["X"]}\n{"words": ["dog\\ud83d"], "tags": ["N"]}\n')
    with pytest.raises(DataError, match=r"a.jsonl: line 2: \\ud83d is half of a character"):
        read_tagged(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r"data item 1: \\ud83d is half"):
        read_tagged([(["dog\ud83d"], ["N"])])


def test_unicode_spaces_belong_to_words(tmp_path: Path) -> None:
    """Only spaces and tabs separate columns, in every format."""
    words, tags = ["1\u00a0000", "\u3000", "\u200b", "x"], ["N", "S", "S", "X"]
    contents = {
        "a.tsv": "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)),
        "a.txt": "".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)),
        "a.jsonl": json.dumps({"words": words, "tags": tags}),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        tagged = read_tagged(tmp_path / name)
        assert (tagged.words, tagged.tags) == ([words], [tags]), name
    assert read_tagged([(words, tags)]).words == [words]
