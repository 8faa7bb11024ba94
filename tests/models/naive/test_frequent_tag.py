"""The baseline without context: words by heart, the rest by their endings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from seriatim.models.naive.frequent_tag import MostFrequentTag

NAMES = ["NOUN", "VERB", "NUM", "PROPN"]
TAUGHT = [
    ("run walk run the", "VERB VERB NOUN NOUN"),
    ("run walking talking", "VERB VERB VERB"),
    ("nation station 1990 3rd", "NOUN NOUN NUM NUM"),
    ("London Lisbon the the the the", "PROPN PROPN NOUN NOUN NOUN NOUN"),
]


def taught() -> MostFrequentTag:
    model = MostFrequentTag(len(NAMES))
    model.fit([(words.split(), np.array([NAMES.index(tag) for tag in tags.split()])) for words, tags in TAUGHT])
    return model


def tag(model: MostFrequentTag, *words: str) -> list[str]:
    return [NAMES[index] for index in model.tag(words)]


def test_known_word_gets_its_commonest_tag() -> None:
    assert tag(taught(), "run", "the", "1990") == ["VERB", "NOUN", "NUM"]


def test_unknown_word_gets_tag_of_longest_ending_and_shape() -> None:
    model = taught()
    assert tag(model, "jogging", "ration", "2003", "Boston") == ["VERB", "NOUN", "NUM", "PROPN"]
    assert tag(model, "xyz", "Xyz", "7") == ["VERB", "PROPN", "NUM"]  # the shape alone


def test_unknown_shape_gets_commonest_tag() -> None:
    model = MostFrequentTag(2)
    model.fit([(["a", "b", "c"], np.array([1, 1, 0]))])
    assert model.tag(["Big", "9"]).tolist() == [1, 1]


def test_endings_come_from_rare_words() -> None:
    model = MostFrequentTag(2)
    model.fit([(["the"] * 9 + ["lathe"], np.array([0] * 9 + [1]))])
    assert model.tag(["bathe"]).tolist() == [1]


def test_time_limits_the_words_and_their_endings(slow_clock: Callable[[float], None]) -> None:
    """A second passes after each sentence and each word."""
    slow_clock(1.0)
    sentences = [([f"word{number}"], np.array([number % 2])) for number in range(20)]
    model = MostFrequentTag(2)
    assert model.fit(sentences, seconds=12.0) == "6 of 20 sentences"
    assert set(model.words) == {f"word{number}" for number in range(6)}
    slow_clock(1.0)
    model, two = MostFrequentTag(2), [(["two"], np.array([1])), (["a", "b", "c", "d"], np.array([0, 0, 0, 0]))]
    assert model.fit(two, seconds=4.0) == "2 of 5 words with their endings"
    assert model.tag(["two", "unknown"]).tolist() == [1, 0]
    assert MostFrequentTag(2).fit(two, seconds=100.0) == ""


def test_state_dict_is_restored() -> None:
    model, again = taught(), MostFrequentTag(len(NAMES))
    odd = "naïve\u2028 \ud800 日本"
    model.words[odd] = 1
    state = model.state_dict()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
    again.load_state_dict(state)
    assert (again.words, again.endings) == (model.words, model.endings)
    assert again.parameters_count == model.parameters_count


@pytest.mark.parametrize(
    ("name", "array"),
    [("words_tags", np.zeros(1, np.int64)), ("words_tags", None), ("endings", np.zeros(0, np.uint8))],
)
def test_invalid_state_is_refused(name: str, array: np.ndarray | None) -> None:
    state = taught().state_dict()
    state[name] = state[name] + len(NAMES) if array is None else array
    with pytest.raises(ValueError):
        MostFrequentTag(len(NAMES)).load_state_dict(state)
