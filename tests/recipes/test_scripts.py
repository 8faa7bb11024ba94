"""Every recipe script runs, on made-up data of the smallest size; the figures mean nothing here."""

from __future__ import annotations

import json
import random
import re
import shlex
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import polars
import pytest
import torch

from script_runner import ROOT, load_script, run_main
from seriatim.cli.app import build
from seriatim.data.bundled import bundled_sets

TESTED = {
    "adding", "ask", "cells", "convert", "counting", "dates", "elec2", "fault_cases", "fault_data", "few_windows",
    "memory", "networks", "planted_faults", "published", "reber", "recipe", "report", "reproduce", "scenes", "sensor",
    "sources", "table", "who_solves_what",
}  # fmt: skip
"""Scripts with a test in this folder."""


def test_every_script_is_run_here():
    assert {file.stem for file in (ROOT / "recipes").glob("*.py")} == TESTED


def test_adding_writes_the_sum_of_the_marked_numbers(tmp_path, monkeypatch):
    file = tmp_path / "adding.ts"
    load_script(monkeypatch, "recipes", "adding").adding(file, 5, 8, 0)
    for line in file.read_text(encoding="utf-8").split("@data\n")[1].splitlines():
        numbers, marks, total = (np.array(part.split(","), float) for part in line.split(":"))
        assert marks.sum() == 2 and total[0] == pytest.approx(numbers @ marks)


def test_few_windows_compares_weights(tmp_path, monkeypatch, capsys):
    draw = np.random.default_rng(0)
    folder = tmp_path / "m4_hourly"
    folder.mkdir()
    rows = [",".join(map(str, np.tile(draw.uniform(1, 5, 24), 8) + draw.normal(size=192))) for _ in range(3)]
    table = "\n".join(["id," + ",".join(f"V{step}" for step in range(192)), *(f"H,{row}" for row in rows)])
    (folder / "Hourly-train.csv").write_text(table, encoding="utf-8")
    script = load_script(monkeypatch, "recipes", "few_windows")
    run_main(monkeypatch, script, tmp_path, "--series", "2", "--horizons", "6")
    printed = capsys.readouterr().out
    figures = [float(figure) for figure in re.findall(r"\d\.\d{3}", printed)]
    assert len(figures) == len(script.POWERS) * len(script.RATIOS) + 1 and 0.5 < min(figures) <= max(figures) < 5
    assert "| r = 1.25 |" in printed


@pytest.mark.processes
def test_ask_gets_a_text_from_a_server(monkeypatch, capsys):
    folder = ROOT / "tests" / "golden" / "0.1.0" / "language-lstm"
    run_main(monkeypatch, load_script(monkeypatch, "recipes", "ask"), folder, "to be", "--length", "7")
    assert "\n7 units: to be" in capsys.readouterr().out


def test_dates_is_the_bundled_set(tmp_path, monkeypatch):
    (bundled,) = (entry for entry in bundled_sets() if entry.name == "dates")
    run_main(monkeypatch, load_script(monkeypatch, "recipes", "dates"), tmp_path / "dates.tsv")
    assert (tmp_path / "dates.tsv").read_bytes() == bundled.path.read_bytes()


def test_scenes_are_the_first_of_the_bundled_set(tmp_path, monkeypatch):
    (bundled,) = (entry for entry in bundled_sets() if entry.name == "scenes")
    script = load_script(monkeypatch, "recipes", "scenes")
    run_main(monkeypatch, script, tmp_path / "scenes.parquet", "--number", "5")
    table = polars.read_parquet(tmp_path / "scenes.parquet")
    assert table["caption"].to_list() == polars.read_parquet(bundled.path)["caption"].head(10).to_list()


@pytest.mark.slow
def test_cells_trains_each_network_once(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "cells")
    for name, size in {"EMBEDDING": 2, "READOUT": 3, "ROWS": 2, "STEPS": 4, "WARMUP": 3}.items():
        monkeypatch.setattr(script, name, size)
    text, figures = tmp_path / "text.txt", tmp_path / "figures.json"
    text.write_text("to be or not to be " * 20, encoding="utf-8")
    arguments = (
        text,
        "--cells",
        "gru",
        "lstm, peephole",
        "--parameters",
        "200",
        "--seconds",
        "0.05",
        "--json",
        figures,
    )
    for _ in range(2):
        run_main(monkeypatch, script, *arguments)
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["cell"] for row in rows] == ["gru", "lstm, peephole"]
    assert all(row["updates"] > 0 and row["test"] > 1 for row in rows)
    assert "| gru |" in capsys.readouterr().out


def test_counting_trains_and_looks_for_the_unit(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "counting")
    assert script.strings(torch.tensor([1, 2]), 2).T.tolist() == [[0, 1, 2, 3, 3, 3], [0, 1, 1, 2, 2, 3]]
    three = script.strings(torch.tensor([2]), 3)
    assert three.flatten().tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert script.predictable(three, 4).flatten().tolist() == [False] * 3 + [True] * 4
    assert script.longest_right(torch.tensor([True, True, False, True])) == 2
    figures = tmp_path / "figures.json"
    run_main(monkeypatch, script, "--seeds", "1", "--longest", "4", "--updates", "3", "--units", "3", "--json", figures)
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["cell"] for row in rows] == ["lstm", "gru"]
    assert all(0 <= row["right_up_to"] <= 16 and row["as_trained"]["unit"] < 3 for row in rows)
    assert all(row["right_up_to"] <= 4 * row["share_right"] or row["share_right"] == 1 for row in rows)
    assert "gru   seed 0   right up to n = " in capsys.readouterr().out


def test_reber_trains_until_all_strings_are_right(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "reber")
    steps = script.reber_string(random.Random(3))
    word = "".join(letter for letter, _ in steps)
    assert re.fullmatch(r"B([TP])B[TPSXV]+E\1E", word)
    assert all(word[place + 1] in following for place, (_, following) in enumerate(steps[:-1]))

    letters, allowed = script.encode(steps)
    logits = torch.where(allowed == 1, 1.0, -1.0)
    assert script.is_right(lambda _: logits, letters, allowed)
    logits[-2] = -logits[-2]  # the letter that has to be remembered
    assert not script.is_right(lambda _: logits, letters, allowed)

    layer = script.Reader("lstm", 2).layer
    assert (layer.bias_ih_l0 + layer.bias_hh_l0).tolist() == [0, 0, 5, 5, 0, 0, 0, -0.5]  # i f g o

    monkeypatch.setattr(script, "SET_SIZE", 3)
    figures = tmp_path / "figures.json"
    run_main(monkeypatch, script, "--cells", "rnn", "--seeds", "1", "--units", "2", "--most", "6", "--json", figures)
    assert json.loads(figures.read_text(encoding="utf-8")) == [{"cell": "rnn", "weights": 43, "strings": [None]}]
    assert "solved 0 of 1   never" in capsys.readouterr().out


@pytest.mark.slow
def test_planted_faults_are_trained_and_counted(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "planted_faults")
    figures = tmp_path / "figures.json"
    for task, arguments in (("forecast", {"length": 200}), ("classify", {"number": 60})):
        recipe = script.RECIPES[task]
        small = replace(recipe, write=partial(recipe.write, **arguments), options=recipe.options | {"epochs": 2})
        monkeypatch.setitem(script.RECIPES, task, small)
    run_main(
        monkeypatch,
        script,
        "--tasks",
        "forecast",
        "classify",
        "--only",
        "season",
        "repeated",
        "--advice",
        "--json",
        figures,
    )
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["faults"] for row in rows] == [["season"], ["repeated"], ["leak", "season"], ["repeated", "gates_open"]]
    assert all(script.is_named(row, row["faults"][0]) for row in rows)
    assert "after" in rows[0] and rows[0]["advice"].startswith("--season")
    assert "planted faults named: " in capsys.readouterr().out


@pytest.mark.slow
def test_memory_runs_every_rule(monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "memory")
    rules = [rule for rule in script.RULES if not rule.startswith("recompute")]
    run_main(monkeypatch, script, *rules, "--episodes", "5", "--seconds", "0.05")
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == rules


@pytest.mark.slow
def test_who_solves_what_keeps_its_runs(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "who_solves_what")
    monkeypatch.setattr(script, "AVERAGED", 1)
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.png"
    arguments = ("--steps", "4", "--seeds", "0", "--seconds", "0.01", "--json", figures, "--plot", picture)
    run_main(monkeypatch, script, *arguments)
    rows = json.loads(figures.read_text(encoding="utf-8"))
    assert sorted((row["task"], row["cell"]) for row in rows) == sorted(product(script.TASKS, script.CELLS))
    assert picture.read_bytes().startswith(b"\x89PNG") and "| lstm |" in capsys.readouterr().out


@pytest.mark.slow
def test_sensor_goes_on_bit_for_bit_after_loading(monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "sensor")
    for name, steps in {"STEPS": 160, "MINUTE": 40, "COMPARED": 30}.items():
        monkeypatch.setattr(script, name, steps)
    assert run_main(monkeypatch, script) == 0
    assert "30 of 30 predictions" in capsys.readouterr().out


@pytest.mark.slow
def test_elec2_compares_every_learner(tmp_path, monkeypatch, capsys):
    pytest.importorskip("river")
    script = load_script(monkeypatch, "recipes", "elec2")
    for name, rows in {"WEEK": 8, "SMOOTHED": 16, "VIC": 20}.items():
        monkeypatch.setattr(script, name, rows)
    prices = np.random.default_rng(0).random(40).round(3)
    rows = {"": range(40), "price": prices, "class": (prices > 0.5).astype(int)}
    polars.DataFrame(rows).write_csv(tmp_path / "stream.csv")
    script.main(tmp_path / "stream.csv", tmp_path / "picture.png")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(script.MODELS)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_recipes_have_names_bands_and_hashes_of_their_own(monkeypatch):
    recipes = load_script(monkeypatch, "recipes", "table").RECIPES
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        assert recipe.band[0] < recipe.band[1] and len(recipe.hash) == 8, recipe.name


def test_recipe_commands_are_options_that_exist(monkeypatch):
    trains = build().commands["train"].commands
    for recipe in load_script(monkeypatch, "recipes", "table").RECIPES:
        verb, task, *arguments = shlex.split(recipe.command.format(data="data", work="work"))
        assert verb == "train"
        trains[task].make_context(task, arguments)  # raises for an unknown option or a wrong value


@pytest.mark.processes
def test_reproduce_compares_score_and_hash(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "reproduce")
    texts = ["good film", "bad film"] * 20
    polars.DataFrame({"text": texts, "label": [text[0] for text in texts]}).write_csv(tmp_path / "films.csv")
    command = "train classify {data}/films.csv --text text --label label --model majority --quiet"
    recipe = script.Recipe("films", command, "accuracy", (0.0, 1.0), "")
    processes = []
    run = script.subprocess.run
    monkeypatch.setattr(script.subprocess, "run", lambda *a, **k: processes.append(run(*a, **k)) or processes[-1])
    results = tmp_path / "results.jsonl"
    assert script.reproduce(recipe, tmp_path, tmp_path / "out", 0, results)
    assert "| films | accuracy **0.5** |" in capsys.readouterr().out
    report = load_script(monkeypatch, "recipes", "report")
    (row,) = report.read(results)
    assert (row.recipe, row.network, row.used_name) == ("films", 0.5, "majority")
    monkeypatch.setattr(script.subprocess, "run", lambda *a, **k: processes[0])  # the same result again
    for wrong, message in (({"band": (2.0, 3.0)}, "outside"), ({"hash": "00000000"}, "not the data")):
        assert not script.reproduce(replace(recipe, **wrong), tmp_path, tmp_path / "out", 0)
        assert message in capsys.readouterr().err


def test_reproduce_lists_every_command(monkeypatch, capsys):
    script = load_script(monkeypatch, "recipes", "reproduce")
    assert run_main(monkeypatch, script, "--list") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(script.RECIPES)


def test_report_counts_wins_over_the_means_of_seeds(monkeypatch, tmp_path, capsys):
    script = load_script(monkeypatch, "recipes", "report")
    run = {
        "recipe": "films", "seed": 0, "score": "accuracy", "model": "lstm", "network": 0.8, "blend": 0.9,
        "best": "blend", "baselines": {"majority": 0.5, "tfidf": 0.84}, "hash": "0123abcd", "date": "2026-11-30",
        "parameters": 1200, "seconds": 7.4,
    }  # fmt: skip
    series = {"recipe": "births", "score": "rmse", "network": 6.0, "blend": 7.0, "baselines": {"naive": 8.0, "ar": 6.5}}
    series["limited"] = {"ar": "3 of 4 lags"}
    runs = [run, run | {"seed": 1, "network": 0.9, "blend": 0.96}, run | series, run | {"seed": 1, "network": 0.86}]
    runs.append(run | {"recipe": "sst2-mlp", "baselines": {}, "best": "lstm"})
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in runs), encoding="utf-8")
    films, births, _ = script.read(file)  # the second run with seed 1 replaces the first
    assert (films.network, films.used, films.simple) == pytest.approx((0.83, 0.9, 0.84))
    assert films.simple_name == "tfidf"
    assert not films.network_wins and films.used_is_best
    assert births.network_wins and not births.used_is_best
    monkeypatch.setattr("sys.argv", ["report.py", str(file)])
    script.main()
    text = capsys.readouterr().out
    low, high = next(recipe.band for recipe in script.RECIPES if recipe.name == "births")
    births_row = f"| births | rmse | 1 | 6 | {low:g} to {high:g} | blend 7 | ar 6.5 (3 of 4 lags) | yes | no |"
    assert f"{births_row} 0123abcd | 2026-11-30 |" in text
    assert "beats every simple model in 1 of 2 rows" in text and "in 1 of 2.\n" in text
    assert "| airline | rmse | not run | – | LSTM 47.5" in text
    assert "| sst2 | accuracy | – | – | – | 0.8 |\n| | |  |  |  | 1,200; 7 s |" in text
    assert "Recipes without a run in this table: shakespeare, " in text and " births," not in text


@pytest.mark.processes
@pytest.mark.parametrize("name", ["ptb-small", "ptb-medium-tied"])
def test_penn_treebank_recipe_runs_on_a_stand_in(tmp_path, monkeypatch, capsys, name):
    script = load_script(monkeypatch, "recipes", "reproduce")
    (folder := tmp_path / "ptb").mkdir()
    for part, lines in (("train", 40), ("valid", 10), ("test", 10)):
        (folder / f"ptb.{part}.txt").write_text(" the cat <unk> the N dogs \n" * lines, encoding="utf-8")
    (recipe,) = (recipe for recipe in script.RECIPES if recipe.name == name)
    command = re.sub(r"--(hidden|embedding) \d+", r"--\1 4", recipe.command)
    command = re.sub(r"--epochs \d+", "--epochs 1 --baselines none --quiet", command)
    assert not script.reproduce(replace(recipe, command=command), tmp_path, tmp_path / "out", 0)
    printed = capsys.readouterr()
    assert f"| {name} | perplexity **" in printed.out and "not the data" in printed.err


def test_results_have_the_table_of_the_report(monkeypatch):
    script = load_script(monkeypatch, "recipes", "report")
    text = (ROOT / "recipes" / "RESULTS.md").read_text(encoding="utf-8")
    rows = script.read(script.RESULTS)
    assert all(table(rows) in text for table in (script.table, script.published_table, script.networks_table))
    hashes = {recipe.name: recipe.hash for recipe in load_script(monkeypatch, "recipes", "table").RECIPES}
    bands = {recipe.name: recipe.band for recipe in load_script(monkeypatch, "recipes", "table").RECIPES}
    for line in script.RESULTS.read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        low, high = bands[run["recipe"]]
        assert run["hash"] == hashes[run["recipe"]] and low <= run["network"] <= high, run["recipe"]
