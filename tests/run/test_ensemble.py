"""Ensembles: K networks in one run, whose predictions are averaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import seriatim
from seriatim.errors import RunError, UsageError
from seriatim.learning.observer import Silent
from seriatim.learning.team import Alone
from seriatim.notation import QUANTILES
from seriatim.run import Run, load, train
from seriatim.run.training import train_folder
from seriatim.runtime import load as load_runtime
from seriatim.storage import read_arrays, write_json
from seriatim.tasks.classify import probabilities
from seriatim.tasks.common.next_units import log_probabilities
from seriatim.tasks.common.writing import Writer
from seriatim.tasks.registry import find_task

QUICK: dict[str, Any] = {"hidden": 6, "threads": 1, "quiet": True, "epochs": 2, "baselines": "fast", "ensemble": 2}
WORDS = ["fine", "great", "film", "plot", "dull", "awful"]


def texts(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, 4)) for _ in range(count)]


def tagged(folder: Path) -> Path:
    file = folder / "tagged.tsv"
    sentences = [
        [f"{word}\t{'N' if word in ('film', 'plot') else 'A'}\n" for word in text.split()] for text in texts(60)
    ]
    file.write_text("\n".join("".join(words) for words in sentences))
    return file


def train_task(task: str, folder: Path, **options: Any) -> Run:
    """Train an ensemble for a task, or for ``recursive``, ``crf`` or ``roll``, which are forms of one."""
    draw = np.random.default_rng(1)
    reviews = texts(80)
    series = pl.DataFrame({"y": np.sin(np.arange(90) / 3) + 0.1 * draw.normal(size=90)})
    pairs = pl.DataFrame({"s": reviews, "t": [text[::-1] for text in reviews]})
    arrays = [draw.normal(size=(7, 2)) for _ in range(60)]
    pair = {"source": "s", "target": "t"}
    forecast = {"target": "y", "horizon": 3, "lookback": 12}
    if task == "caption":
        for row in range(40):
            np.save(folder / f"{row}.npy", draw.normal(size=(3, 4)))
        rows = pl.DataFrame({"f": [str(folder / f"{row}.npy") for row in range(40)], "text": reviews[:40]})
        rows.write_csv(folder / "captions.csv")
    cases: dict[str, tuple[str, Callable[[], object], dict[str, Any]]] = {
        "language": ("language", lambda: ["to be or not to be, that is the question. " * 40], {"truncation": 20}),
        "roll": ("language", lambda: [(draw.random((9, 5)) < 0.3) * np.uint8(1) for _ in range(20)], {"unit": "roll"}),
        "classify": ("classify", lambda: (reviews, ["a" if "fine" in text else "b" for text in reviews]), {}),
        "regress": ("regress", lambda: (arrays, np.array([values.mean() for values in arrays])), {}),
        "forecast": ("forecast", lambda: series, forecast),
        "recursive": ("forecast", lambda: series, {**forecast, "strategy": "recursive"}),
        "tag": ("tag", lambda: tagged(folder), {"spelling": 4, "bidirectional": False}),
        "crf": ("tag", lambda: tagged(folder), {"spelling": 4, "crf": True}),
        "translate": ("translate", lambda: pairs, {**pair, "unit": "char", "attention": "general"}),
        "caption": ("caption", lambda: folder / "captions.csv", {"features": "f", "text": "text"}),
    }  # fmt: skip
    name, data, own = cases[task]
    return train(name, data(), out=str(folder / "run"), **{**QUICK, **own, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Train each task's ensemble once."""
    runs: dict[str, Run] = {}

    def run_of(task: str) -> Run:
        if task not in runs:
            runs[task] = train_task(task, tmp_path_factory.mktemp(task))
        return runs[task]

    return run_of


def members(run: Run) -> list[Any]:
    network: Any = run.network
    return list(network.members)


def test_probabilities_are_averaged(trained: Callable[[str], Run]) -> None:
    run = trained("classify")
    part = run._opened.task.read(run.options, run.codec, (texts(9), ["a"] * 9)).part
    own = [probabilities(member, part) for member in members(run)]
    assert np.abs(own[0] - own[1]).max() > 1e-3, "two seeds, two networks"
    np.testing.assert_allclose(probabilities(run.network, part), np.mean(own, 0), atol=1e-6)  # type: ignore[arg-type]


def test_chances_of_units_are_averaged_with_the_states_of_each(trained: Callable[[str], Run]) -> None:
    run = trained("language")
    tokens = run.codec.encode("to be that is " * 5)
    own = [np.exp(log_probabilities(member, tokens)) for member in members(run)]
    whole: Any = run.network
    np.testing.assert_allclose(np.exp(log_probabilities(whole, tokens)), np.mean(own, 0), rtol=1e-5)


def test_quantiles_are_averaged(trained: Callable[[str], Run]) -> None:
    for task in ("forecast", "recursive"):
        run = trained(task)
        history = torch.randn(12, 3, 1)
        whole: Any = run.network
        with torch.no_grad():
            own = [member.quantiles(history, np.random.default_rng(5)) for member in members(run)]
            mixed = whole.quantiles(history, np.random.default_rng(5))
        torch.testing.assert_close(mixed, torch.stack(own).mean(0))
        assert mixed.shape[-1] == len(QUANTILES)
    regression = trained("regress")
    inputs, lengths = torch.randn(7, 4, 2), torch.full((4,), 7)
    with torch.no_grad():
        parts = [member(inputs, lengths) for member in members(regression)]
        network: Any = regression.network
        torch.testing.assert_close(network(inputs, lengths), torch.stack(parts).mean(0))


def test_notes_are_averaged(trained: Callable[[str], Run]) -> None:
    run = trained("roll")
    notes, network = (torch.rand(6, 2, 5) < 0.5).float(), run.network
    with torch.no_grad():
        own = [torch.sigmoid(member(notes)[0]) for member in members(run)]
        mixed = torch.sigmoid(network(notes)[0])  # type: ignore[operator]
    torch.testing.assert_close(mixed, torch.stack(own).mean(0))


def test_crf_scores_are_averaged(trained: Callable[[str], Run]) -> None:
    run = trained("crf")
    whole: Any = run.network
    own = members(run)
    mean = torch.stack([member.crf.transitions for member in own]).mean(0)
    torch.testing.assert_close(whole.chain().transitions.data, mean.data)
    emissions = torch.randn(5, 1, len(run.codec.tags))
    # The sequence that the averaged scores prefer is the one with the largest mean of the members' log-probabilities.
    tags = torch.cartesian_prod(*[torch.arange(len(run.codec.tags))] * 5).T
    lengths = torch.full((tags.shape[1],), 5)
    with torch.no_grad():
        scores = torch.stack([member.crf(emissions.expand(-1, tags.shape[1], -1), tags, lengths) for member in own])
    best = tags[:, scores.mean(0).argmax()]
    assert whole.decode(emissions, torch.tensor([5]))[0].tolist() == best.tolist()


def test_each_unit_of_a_text_is_averaged(trained: Callable[[str], Run]) -> None:
    run = trained("translate")
    network: Any = run.network
    part = run._opened.task.read(run.options, run.codec, pl.DataFrame({"s": texts(5), "t": texts(5)})).part
    batch = part.batch(np.arange(5))
    inputs = torch.cat([torch.full_like(batch.targets[:1], network.boundary), batch.targets[:-1].clamp(min=0)])
    with torch.no_grad():
        chances = []
        for member in members(run):
            state, own = member.begin(batch.sources), []
            for tokens in inputs:
                logs, state, _ = member.step(tokens, state)
                own.append(logs.exp())
            chances.append(torch.stack(own))
        mixed = torch.stack(chances).mean(0).log()
        is_target = batch.targets >= 0
        expected = -mixed[is_target].gather(1, batch.targets[is_target][:, None]).mean()
        torch.testing.assert_close(network.loss(batch, ())[0], expected)
        assert Writer(network, run.codec, run.options).validate(part)["valid_nll"] == pytest.approx(float(expected))  # type: ignore[arg-type]


def test_each_network_is_that_of_its_seed(tmp_path: Path, trained: Callable[[str], Run]) -> None:
    run = trained("language")
    single = train_task("language", tmp_path, ensemble=1, seed=1)
    alone = read_arrays(single.path / "model.safetensors")
    member = read_arrays(run.path / "members" / "2" / "model.safetensors")
    assert all(np.array_equal(alone[name], values) for name, values in member.items())
    assert [entry["seed"] for entry in run.result["ensemble"]] == [0, 1]
    assert run.result["ensemble"][1]["scores"] == single.result["scores"]
    assert run.result["parameters"] == 2 * single.result["parameters"]


class Stop(Exception):
    """Ends a training from outside."""


@pytest.mark.parametrize("network", [1, 2])
def test_resumed_training_has_the_same_bytes_and_can_be_used_before(
    tmp_path: Path, trained: Callable[[str], Run], network: int
) -> None:
    whole = trained("classify")

    def stop(row: dict[str, float]) -> None:
        if row["network"] == network:
            raise Stop

    with pytest.raises(Stop):
        train_task("classify", tmp_path, on_validation=stop)
    unfinished = load(tmp_path / "run")
    assert len(list(unfinished.predict(["fine film"]))) == 1
    assert len(members(unfinished)) == 2 if network == 2 else not hasattr(unfinished.network, "members")
    resumed = train_task("classify", tmp_path, resume=True)
    for file in ("model.safetensors", "members/2/model.safetensors"):
        assert (resumed.path / file).read_bytes() == (whole.path / file).read_bytes()
    for key in ("scores", "blend", "best", "baselines"):
        assert resumed.result[key] == whole.result[key]


def test_on_validation_ends_the_whole_training(tmp_path: Path) -> None:
    run = train_task("classify", tmp_path, on_validation=lambda row: True)
    assert len(run.result["ensemble"]) == 1
    assert len(list(load(run.path).predict(["fine film"]))) == 1


def test_networks_share_the_time(tmp_path: Path) -> None:
    limits: list[float] = []

    class Limits(Silent):
        def begin(self, total_steps: int | None, time_limit: float) -> None:
            limits.append(time_limit)

    train_task(
        "language", tmp_path, observer=Limits(), epochs=None, time_limit=0.6, baselines="none", ensemble=3, quiet=False
    )
    assert limits[0] == pytest.approx(0.2)
    assert all(0.05 <= limit <= 0.3 for limit in limits)


TASKS = ("language", "roll", "classify", "regress", "forecast", "recursive", "tag", "crf", "translate", "caption")


@pytest.mark.parametrize("task", TASKS)
def test_exported_ensemble_is_one_model(trained: Callable[[str], Run], tmp_path: Path, task: str) -> None:
    run = trained(task)
    result = run.export(tmp_path / "exported", use="network")
    assert result["difference"] < 1e-5 and result["model"] == "lstm"
    description = json.loads((tmp_path / "exported" / "model.json").read_text())
    assert len(description["blend"]["parts"]) == 2
    model = load_runtime(tmp_path / "exported")
    step = {
        "language": "to be", "roll": [1, 2], "classify": "fine", "regress": [0.5, -1.0], "forecast": [0.5],
        "recursive": [0.5], "tag": "film", "translate": "fine film", "caption": np.ones((3, 4)), "crf": "film",
    }[task]  # fmt: skip
    if task == "crf":
        with pytest.raises(UsageError, match="stream"):
            model.stream()
        return
    stream = model.stream(seed=1)
    for _ in range(12 if task in ("forecast", "recursive") else 1):
        answer = stream.step(step)
    snapshot, following = stream.snapshot(), 3 if task in ("translate", "caption") else step
    other = model.stream(seed=1)
    other.restore(snapshot)
    for first, second in zip(np.ravel(stream.step(following)), np.ravel(other.step(following)), strict=True):
        assert first == second
    if task == "classify":
        assert answer["probabilities"] == pytest.approx(next(model.predict(["fine"]))["probabilities"])
    if task in ("forecast", "recursive"):
        expected = next(model.predict([[0.5] * 12]))["y"]
        assert answer["y"] == {level: pytest.approx(values) for level, values in expected.items()}
    if task == "regress":
        assert answer["quantiles"] == pytest.approx(next(model.predict([[[0.5, -1.0]]]))["quantiles"], rel=1e-4)


@pytest.mark.parametrize("form", ["linear", "logits"])
def test_blend_has_the_ensemble_as_its_network(trained: Callable[[str], Run], tmp_path: Path, form: str) -> None:
    folder = shutil.copytree(trained("classify").path, tmp_path / "run")
    write_json(folder / "blend.json", {"form": form, "weights": {"lstm": 0.6, "majority": 0.4}})
    run = load(folder)
    assert run.export(tmp_path / "exported", use="blend")["difference"] < 1e-6
    parts = json.loads((tmp_path / "exported" / "model.json").read_text())["blend"]["parts"]
    assert len(parts[0]["blend"]["parts"]) == 2
    row = next(load_runtime(tmp_path / "exported").predict(["fine film"]))
    assert row["probability"] == pytest.approx(next(run.predict(["fine film"], use="blend"))["probability"])


def test_update_continues_each_network(trained: Callable[[str], Run], tmp_path: Path) -> None:
    run = trained("classify")
    reviews = texts(40)
    result = run.update(
        (reviews, ["a" if "fine" in text else "b" for text in reviews]), epochs=1, quiet=True, out=tmp_path / "new"
    )
    new = load(tmp_path / "new")
    for file in ("model.safetensors", "members/2/model.safetensors"):
        assert (new.path / file).read_bytes() != (run.path / file).read_bytes()
    assert [entry["epochs"] for entry in new.result["ensemble"]] == [3, 3]
    assert result["after"]["new"] is not None


def test_evaluate_and_inspect(trained: Callable[[str], Run]) -> None:
    run = trained("classify")
    reviews = texts(12)
    result = run.evaluate((reviews, ["a"] * 6 + ["b"] * 6))
    assert len(result["ensemble"]) == 2 and result["ensemble"][0]["scores"].keys() == result["scores"].keys()
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    run.inspect((reviews, ["a"] * 6 + ["b"] * 6), observer=Notes())
    assert any("first of 2 networks" in note for note in notes)
    assert "network 1 of 2" in (run.path / "report.html").read_text()


def test_table_shows_the_ensemble_and_the_mean_of_its_networks(trained: Callable[[str], Run]) -> None:
    run = trained("language")
    page = run._repr_html_()
    assert "lstm × 2" in page and "lstm alone (mean)" in page
    assert "lstm × 2" in run.verdict()


def test_models_without_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ensemble: for networks, whose seeds differ; tfidf is fitted in one go"):
        train_task("classify", tmp_path, model="tfidf")
    assert not (tmp_path / "run").exists()


def test_several_processes_refuse_ensembles(tmp_path: Path) -> None:
    team = Alone()
    team.size = 2
    options = {"out": str(tmp_path / "run"), "ensemble": 2, "quiet": True}
    with pytest.raises(UsageError, match="ensemble: got 2 with 2 processes, which train one network together"):
        train_folder(find_task("classify"), (texts(20), ["a", "b"] * 10), options, team)
    assert not (tmp_path / "run").exists()


def test_search_refuses_ensembles() -> None:
    with pytest.raises(UsageError, match="ensemble: a search compares single networks"):
        seriatim.tune.search("classify", (texts(20), ["a", "b"] * 10), {"hidden": "4..8"}, ensemble=2)


def test_onnx_refuses_ensembles(trained: Callable[[str], Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="onnx: an ensemble is no single network"):
        trained("classify").export(tmp_path / "onnx", use="network", onnx=True)


def within(blend: dict[str, Any]) -> dict[str, Any]:
    """Return a blend whose only part is another one."""
    return {"form": "linear", "parts": [{"weight": 1.0, "blend": blend}]}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda model: model["blend"]["parts"][0].update(weight=-1), "a weight of at least 0"),
        (lambda model: model["blend"].update(form="scores"), "a member with a CRF"),
        (lambda model: model.update(blend=within(within(model["blend"]))), "unknown key 'blend'"),
        (lambda model: model["blend"]["parts"].pop(), "unknown array '1."),
        (lambda model: model.pop("model"), "no 'model'"),
    ],
)  # fmt: skip
def test_damaged_ensemble_is_refused(
    trained: Callable[[str], Run], tmp_path: Path, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    folder = tmp_path / "exported"
    trained("tag").export(folder, use="network")
    content = json.loads((folder / "model.json").read_text())
    change(content)
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=match):
        load_runtime(folder)


def test_missing_network_of_a_finished_run_is_refused(trained: Callable[[str], Run], tmp_path: Path) -> None:
    folder = shutil.copytree(trained("classify").path, tmp_path / "run")
    (folder / "members" / "2" / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"members/2/model\.safetensors"):
        list(load(folder).predict(["fine film"], use="network"))


def test_run_of_before_has_one_network(trained: Callable[[str], Run], tmp_path: Path) -> None:
    """A config without the option, as older versions wrote it."""
    folder = shutil.copytree(trained("classify").path, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    del config["options"]["ensemble"]
    (folder / "config.json").write_text(json.dumps(config))
    result = json.loads((folder / "result.json").read_text())
    del result["ensemble"]
    (folder / "result.json").write_text(json.dumps(result))
    run = load(folder)
    assert not hasattr(run.network, "members") and "× 2" not in run.verdict()
