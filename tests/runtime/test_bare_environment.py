"""The runtime needs NumPy, safetensors and the engine: other libraries cannot be imported here."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys, time

ABSENT = ("torch", "polars", "pandas", "sklearn", "scipy", "tokenizers", "typer", "rich", "onnx")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
started = time.perf_counter()
from seriatim import runtime
model = runtime.load(sys.argv[1])
print(list(model.stream().step("t"))[:1] != [], "".join(model.generate("to", length=5, seed=1)))
print(time.perf_counter() - started, file=sys.stderr)
print(*(row["units"] for row in model.predict(["to be"])))
"""


def run_bare(path):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, str(path)], capture_output=True, text=True, timeout=60
    )


def test_model_runs_without_other_libraries(language_pair):
    run, model = language_pair("lstm")
    process = run_bare(model.path)
    assert process.returncode == 0, process.stderr
    expected = "".join(run.generate("to", length=5, seed=1))
    assert process.stdout == f"True {expected}\n5\n"


def test_byte_pairs_name_their_extra(language_pair):
    process = run_bare(language_pair("bpe")[1].path)
    assert "MissingExtra: --unit bpe needs an extra: pip install 'seriatim[bpe]'" in process.stderr


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_rounded_weights_are_scored_and_smaller(language_pair, tmp_path, dtype):
    import seriatim
    from runtime_settings import TEXT
    from seriatim import runtime

    file = tmp_path / "text.txt"
    file.write_text(TEXT[0])
    run = seriatim.train("language", file, hidden=24, epochs=1, out=str(tmp_path / "run"), quiet=True, baselines="none")
    whole = run.export(tmp_path / "float32")
    result = run.export(tmp_path / dtype, dtype=dtype)
    assert result["bytes"] < 0.7 * whole["bytes"] and whole["scores"] is None
    assert result["scores"]["float32"] == run.result["scores"]
    before, after = (result["scores"][name]["nll"] for name in ("float32", "rounded"))
    assert 0 < abs(before - after) < 0.05
    model = runtime.load(tmp_path / dtype)
    assert model.info == {"dtype": dtype, "scores": result["scores"]}
