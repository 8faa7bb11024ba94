"""Train the recipes, and hold each score against the band it is expected in.

    python recipes/reproduce.py DATA                    every recipe
    python recipes/reproduce.py DATA shakespeare sst2   some of them
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import convert


@dataclass(frozen=True)
class Recipe:
    """One command, and what is expected of it."""

    name: str
    command: str
    """Arguments of ``seriatim``; {data} is the folder of the sets, {work} the folder of converted files."""
    score: str
    band: tuple[float, float]
    hash: str
    """First characters of the data's hash."""
    prepare: Callable[[Path, Path], None] = lambda data, work: None


SHAKESPEARE = "--hidden 512 --dropout 0.3 --truncation 50 --epochs 11 --schedule linear --lr 2e-3 --threads 1"
NSMC = "{data}/nsmc/train.tsv --valid {data}/nsmc/valid.tsv --test {data}/nsmc/test.tsv --text document --label label"
VOWELS = "{data}/japanese_vowels/JapaneseVowels"
ETT = (
    "train forecast {data}/ett/ETTh1.csv --time date --target HUFL,HULL,MUFL,MULL,LUFL,LULL,OT --split 8640,2880,2880 "
    "--season 24 --lookback 168 --hidden 64 --dropout 0.3 --patience 3 --schedule plateau --threads 1 --horizon"
)
SERIES = "train forecast {data}/univariate"

RECIPES = (
    Recipe(
        "shakespeare",
        f"train language {{data}}/shakespeare/input.txt {SHAKESPEARE}",
        "perplexity", (5.1, 5.5), "c64f0728",
    ),
    Recipe(
        "shakespeare-90",
        "train language {work}/shakespeare-train.txt --valid {work}/shakespeare-test.txt "
        f"--test {{work}}/shakespeare-test.txt {SHAKESPEARE}",
        "perplexity", (4.4, 4.6), "6a25df28", convert.shakespeare,
    ),
    Recipe(
        "sms-spam",
        "train classify sms_spam --threads 1",
        "macro_f1", (0.95, 1.0), "c349c07b",
    ),
    Recipe(
        "sst2",
        "train classify {work}/sst2-train.tsv --valid {work}/sst2-valid.tsv --test {work}/sst2-test.tsv "
        "--text text --label label --bidirectional --dropout 0.5 --threads 1",
        "accuracy", (0.79, 0.84), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "nsmc",
        f"train classify {NSMC} --unit bpe --vocab-size 8000 --dropout 0.5 --threads 1",
        "accuracy", (0.80, 0.84), "e20e9c25",
    ),
    Recipe(
        "japanese-vowels",
        f"train classify {VOWELS}_TRAIN.ts --test {VOWELS}_TEST.ts --bidirectional --hidden 64 --threads 1",
        "accuracy", (0.96, 1.0), "2d971cd6",
    ),
    Recipe(
        "airline",
        f"{SERIES}/airline-passengers.csv --time Month --target Passengers --horizon 1 --origins 48 --season 12 "
        "--lookback 24 --epochs 300 --threads 1",
        "rmse", (20.0, 45.0), "26571c12",
    ),
    Recipe(
        "monthly-sunspots",
        f"{SERIES}/monthly-sunspots.csv --time Month --target Sunspots --horizon 132 --season 132 --lookback 396 "
        "--epochs 6 --threads 1",
        "rmse", (25.0, 45.0), "9ec5de66",
    ),
    Recipe(
        "min-temperatures",
        f"{SERIES}/daily-min-temperatures.csv --time Date --target Temp --horizon 7 --origins 365 --threads 1",
        "rmse", (2.5, 2.8), "2b1e45cf",
    ),
    Recipe(
        "births",
        f"{SERIES}/daily-total-female-births.csv --time Date --target Births --horizon 7 --origins 30 --season 7 "
        "--threads 1",
        "rmse", (6.0, 8.0), "e4b8eb00",
    ),
    Recipe("ett-24", f"{ETT} 24", "mse", (0.33, 0.45), "3ac7455b"),
    Recipe("ett-48", f"{ETT} 48", "mse", (0.38, 0.52), "3ac7455b"),
    Recipe("ett-168", f"{ETT} 168", "mse", (0.48, 0.65), "3ac7455b"),
    Recipe(
        "m4-hourly",
        "train forecast {work}/m4-hourly.csv --id series --target value --horizon 48 --season 24 --lookback 168 "
        "--batch-size 256 --epochs 2 --lr 2e-3 --threads 1",
        "mase", (0.85, 1.1), "d59248e0", convert.m4_hourly,
    ),
)  # fmt: skip


def main() -> int:
    """Run the recipes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show the commands and end")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"), help="where the run folders go")
    given = parser.parse_args()
    if given.list:
        for recipe in RECIPES:
            print(f"{recipe.name}: seriatim {recipe.command}")
        return 0
    known = {recipe.name: recipe for recipe in RECIPES}
    unknown = [name for name in given.names if name not in known]
    if given.data is None or unknown:
        parser.error(f"no recipe {unknown[0]!r} (known: {', '.join(known)})" if unknown else "DATA is wanted")
    good = [reproduce(known[name], given.data, given.out) for name in given.names or known]
    return 0 if all(good) else 1


def reproduce(recipe: Recipe, data: Path, out: Path) -> bool:
    """Run one recipe; print its scores as a row of a table; tell whether hash and score are as expected."""
    work = out / "data"
    work.mkdir(parents=True, exist_ok=True)
    recipe.prepare(data, work)
    command = shlex.split(recipe.command.format(data=data, work=work))
    folder = out / recipe.name
    done = subprocess.run(
        ["seriatim", *command, "--out", str(folder), "--resume", "--json"], stdout=subprocess.PIPE, check=True
    )
    result = json.loads(done.stdout)
    score = result["scores"][recipe.score]
    baselines = {name: scores[recipe.score] for name, scores in result["baselines"].items() if recipe.score in scores}
    beside = ", ".join(f"{name} {value:.4g}" for name, value in baselines.items())
    low, high = recipe.band
    same_data = result["data"]["hash"].removeprefix("sha256:").startswith(recipe.hash)
    within = low <= score <= high
    print(
        f"| {recipe.name} | {recipe.score} **{score:.4g}** | {beside} | {result['parameters']:,} "
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
