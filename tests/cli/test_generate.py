"""``seriatim generate``."""

from __future__ import annotations

import json


def test_text_goes_on_from_the_prompt(seriatim, runs):
    said = seriatim("generate", "runs/x", "--prompt", "Well, ", "--length", 20, "--top-k", 5, "--seed", 3)
    assert said.out == "Well, to be or not\n"
    asked = {"length": 20, "temperature": 1.0, "top_k": 5, "top_p": 1.0, "seed": 3}
    assert runs.calls[1] == ("generate", "Well, ", asked)


def test_json(seriatim, runs):
    out = json.loads(seriatim("generate", "runs/x", "--json").out)
    assert out == {"run": "runs/x", "prompt": "", "text": "to be or not"}
