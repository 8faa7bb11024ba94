"""Tests of scripts: texts to units and back, with case and spaces."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.encoding.script import Script

TEXTS = ["Yes, (it) is.", "Don't stop; 3.5 is well-known!", "Ja — «so» ist es…"]


@pytest.mark.parametrize("unit", ["char", "word"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_text_round_trip(unit: str, lowercase: bool) -> None:
    script = Script.fit(TEXTS, unit, None, lowercase=lowercase)
    for text in TEXTS:
        assert script.decode(script.encode(text).tolist()) == script.fold_case(text)
    assert (script.fold_case("Yes") == "yes") == lowercase
    assert (script.encode("YES") == script.encode("yes")).all() or not lowercase


def test_words_are_separated_from_punctuation() -> None:
    script = Script.fit(["a dog, a dog!"], "word", 4, lowercase=False)
    assert script.vocabulary.tokens == ["<unk>", "a", "dog", ","] and len(script) == 4
    assert script.encode("a dog,dog").tolist() == [1, 0]


def test_encoded_target_ends_with_boundary() -> None:
    script = Script.fit(TEXTS, "char", None, lowercase=False)
    aimed = script.encode_target("it is")
    assert aimed[-1] == len(script) and aimed.dtype == np.int32
    assert script.decode(aimed[:-1].tolist()) == "it is"
    assert script.encode_target("").tolist() == [len(script)]


def test_space_unit_is_visible() -> None:
    script = Script.fit(["a b"], "char", None, lowercase=False)
    assert script.visible_units(script.encode("a b").tolist()) == ["a", "␣", "b"]
