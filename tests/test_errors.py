"""The tree of errors, its exit codes, and the nearest right word."""

from __future__ import annotations

import pytest

from seriatim import errors
from seriatim.errors import MissingExtra, SeriatimError, nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UsageError", 2), ("DataError", 1), ("RunError", 1), ("TrainingError", 1), ("MissingExtra", 1),
        ("Interrupted", 130),
    ],
)  # fmt: skip
def test_every_error_has_one_root_and_an_exit_code(name: str, code: int) -> None:
    error = getattr(errors, name)
    assert issubclass(error, SeriatimError)
    assert error.exit_code == code
    assert name in (errors.__doc__ or ""), "the module draws the whole tree"


def test_no_error_is_left_out_of_the_tree() -> None:
    there = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert there == {
        "SeriatimError", "UsageError", "DataError", "RunError", "TrainingError", "MissingExtra", "Interrupted"
    }  # fmt: skip


def test_a_missing_extra_says_what_to_type() -> None:
    assert str(MissingExtra("--unit bpe", "bpe")) == "--unit bpe needs an extra: pip install 'seriatim[bpe]'"


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("clse", ["open", "close"], " (did you mean 'close'?)"),
        ("hiden", ["hidden", "head"], " (did you mean 'hidden'?)"),
        ("xyz", ["open", "close"], " (known: open, close)"),
        ("xyz", [], ""),
    ],
)
def test_nearest(word: str, known: list[str], said: str) -> None:
    assert nearest(word, known) == said
    assert nearest(word, iter(known)) == said
