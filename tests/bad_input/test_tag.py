"""Bad data and options of ``train tag``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check, replace_line, tagged

COMMAND = ("train", "tag")

FILES: dict[str, str | bytes] = {
    "untagged.tsv": tagged().replace("\tDET", "").replace("\tNOUN", "").replace("\tVERB", ""),
    "lone.tsv": replace_line(tagged(), 5, "the"),
    "novel.tsv": "dog\tDOG\n",
    "counts.jsonl": '{"words": ["a", "b"], "tags": ["X", "Y"]}\n{"words": ["a", "b"], "tags": ["X"]}\n',
    "comments.conllu": "# sent_id = 1\n\n# sent_id = 2\n",
    "untagged.conllu": "1\tdog\tdog\t_\t_\t_\t0\troot\t_\t_\n",
    "junk.conllu.gz": "junk",
}

DATA_CASES = [
    ("untagged.tsv", (), "untagged.tsv: line 1: one column ('the'), wanted a word and its tag"),
    ("lone.tsv", (), "lone.tsv: line 5: one column ('the'), wanted a word and its tag"),
    ("counts.jsonl", (), "counts.jsonl: line 2: 2 words, but 1 tag"),
    ("broken.jsonl", (), "broken.jsonl: line 1: no 'words' (known: text, label)"),
    ("comments.conllu", (), "comments.conllu: no sentences"),
    ("narrow.conllu", (), "narrow.conllu: line 2: 4 columns, wanted 10 separated by tabs (CoNLL-U)"),
    ("untagged.conllu", (), "untagged.conllu: line 1: word 'dog' has no tag"),
    ("junk.conllu.gz", (), "junk.conllu.gz: not a gzip file that can be read"),
    ("empty.txt", (), "empty.txt: is empty"),
    (
        "tagged.tsv",
        ("--valid", "novel.tsv"),
        "novel.tsv line 1: 'DOG' is not in the training part, nor is any other tag of the valid part",
    ),
    ("tagged.tsv", ("--valid", "lone.tsv"), "lone.tsv: line 5: one column"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("tagged.tsv", ("--column", "3"), "column: no column '3' in tagged.tsv, wanted a number from 1 to 2"),
    ("untagged.conllu", ("--column", "upso"), "no column 'upso' in CoNLL-U (did you mean 'upos'?)"),
    ("messages.csv", (), "messages.csv: unknown extension for tagged sentences"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
