"""Train the recipes, and check that each score is within its expected band.

    python recipes/reproduce.py DATA                    all recipes
    python recipes/reproduce.py DATA shakespeare sst2   only these
    python recipes/reproduce.py DATA addition --seed 1  with another seed than 0
    python recipes/reproduce.py DATA sst2 --results F   append a line per run to F, which report.py reads
    python recipes/reproduce.py --list                  print their commands

DATA is the folder of the public data sets, one folder each. Each recipe is one ``seriatim train`` command with a pinned
seed. The hash of the data shows whether they are the data for which the band was measured. The exit code is 1 if a hash
differs or a score is outside its band.

``DATA/aeon`` is the folder ``aeon/datasets/data`` of the package aeon, ``DATA/conll2003`` and ``DATA/ptb`` have data
that are for research only, and ``mnist1d`` needs the package of that name.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import subprocess
import sys
from pathlib import Path

from table import RECIPES, Recipe


def main() -> int:
    """Run the recipes of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="print the commands and stop")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"), help="folder for the run folders")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="seeds; each is a run (default: 0)")
    parser.add_argument("--results", type=Path, help="file to which each run appends a line for report.py")
    settings = parser.parse_args()
    if settings.list:
        for recipe in RECIPES:
            print(f"{recipe.name}: seriatim {recipe.command}")
        return 0
    known = {recipe.name: recipe for recipe in RECIPES}
    unknown = [name for name in settings.names if name not in known]
    if settings.data is None or unknown:
        parser.error(f"no recipe {unknown[0]!r} (known: {', '.join(known)})" if unknown else "DATA is missing")
    results = [
        reproduce(known[name], settings.data, settings.out, seed, settings.results)
        for name in settings.names or known
        for seed in settings.seed
    ]
    return 0 if all(results) else 1


def reproduce(recipe: Recipe, data: Path, out: Path, seed: int, results: Path | None = None) -> bool:
    """Run one recipe and print its scores as a row of a table. Returns whether hash and score are as expected."""
    work = out / "data"
    work.mkdir(parents=True, exist_ok=True)
    recipe.prepare(data, work)
    command = shlex.split(recipe.command.format(data=data, work=work))
    name = f"{recipe.name}-seed{seed}" if seed else recipe.name
    options = ["--seed", str(seed), "--out", str(out / name), "--resume", "--json"]
    process = subprocess.run([sys.executable, "-m", "seriatim", *command, *options], stdout=subprocess.PIPE, check=True)
    result = json.loads(process.stdout)
    score = result["scores"][recipe.score]
    baselines = {name: scores[recipe.score] for name, scores in result["baselines"].items() if recipe.score in scores}
    baseline_text = ", ".join(f"{name} {value:.4g}" for name, value in baselines.items())
    blend = result["blend"]
    mixed = f"{' + '.join(blend['parts'])} {blend['scores'][recipe.score]:.4g}" if blend else f"{result['best']} alone"
    if results is not None:
        line = {
            "recipe": recipe.name,
            "seed": seed,
            "score": recipe.score,
            "model": result["model"],
            "network": score,
            "blend": blend and blend["scores"][recipe.score],
            "parts": blend and blend["parts"],
            "best": result["best"],
            "baselines": baselines,
            "limited": result.get("limited", {}),
            "parameters": result["parameters"],
            "epochs": result["epochs"],
            "seconds": round(result["seconds"], 1),
            "hash": result["data"]["hash"].removeprefix("sha256:")[:8],
            "date": datetime.date.today().isoformat(),
        }
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    low, high = recipe.band
    has_same_data = result["data"]["hash"].removeprefix("sha256:").startswith(recipe.hash)
    is_in_band = low <= score <= high
    print(
        f"| {name} | {recipe.score} **{score:.4g}** | {mixed} | {baseline_text} "
        f"| {result['parameters']:,} "
        f"| {result['epochs']} | {result['seconds']:.0f} s |",
        flush=True,
    )
    if not has_same_data:
        print(
            f"{recipe.name}: not the data for which the band was measured ({result['data']['hash']})", file=sys.stderr
        )
    if not is_in_band:
        print(f"{recipe.name}: {recipe.score} {score:.4g} is outside {low:g} to {high:g}", file=sys.stderr)
    return has_same_data and is_in_band


if __name__ == "__main__":
    sys.exit(main())
