"""``Run.inspect`` of a small run of every task that it measures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import seriatim
from seriatim.errors import DataError

pytestmark = pytest.mark.slow

QUICK = {"model": "lstm", "hidden": 8, "epochs": 2, "quiet": True, "threads": 1, "baselines": "fast"}
COLOURS = ("red", "blue", "green")
STATUSES = {"ok", "warning", "fault", "unknown"}


def texts(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    file = folder / "text.txt"
    file.write_text("".join(generator.choice(list("abcd "), 4000)), encoding="utf-8")
    return file


def series(folder: Path) -> Path:
    steps = np.arange(300)
    values = np.sin(steps * 2 * np.pi / 12) + 0.1 * np.random.default_rng(0).standard_normal(300)
    file = folder / "series.csv"
    file.write_text("y\n" + "\n".join(f"{value:.4f}" for value in values), encoding="utf-8")
    return file


def sequences(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    lines = ["id,a,b,label,size"]
    for number in range(80):
        label = number % 2
        for a, b in generator.standard_normal((10, 2)):
            lines.append(f"{number},{a + 2 * label:.3f},{b:.3f},{'yes' if label else 'no'},{label + 0.5}")
    file = folder / "sequences.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def tagged(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    words = {"the": "D", "a": "D", "cat": "N", "dog": "N", "sees": "V"}
    chosen = [generator.choice(list(words), generator.integers(9, 15)) for _ in range(60)]
    file = folder / "tagged.tsv"
    file.write_text(
        "\n\n".join("\n".join(f"{word}\t{words[word]}" for word in row) for row in chosen), encoding="utf-8"
    )
    return file


def pairs(folder: Path) -> Path:
    """Each target is its source from the end."""
    generator = np.random.default_rng(0)
    sources = ["".join(generator.choice(list("abcdef"), generator.integers(9, 13))) for _ in range(120)]
    file = folder / "pairs.csv"
    file.write_text("source,target\n" + "\n".join(f"{text},{text[::-1]}" for text in sources), encoding="utf-8")
    return file


def pictures(folder: Path) -> Path:
    """Feature vectors of 9 regions, with captions."""
    generator = np.random.default_rng(0)
    lines = ["features,text"]
    for number in range(40):
        np.save(folder / f"{number}.npy", generator.standard_normal((9, 4)).astype(np.float32))
        lines.append(f"{number}.npy,{generator.choice([f'{colour} cat ' * 5 for colour in COLOURS])}")
    file = folder / "pictures.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def rolls(folder: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    files = [folder / f"{number}.npy" for number in range(20)]
    for file in files:
        np.save(file, (generator.random((30, 12)) < 0.2).astype(np.uint8))
    return files


WRITTEN = {"unit": "char", "max_length": 10, "batch_size": 16}
TASKS = {
    "language": (texts, {"truncation": (20,), "batch_size": 4}),
    "forecast": (series, {"target": ("y",), "horizon": 4, "lookback": 24, "season": 12}),
    "classify": (sequences, {"channels": ("a", "b"), "id": "id", "label": "label"}),
    "regress": (sequences, {"channels": ("a", "b"), "id": "id", "target": "size"}),
    "tag": (tagged, {"bidirectional": False}),
    "translate": (pairs, {"source": "source", "target": "target", "attention": "none", **WRITTEN}),
    "caption": (pictures, {"features": "features", "text": "text", **WRITTEN, "unit": "word"}),
}
LENGTHS = {"language": 20, "forecast": 24, "classify": 10, "regress": 10}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], seriatim.Run]:
    """A small run of a task, trained once."""
    runs: dict[str, seriatim.Run] = {}

    def run_of(task: str) -> seriatim.Run:
        if task not in runs:
            make, options = TASKS[task]
            folder = tmp_path_factory.mktemp(task)
            runs[task] = seriatim.train(task, make(folder), out=folder / "run", **QUICK, **options)
        return runs[task]

    return run_of


@pytest.fixture
def page_of(trained: Callable[[str], seriatim.Run]) -> Callable[[str], str]:
    """The report of a small run of a task."""

    def page(task: str) -> str:
        run = trained(task)
        if not (run.path / "report.html").exists():
            run.inspect()
        return (run.path / "report.html").read_text(encoding="utf-8")

    return page


@pytest.mark.parametrize("task", TASKS)
def test_inspect_measures_and_reports(task: str, trained: Callable[[str], seriatim.Run]) -> None:
    run = trained(task)
    scores = json.dumps(run.evaluate()["scores"])
    result = run.inspect()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result) == {"run", "horizons", "verdict", "checks"}
    assert result["verdict"].startswith("the model looks ")
    assert result["horizons"]["truncation"] == LENGTHS.get(task, result["horizons"]["truncation"])
    for check in result["checks"]:
        assert set(check) == {"name", "status", "value", "condition", "evidence", "advice", "confidence"}
        assert check["status"] in STATUSES
        assert bool(check["advice"]) == (check["status"] in ("warning", "fault"))
    measured = {check["name"] for check in result["checks"] if check["status"] != "unknown"}
    assert {"exploding_gradient", "gates_open", "saturation", "baselines"} <= measured
    assert "</html>" in (run.path / "report.html").read_text(encoding="utf-8")
    assert json.dumps(run.evaluate()["scores"]) == scores
    assert run.inspect() == result


def test_inspect_measures_other_data(tmp_path: Path) -> None:
    run = seriatim.train("language", texts(tmp_path), out=tmp_path / "run", **QUICK, truncation=(20,), batch_size=4)
    other = tmp_path / "other.txt"
    other.write_text("abcd" * 500, encoding="utf-8")
    assert run.inspect(other)["horizons"]["data"] > run.inspect()["horizons"]["data"]


@pytest.mark.parametrize("model", ["transformer", "cnn", "mlp", "gru", "seasonal_naive"])
def test_every_model_can_be_inspected(model: str, tmp_path: Path) -> None:
    make, options = TASKS["forecast"]
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **{**QUICK, "model": model}, **options)
    result = run.inspect()
    looks = result["horizons"]["gradient"]
    assert (looks is None) == (model in ("mlp", "seasonal_naive"))
    assert result["horizons"]["data"] is not None


def test_forecaster_of_segments_shows_its_data_and_errors(tmp_path: Path) -> None:
    make, options = TASKS["forecast"]
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **QUICK, **options, segment=2)
    result = run.inspect()
    assert result["horizons"]["gradient"] is None
    assert result["horizons"]["data"] is not None
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "step of the horizon" in page and "autocorrelation of the residuals" in page


def test_recursive_forecaster_can_be_inspected(tmp_path: Path) -> None:
    make, options = TASKS["forecast"]
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **QUICK, **options, strategy="recursive")
    assert run.inspect()["horizons"]["gradient"] > 0


def test_bidirectional_classifier_has_no_direction_to_look_in(tmp_path: Path) -> None:
    make, options = TASKS["classify"]
    run = seriatim.train("classify", make(tmp_path), out=tmp_path / "run", **QUICK, **options, bidirectional=True)
    assert "both directions" in run.inspect()["verdict"]


SMALLEST = {
    "language": ("text.txt", "ab" * 20, {"batch_size": 2}),
    "forecast": ("table.csv", "y\n" + "\n".join("111213141"), {"horizon": 1, "lookback": 2, "season": 1}),
    "classify": ("table.csv", "id,a,b,label\n" + "\n".join(f"{n},{n % 2},1,{'ab'[n % 2]}" for n in range(24)), {}),
    "regress": ("table.csv", "id,a,b,size\n" + "\n".join(f"{n},{n % 2},1,{n}" for n in range(24)), {}),
    "tag": ("tags.tsv", "\n\n".join(f"w\t{'ab'[n % 2]}" for n in range(12)), {}),
    "translate": ("table.csv", "source,target\n" + "\n".join(f"{n},{n}" for n in range(10)), {"attention": "general"}),
}


@pytest.mark.parametrize("task", SMALLEST)
def test_smallest_data_can_be_inspected(task: str, tmp_path: Path) -> None:
    """The fewest rows that can be trained on: nothing may fail, and what cannot be measured is unknown."""
    name, content, options = SMALLEST[task]
    (tmp_path / name).write_text(content, encoding="utf-8")
    run = seriatim.train(task, tmp_path / name, out=tmp_path / "run", **QUICK, **{**TASKS[task][1], **options})
    assert json.dumps(run.inspect(), allow_nan=False)


def test_run_that_exploded_can_be_inspected(tmp_path: Path) -> None:
    """JSON has no infinity: what is not finite becomes None."""
    make, options = TASKS["forecast"]
    options = {**options, "model": "rnn", "activation": "relu", "clip": 0.0, "normalize": "none"}
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **{**QUICK, **options})
    with torch.no_grad():
        for name, parameter in run.network.named_parameters():
            if "weight_hh" in name:
                parameter.mul_(1e6)
    result = run.inspect()
    assert json.dumps(result, allow_nan=False)
    (check,) = (check for check in result["checks"] if check["name"] == "exploding_gradient")
    assert check["status"] == "fault"


def test_new_data_with_unseen_labels(tmp_path: Path) -> None:
    """Sequences of unknown classes are left out; without any others there is nothing to measure."""
    make, options = TASKS["classify"]
    file = make(tmp_path)
    run = seriatim.train("classify", file, out=tmp_path / "run", **{**QUICK, **options})
    new = tmp_path / "new.csv"
    lines = file.read_text().splitlines()
    new.write_text("\n".join(line.replace("yes", "maybe") if line.startswith("7") else line for line in lines))
    known = tmp_path / "known.csv"
    known.write_text("\n".join(line for line in lines if not (line.startswith("7") and "yes" in line)))
    assert run.inspect(new)["horizons"] == run.inspect(known)["horizons"]
    new.write_text("\n".join(line.replace("yes", "maybe").replace(",no,", ",never,") for line in lines))
    with pytest.raises(DataError, match="inspect: none of the labels of these data is in the training part"):
        run.inspect(new)


SECTIONS = {
    "language": ["Loss in nats by how often"],
    "forecast": ["Absolute error by step of the horizon", "Absolute error by place in the season", "the season, its"],
    "classify": ["Accuracy by class", "Calibration error by class", "the label", "by input column"],
    "regress": ["Absolute error by target", "the target"],
    "tag": ["Accuracy by tag", "Accuracy by length of the sentence"],
    "translate": ["Share of exact texts by length of the source"],
}


def test_report_says_where_the_errors_are(page_of: Callable[[str], str]) -> None:
    for task, titles in SECTIONS.items():
        page = page_of(task)
        assert not [title for title in titles if title not in page], task


def test_errors_are_shown_by_the_hour_of_finer_times(tmp_path: Path) -> None:
    """Noise in the afternoon alone is an error of the afternoon alone."""
    start, generator = datetime(2024, 1, 1), np.random.default_rng(0)
    rows = ["time,y"]
    for step in range(24 * 14):
        noise = generator.standard_normal() if 12 <= step % 24 < 18 else 0.0
        rows.append(f"{(start + timedelta(hours=step)).isoformat()},{np.sin(step * np.pi / 12) + noise:.4f}")
    file = tmp_path / "hours.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    options = {"target": ("y",), "time": "time", "horizon": 6, "lookback": 24, "season": 24, "origins": 40}
    run = seriatim.train("forecast", file, out=tmp_path / "run", **{**QUICK, "epochs": 1}, **options)
    run.inspect()
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    means = {
        int(hour): float(mean)
        for hour, mean in re.findall(r"<td>(\d+):00</td><td class=number>\d+</td><td class=number>([\d.e-]+) ±", page)
    }
    assert len(means) == 24
    assert min(means[hour] for hour in range(12, 18)) > max(means[hour] for hour in range(4, 10))


def test_piano_rolls_can_be_inspected(tmp_path: Path) -> None:
    run = seriatim.train("language", rolls(tmp_path), out=tmp_path / "run", **QUICK, unit="roll", batch_size=4)
    result = run.inspect()
    assert result["verdict"].startswith("the model looks ")
    assert result["horizons"]["truncation"] == 30


@pytest.mark.parametrize(
    ("model", "options"),
    [("gru", {"bidirectional": True}), ("lstm", {"crf": True}), ("transformer", {"heads": 2, "characters": "none"}),
     ("most_frequent_tag", {})],
)  # fmt: skip
def test_every_tagger_can_be_inspected(model: str, options: dict[str, object], tmp_path: Path) -> None:
    """A word far away is far, in whatever direction a tagger reads."""
    settings = {**QUICK, "model": model, **options}
    if model in ("gru", "lstm"):
        settings.setdefault("bidirectional", False)
    run = seriatim.train("tag", tagged(tmp_path), out=tmp_path / "run", **settings)
    result = run.inspect()
    assert (result["horizons"]["gradient"] is None) == (model == "most_frequent_tag")
    assert "every step is near" not in result["verdict"]


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [("gru", {"attention": "general"}, "attention sees each step"), ("transformer", {"heads": 2}, "attention sees"),
     ("gru", {"bidirectional": True, "attention": "none"}, "both directions"), ("gru", {"attention": "none"}, "looks"),
     ("copy", {}, "repay")],
)  # fmt: skip
def test_every_translator_can_be_inspected(model: str, options: dict[str, object], reason: str, tmp_path: Path) -> None:
    settings = {**QUICK, "model": model, "source": "source", "target": "target", **WRITTEN, **options}
    run = seriatim.train("translate", pairs(tmp_path), out=tmp_path / "run", **settings)
    assert reason in run.inspect()["verdict"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    has_weights = options.get("attention") == "general"
    assert ("What the text was written from" in page) == has_weights


def test_reversed_texts_are_known_from_all_of_their_sources(tmp_path: Path) -> None:
    """The last source unit says the first target unit, the first one the last: the data repay a whole source."""
    run = seriatim.train(
        "translate", pairs(tmp_path), out=tmp_path / "run", **QUICK, source="source", target="target", **WRITTEN
    )
    assert run.inspect()["horizons"]["data"] >= 3


def test_captions_show_the_regions_that_they_were_written_from(tmp_path: Path) -> None:
    make, options = TASKS["caption"]
    run = seriatim.train("caption", make(tmp_path), out=tmp_path / "run", **QUICK, **options, attention="additive")
    run.inspect()
    assert '<div class="regions">' in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
