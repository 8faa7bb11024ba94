"""``seriatim info``."""

from __future__ import annotations

import json
import os

from seriatim.cli.info import instruction_sets


def test_json_and_plain_tell_the_same(seriatim):
    facts = json.loads(seriatim("info", "--json").out)
    assert facts["recurrence"] == "PyTorch" and facts["cores"] == os.cpu_count()
    assert set(facts["extras"]) == {"train", "bpe", "serve", "onnx"}
    names = [line.partition(":")[0] for line in seriatim("info").out.splitlines()]
    assert names == [name.replace("_", " ") for name in facts]


def test_threads_follow_the_environment(seriatim, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert json.loads(seriatim("info", "--json").out)["threads"] == 7


def test_instruction_sets():
    assert instruction_sets("processor\t: 0\nflags\t\t: fpu avx2 avx512f amx_bf16\n") == ["avx2", "avx512f", "amx_bf16"]
    assert instruction_sets("Features\t: fp asimd\n") == ["neon"]
    assert instruction_sets("model name\t: avx2\n") == []
