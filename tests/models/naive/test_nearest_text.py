"""Writers that do not write."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.models.naive.nearest_text import CopySource, NearestText

SOURCES = ["the cat sees the sun", "a dog likes the sea", "수고했어요"]
TARGETS = ["le chat voit le soleil", "un chien aime la mer", "감사합니다"]


def fitted() -> NearestText:
    model = NearestText()
    model.fit(SOURCES, TARGETS)
    return model


def test_known_source_is_nearest_to_itself() -> None:
    actual = list(fitted().write(SOURCES))
    assert [text for text, _ in actual] == TARGETS
    np.testing.assert_allclose([likeness for _, likeness in actual], 1.0, rtol=1e-5)


def test_new_source_gets_target_of_most_similar() -> None:
    (first, likeness), (nothing, zero) = fitted().write(["dogs like the sea", "xyz"])
    assert first == TARGETS[1] and 0.3 < likeness < 1.0
    assert nothing in TARGETS and zero == 0.0


def test_state_dict_is_restored() -> None:
    state = fitted().state_dict()
    assert all(array.dtype == np.uint8 for array in state.values())
    again = NearestText()
    again.load_state_dict(state)
    assert (again.sources, again.targets) == (SOURCES, TARGETS)
    new = ["the sea", "sun and cat"]
    assert list(again.write(new)) == list(fitted().write(new))


def test_damaged_arrays_are_refused() -> None:
    state = fitted().state_dict()
    with pytest.raises(ValueError, match="targets: got 1, wanted 3 as of the sources"):
        NearestText().load_state_dict(state | {"targets": np.frombuffer(b"one", np.uint8)})


def test_copy_returns_the_source() -> None:
    assert [text for text, _ in CopySource().write(SOURCES)] == SOURCES
    assert CopySource().state_dict() == {}
