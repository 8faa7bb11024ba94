"""Train the recipes, and hold each score against the band it is expected in.

    python recipes/reproduce.py DATA                    every recipe
    python recipes/reproduce.py DATA shakespeare sst2   some of them
    python recipes/reproduce.py DATA addition --seed 1  with another seed than 0
    python recipes/reproduce.py --list                  their commands

DATA is the folder that holds the public data sets, one folder each. Each recipe is one ``seriatim train`` command
with a pinned seed; the data's hash says whether the data are those the band was measured on. The exit code is 1
when a hash differs or a score leaves its band.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from table import RECIPES, Recipe


def main() -> int:
    """Run the recipes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show the commands and end")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"), help="where the run folders go")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.list:
        for recipe in RECIPES:
            print(f"{recipe.name}: seriatim {recipe.command}")
        return 0
    known = {recipe.name: recipe for recipe in RECIPES}
    unknown = [name for name in given.names if name not in known]
    if given.data is None or unknown:
        parser.error(f"no recipe {unknown[0]!r} (known: {', '.join(known)})" if unknown else "DATA is wanted")
    good = [reproduce(known[name], given.data, given.out, given.seed) for name in given.names or known]
    return 0 if all(good) else 1


def reproduce(recipe: Recipe, data: Path, out: Path, seed: int) -> bool:
    """Run one recipe; print its scores as a row of a table; tell whether hash and score are as expected."""
    work = out / "data"
    work.mkdir(parents=True, exist_ok=True)
    recipe.prepare(data, work)
    command = shlex.split(recipe.command.format(data=data, work=work))
    name = f"{recipe.name}-seed{seed}" if seed else recipe.name
    options = ["--seed", str(seed), "--out", str(out / name), "--resume", "--json"]
    done = subprocess.run([sys.executable, "-m", "seriatim", *command, *options], stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    score = result["scores"][recipe.score]
    baselines = {name: scores[recipe.score] for name, scores in result["baselines"].items() if recipe.score in scores}
    beside = ", ".join(f"{name} {value:.4g}" for name, value in baselines.items())
    low, high = recipe.band
    same_data = result["data"]["hash"].removeprefix("sha256:").startswith(recipe.hash)
    within = low <= score <= high
    print(
        f"| {name} | {recipe.score} **{score:.4g}** | {beside} | {result['parameters']:,} "
        f"| {result['epochs']} | {result['seconds']:.0f} s |",
        flush=True,
    )
    if not same_data:
        print(f"{recipe.name}: other data than the band was measured on ({result['data']['hash']})", file=sys.stderr)
    if not within:
        print(f"{recipe.name}: {recipe.score} {score:.4g} is outside {low:g} to {high:g}", file=sys.stderr)
    return same_data and within


if __name__ == "__main__":
    sys.exit(main())
