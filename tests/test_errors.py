"""The tree of errors, its exit codes, and suggestions of the nearest name."""

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
def test_errors_have_one_root_and_exit_codes(name: str, code: int) -> None:
    error = getattr(errors, name)
    assert issubclass(error, SeriatimError)
    assert error.exit_code == code
    assert name in (errors.__doc__ or ""), "the module draws the whole tree"


def test_docstring_tree_contains_all_errors() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes == {
        "SeriatimError", "UsageError", "ArgumentError", "TensorError", "DataError", "RunError", "TrainingError",
        "MissingExtra", "Interrupted",
    }  # fmt: skip


def test_missing_extra_names_the_command() -> None:
    assert str(MissingExtra("--unit bpe", "bpe")) == "--unit bpe needs an extra: pip install 'seriatim[bpe]'"


@pytest.mark.parametrize(
    ("word", "choices", "message"),
    [
        ("clse", ["open", "close"], " (did you mean 'close'?)"),
        ("hiden", ["hidden", "head"], " (did you mean 'hidden'?)"),
        ("xyz", ["open", "close"], " (known: open, close)"),
        ("xyz", [], ""),
    ],
)
def test_nearest(word: str, choices: list[str], message: str) -> None:
    assert nearest(word, choices) == message
    assert nearest(word, iter(choices)) == message


def test_control_characters_of_a_message_are_escaped() -> None:
    """A message quotes values of the user's files. Lines and tabs stay, and so do joined emoji."""
    assert str(errors.DataError("label '\x1b[31mred\x07\x9b\u202e'\nnext\tline")) == (
        r"label '\x1b[31mred\x07\x9b\u202e'" "\nnext\tline"
    )
    assert str(errors.DataError("👨\u200d👩 é 한국어 न्")) == "👨\u200d👩 é 한국어 न्"
