"""Every snippet of README and docs runs, and every script, option and file that the pages name exists."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars
import pytest
import torch

from documents import FENCE, NEEDS, ROOT, SKIP, TRAIN_WITH, blocks_of, running
from seriatim.cli.app import run as run_command
from seriatim.nn import LSTM
from seriatim.nn.interchange import onnx_model, to_keras

FOLDERS = (".", "benchmarks", "docs", "docs/decisions", "native", "recipes")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))]
WITH_CODE = [page for page in PAGES if any(not block.is_skipped for block in blocks_of(page))]
SMALL = ["--epochs", "1", "--time-limit", "2s", "--hidden", "8", "--baselines", "none", "--quiet"]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prices(rows: int = 200) -> polars.DataFrame:
    """A series with a value per day."""
    days = np.datetime64("2024-01-01") + np.arange(rows)
    return polars.DataFrame({"date": days.astype(str), "close": 100 + np.sin(np.arange(rows) / 5).round(3)})


def prepare_readme(folder: Path) -> dict[str, Any]:
    """The user's file, frame, model and stream that the page speaks of."""
    prices().write_csv(folder / "prices.csv")
    stream = [({"load": float(step % 3)}, step % 3 == 0) for step in range(20)]
    return {"new_frame": prices(), "model": torch.nn.Sequential(torch.nn.GRU(4, 8)), "stream": stream}


def prepare_tasks(folder: Path) -> dict[str, Any]:
    """The user's tables that the page speaks of."""
    prices().write_csv(folder / "prices.csv")
    draw = np.random.default_rng(0)
    words = np.array(["good", "bad", "fine", "poor", "film", "story"])
    texts = [" ".join(draw.choice(words, 5)) for _ in range(60)]
    stars = ["five" if "good" in text else "one" for text in texts]
    polars.DataFrame({"review": texts, "stars": stars}).write_csv(folder / "reviews.csv")
    recording = np.repeat(np.arange(60), 8)
    gestures = np.where(recording % 2, "wave", "push")
    channels = {"x": draw.normal(size=480), "y": draw.normal(size=480)}
    polars.DataFrame({"recording": recording, "gesture": gestures, **channels}).write_csv(folder / "motion.csv")
    return {}


def prepare_ecosystem(folder: Path) -> dict[str, Any]:
    """The user's table that the page speaks of."""
    (folder / "new_messages.tsv").write_text("text\nWin a free prize now\n", encoding="utf-8")
    return {}


def prepare_ray_and_spark(folder: Path) -> dict[str, Any]:
    """The name of a program's own module, from which Spark sends functions to its workers, and their Python."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return {"__name__": "__main__"}


class KerasStandIn:
    """Stands for a Keras layer whose weights are set."""

    def set_weights(self, weights: list[Any]) -> None:
        assert all(isinstance(weight, np.ndarray) for weight in weights)


def prepare_interchange(folder: Path) -> dict[str, Any]:
    """Stand-ins for a Keras model, and ONNX files; tests/nn compares the converters with the frameworks themselves."""
    layer = LSTM(4, 8, batch_first=True)
    model = SimpleNamespace(get_layer=lambda name: to_keras(layer)[0])
    names: dict[str, Any] = {"model": model, "stack": [KerasStandIn()], "x": torch.randn(5, 3, 4)}
    if importlib.util.find_spec("onnx"):
        one_layer = onnx_model(LSTM(4, 8))
        (folder / "one_layer.onnx").write_bytes(one_layer.SerializeToString())
        two_layers = onnx_model(LSTM(4, 8, num_layers=2))
        for number, node in enumerate(node for node in two_layers.graph.node if node.op_type == "LSTM"):
            node.name = f"lstm_{number}"
        (folder / "model.onnx").write_bytes(two_layers.SerializeToString())
        names["initializers"] = list(one_layer.graph.initializer)
        names["node_proto"] = next(node for node in one_layer.graph.node if node.op_type == "LSTM")
    return names


PREPARE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "README.md": prepare_readme,
    "docs/tasks.md": prepare_tasks,
    "docs/ecosystem.md": prepare_ecosystem,
    "docs/interchange.md": prepare_interchange,
    "docs/ray_and_spark.md": prepare_ray_and_spark,
}
TESTED_ELSEWHERE = {"docs/own_cell.md"}
"""Pages with tests of their own, which run the page first."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if name_of(page) not in TESTED_ELSEWHERE], ids=name_of)
def test_page_runs(page, tmp_path):
    prepare = PREPARE.get(name_of(page))
    with running(page, tmp_path, prepare(tmp_path) if prepare else {}):
        pass


@pytest.mark.parametrize(
    ("language", "code"),
    [("python", "import seriatim\nassert seriatim.no_such_name"), ("console", "$ seriatim no-such-verb")],
)
def test_failing_snippet_is_noticed(language, code, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```{language}\n{code}\n```\n", encoding="utf-8")
    with pytest.raises((AttributeError, AssertionError)), running(page, tmp_path):
        pass


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_code_that_a_test_can_run(page):
    for block in blocks_of(page):
        assert block.language in ("python", "console"), f"line {block.line}"
        assert not block.directive or block.directive.startswith((TRAIN_WITH, NEEDS, SKIP)), f"line {block.line}"
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert not re.search(r"^ +(\$ |>>> |pip |python |seriatim )", outside, re.M), "a command outside a ```console block"


def test_few_blocks_are_skipped():
    skipped = [(name_of(page), block.directive) for page in PAGES for block in blocks_of(page) if block.is_skipped]
    assert all(len(directive) > len(SKIP) + 20 for _, directive in skipped)
    assert len(skipped) <= 4


README_COMMANDS = re.findall(r"\| `(seriatim train [^`]*)` \|", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("command", README_COMMANDS)
def test_command_of_the_task_table_runs(command, tmp_path):
    assert run_command([*shlex.split(command)[1:], *SMALL, "--out", str(tmp_path / "run")]) == 0


def test_task_table_is_complete():
    assert len(README_COMMANDS) == 7


COMMAND = re.compile(r"`(?:python|scripts/bench) ([\w/]+(?:\.py)?)( [^`]*)?`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_scripts_and_their_options_exist(page):
    for name, options in COMMAND.findall(page.read_text(encoding="utf-8")):
        file = ROOT / (name if name.endswith(".py") else f"benchmarks/{name}.py")
        assert file.exists(), name
        source = file.read_text(encoding="utf-8")
        for option in re.findall(r"--[a-z][a-z-]*", options):
            assert f'"{option}"' in source, f"{name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
BASES = (".", "src/seriatim", "native/src", "native")
NOT_FILES = re.compile(r"NAME|DATA/|RUN/|[.][A-Z]+$|^(baselines|checkpoint)/$|^members/|^[\d/]+$")
"""Placeholders, attributes of modules, folders of a run, dates."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_named_files_exist(page):
    for name in FILE.findall(page.read_text(encoding="utf-8")):
        assert NOT_FILES.search(name) or any((ROOT / base / name).exists() for base in BASES), name


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
