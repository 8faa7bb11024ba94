"""The recipes: one ``seriatim train`` command each, and what is expected of it."""

from __future__ import annotations

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
