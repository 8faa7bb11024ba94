"""The blend of a run: when it is used, and how to use another model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seriatim.errors import RunError, UsageError
from seriatim.run import Run, load, train

TEXT = "to be or not to be, that is the question. whether tis nobler in the mind to suffer the slings. " * 40
OPTIONS = {"hidden": 16, "epochs": 2, "threads": 1, "lr": 1e-2, "truncation": 20, "batch_size": 8, "quiet": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A language model whose blend validates best: the text is random, and each model knows one half of it."""
    draw = np.random.default_rng(0)
    text = "".join(draw.choice(list("abcdef"), p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05]) for _ in range(6000))
    folder = tmp_path_factory.mktemp("blend") / "run"
    return train("language", [text], out=str(folder), baselines="fast", **OPTIONS)


def with_equal_blend(run: Run, folder: Path) -> Run:
    """A copy of ``run`` with a blend of equal weights, whatever validation chose."""
    shutil.copytree(run.path, folder)
    (folder / "blend.json").write_text(json.dumps({"form": "linear", "weights": {"lstm": 0.5, "markov": 0.5}}))
    result = json.loads((folder / "result.json").read_text())
    result |= {"blend": {"parts": {"lstm": 0.5, "markov": 0.5}, "scores": {}}, "best": "blend"}
    (folder / "result.json").write_text(json.dumps(result))
    return load(folder)


def test_predictions_come_from_the_blend(run: Run, tmp_path: Path) -> None:
    blended = with_equal_blend(run, tmp_path / "run")
    rows = {use: next(blended.predict(["abcabc"], use=use)) for use in (None, "network", "blend", "markov", "lstm")}
    assert rows[None] == rows["blend"]
    assert rows["network"] == rows["lstm"] != rows["markov"]
    joint = [rows[use]["log_probability"] for use in ("network", "blend", "markov")]
    assert min(joint[0], joint[2]) - 6 * np.log(2) < joint[1] and joint[1] < max(joint[0], joint[2]) + 6 * np.log(2)


def test_blend_steps_as_it_scores(run: Run, tmp_path: Path) -> None:
    from seriatim.tasks.common.next_units import log_probabilities, unit_stepper

    blend = with_equal_blend(run, tmp_path / "run")._opened.blend
    tokens = np.array([1, 2, 3, 1, 2, 2, 4])
    stepper = unit_stepper(blend)
    unit, state = stepper.read(tokens[:0])
    stepped = []
    for token in tokens:
        chances, state = stepper.step(unit, state)
        assert np.exp(chances).sum() == pytest.approx(1, abs=1e-9)
        stepped.append(chances[token])
        unit = int(token)
    np.testing.assert_allclose(stepped, log_probabilities(blend, tokens), rtol=1e-4)


def test_generated_text_depends_on_the_model_in_use(run: Run, tmp_path: Path) -> None:
    blended = with_equal_blend(run, tmp_path / "run")
    texts = {use: "".join(blended.generate("ab", use=use, length=200, seed=1)) for use in (None, "blend", "network")}
    assert texts[None] == texts["blend"] != texts["network"]


def test_evaluate_scores_the_blend(run: Run, tmp_path: Path) -> None:
    blended = with_equal_blend(run, tmp_path / "run")
    result = blended.evaluate(["abcdef" * 50])
    assert result["blend"]["parts"] == {"lstm": 0.5, "markov": 0.5} and result["best"] == "blend"
    scores = [result["scores"], result["blend"]["scores"], result["baselines"]["markov"]]
    low, middle, high = sorted(score["nll"] for score in scores)
    assert low <= middle <= high and result["blend"]["scores"].keys() == result["scores"].keys()
    assert blended.evaluate(["abc" * 50], use="network")["best"] == "lstm"


def test_result_names_the_best_model(run: Run) -> None:
    result = run.result
    assert result["best"] in {"lstm", "unigram", "markov", "blend"}
    assert (result["best"] == "blend") == (result["blend"] is not None) == (run.path / "blend.json").exists()
    if result["blend"]:
        assert sum(result["blend"]["parts"].values()) == pytest.approx(1, abs=1e-3)


def test_blend_none_leaves_the_network(tmp_path: Path) -> None:
    run = train("language", [TEXT], out=str(tmp_path / "run"), baselines="fast", blend="none", **OPTIONS)
    assert run.result["blend"] is None and run.result["best"] == "lstm"
    assert next(run.predict(["to be"])) == next(run.predict(["to be"], use="network"))
    with pytest.raises(UsageError, match="use: this lstm run has no blend"):
        next(run.predict(["to be"], use="blend"))


def test_unknown_model_is_refused(run: Run) -> None:
    with pytest.raises(UsageError, match=r"no model 'markow' in this run, which has network, .*markov.*did you mean"):
        next(run.predict(["abc"], use="markow"))
    with pytest.raises(UsageError, match=r"no model '\.\./\.\./x'"):
        next(run.predict(["abc"], use="../../x"))


def test_run_without_blend_keys_loads(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "old")
    result = json.loads((tmp_path / "old" / "result.json").read_text())
    del result["blend"], result["best"]
    (tmp_path / "old" / "result.json").write_text(json.dumps(result))
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    del config["options"]["blend"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    old = load(tmp_path / "old")
    assert next(old.predict(["abc"])) == next(run.predict(["abc"], use="network"))
    assert "blend" not in old.evaluate(["abcdef" * 20])


def test_damaged_blend_is_refused(run: Run, tmp_path: Path) -> None:
    blended = with_equal_blend(run, tmp_path / "run")
    (blended.path / "blend.json").write_text('{"form": "linear", "weights": {"lstm": "x"}}')
    with pytest.raises(RunError, match=r"blend\.json: damaged"):
        next(blended.predict(["abc"]))


def test_update_fits_the_weights_again(run: Run, tmp_path: Path) -> None:
    blended = with_equal_blend(run, tmp_path / "run")
    result = blended.update([TEXT], epochs=1, quiet=True)
    stored = load(tmp_path / "run").result
    if stored["blend"] is None:
        assert result["blend"] is None and not (tmp_path / "run" / "blend.json").exists() and stored["best"] != "blend"
    else:
        weights = json.loads((tmp_path / "run" / "blend.json").read_text())["weights"]
        assert weights != {"lstm": 0.5, "markov": 0.5} and set(weights) == set(result["blend"]["parts"])
    evaluated = blended.evaluate([TEXT])
    assert (evaluated["blend"] is None) == (stored["blend"] is None)


def test_statistical_model_has_no_blend(tmp_path: Path) -> None:
    run = train("language", [TEXT], out=str(tmp_path / "run"), model="markov", quiet=True, baselines="fast")
    assert run.result["blend"] is None and run.result["best"] == "markov"
