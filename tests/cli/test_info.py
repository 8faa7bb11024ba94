"""``seriatim info``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from seriatim.cli.extras import EXTRAS
from seriatim.cli.info import EAGER, OTHERS, instruction_sets
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.spec import VARIANTS, CellSpec


def test_json_and_text_have_the_same_facts(seriatim):
    facts = json.loads(seriatim("info", "--json").out)
    assert facts["cores"] == os.cpu_count()
    assert set(facts["extras"]) == set(EXTRAS)
    names = [line.partition(":")[0] for line in seriatim("info").out.splitlines()]
    assert names == [name.replace("_", " ") for name in facts]


def test_threads_follow_the_environment(seriatim, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert json.loads(seriatim("info", "--json").out)["threads"] == 7


def test_instruction_sets():
    assert instruction_sets("processor\t: 0\nflags\t\t: fpu avx2 avx512f amx_bf16\n") == ["avx2", "avx512f", "amx_bf16"]
    assert instruction_sets("Features\t: fp asimd\n") == ["neon"]
    assert instruction_sets("model name\t: avx2\n") == []


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
def test_engine_facts(seriatim, monkeypatch):
    monkeypatch.delenv("SERIATIM_TARGET", raising=False)
    facts = json.loads(seriatim("info", "--json").out)
    assert facts["native_engine"] == "built" and facts["target"] == facts["targets"][0]
    assert facts["targets"][-1] == "portable"
    assert facts["native_cells"] == [name for name in VARIANTS if name not in OTHERS]
    assert facts["other_cells"] == OTHERS
    assert facts["eager_cells"] == list(EAGER)
    monkeypatch.setenv("SERIATIM_TARGET", "portable")
    assert "\ntarget: portable\n" in seriatim("info").out
    assert (facts["amx"] == "used") == ("amx" in facts["targets"])


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_unknown_target_is_refused(seriatim, monkeypatch, options):
    monkeypatch.setenv("SERIATIM_TARGET", "avx1024")
    result = seriatim("info", *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("seriatim: error: SERIATIM_TARGET: ")
    assert "avx1024" in result.err and "portable" in result.err and result.err.count("\n") == 1


def test_without_the_engine(seriatim, monkeypatch):
    monkeypatch.setattr(native, "_native", None)
    facts = json.loads(seriatim("info", "--json").out)
    assert facts["native_engine"] == "not built" and facts["target"] is None
    assert facts["targets"] == [] and facts["native_cells"] == []
    assert "\nnative engine: not built\ntargets: none\ntarget: none\n" in seriatim("info").out


def test_cell_refused_by_engine_is_not_listed(seriatim, monkeypatch):
    def cell(spec, input_projected=False, bf16=False):
        if spec.peephole:
            raise UsageError("peephole: not here")

    monkeypatch.setattr(native, "_native", object())
    monkeypatch.setattr(native, "targets", lambda: ["portable"])
    monkeypatch.setattr(native, "target", lambda: "portable")
    monkeypatch.setattr(native, "amx", lambda: "not in this processor")
    monkeypatch.setattr(native, "cell", cell)
    listed = json.loads(seriatim("info", "--json").out)["native_cells"]
    assert listed == [name for name, variant in VARIANTS.items() if not (variant.get("peephole") or name in OTHERS)]


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
def test_listed_rows_match_the_table():
    import torch

    from seriatim.ops.recurrence import chosen, chosen_step

    specs = {name: CellSpec(input_size=4, hidden_size=8, **options) for name, options in VARIANTS.items()}
    rows = {name: chosen(spec, torch.zeros(9, 3, 4)).name for name, spec in specs.items()}
    step_rows = {name: chosen_step(spec, torch.zeros(3, 4)).name for name, spec in specs.items()}
    assert {name: row for name, row in rows.items() if row not in ("native", "eager")} == OTHERS
    assert tuple(name for name, row in rows.items() if row == "eager") == EAGER
    assert tuple(name for name, row in step_rows.items() if row == "eager") == EAGER


def test_pytorch_is_not_loaded():
    code = "import sys; from seriatim.cli.info import describe; describe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
