"""The recipes: one ``seriatim train`` command each, with the expected score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import convert


@dataclass(frozen=True)
class Recipe:
    """One command with the band of its score."""

    name: str
    command: str
    """Arguments of ``seriatim``. {data} is the folder of the data sets, {work} the folder of converted files."""
    score: str
    band: tuple[float, float]
    hash: str
    """First eight characters of the data's hash."""
    prepare: Callable[[Path, Path], None] = lambda data, work: None


SHAKESPEARE = (
    "--hidden 512 --no-layer-norm --dropout 0.3 --truncation 50 --epochs 11 --schedule linear --lr 2e-3 --threads 1"
)
NSMC = "{data}/nsmc/train.tsv --valid {data}/nsmc/valid.tsv --test {data}/nsmc/test.tsv --text document --label label"
VOWELS = "{data}/japanese_vowels/JapaneseVowels"
SST2 = (
    "train classify {work}/sst2-train.tsv --valid {work}/sst2-valid.tsv --test {work}/sst2-test.tsv --text text "
    "--label label --threads 1"
)
ETT = (
    "train forecast {data}/ett/ETTh1.csv --time date --target HUFL,HULL,MUFL,MULL,LUFL,LULL,OT --split 8640,2880,2880 "
    "--season 24 --hidden 64 --dropout 0.3 --patience 3 --threads 1 --horizon"
)
EWT = "{data}/ud_english_ewt/en_ewt-ud"
SERIES = "train forecast {data}/univariate"
NETWORKS = (
    *(
        Recipe(
            f"shakespeare-{model}",
            f"train language {{data}}/shakespeare/input.txt --model {model} --hidden {hidden} --epochs 1 "
            "--no-layer-norm --lr 2e-3 --schedule linear --batch-size 16 --truncation 50 --baselines none --threads 1",
            "perplexity", band, "c64f0728",
        )
        for model, hidden, band in (
            ("lstm", 256, (7.0, 7.4)), ("transformer", 128, (6.8, 7.2)), ("cnn", 128, (6.8, 7.2)),
        )
    ),
    *(
        Recipe(
            f"sms-spam-{model}",
            f"train classify sms_spam --model {model} --epochs 4 --schedule linear --baselines none --threads 1",
            "macro_f1", band, "c349c07b",
        )
        for model, band in {
            "lstm": (0.93, 0.98), "transformer": (0.93, 0.97), "cnn": (0.91, 0.96), "mlp": (0.92, 0.96),
        }.items()
    ),
    *(
        Recipe(
            f"japanese-vowels-{model}",
            f"train classify {VOWELS}_TRAIN.ts --test {VOWELS}_TEST.ts --model {model} --hidden 64 --epochs {epochs} "
            "--baselines none --threads 1",
            "accuracy", (0.95, 1.0), "2d971cd6",
        )
        for model, epochs in {"transformer": 30, "cnn": 30, "mlp": 200}.items()
    ),
    *(
        Recipe(
            f"sst2-{model}",
            f"{SST2} --model {model} --dropout 0.5 --epochs 4 --schedule linear --baselines none",
            "accuracy", band, "15cd8f5d", convert.sst2,
        )
        for model, band in {
            "lstm": (0.79, 0.84), "transformer": (0.74, 0.80), "cnn": (0.77, 0.82), "mlp": (0.76, 0.80),
        }.items()
    ),
    *(
        Recipe(
            f"ett-24-{model}",
            f"{ETT} 24 --lookback 96 --model {model} --epochs 2 --schedule linear --baselines none",
            "mse", band, "3ac7455b",
        )
        for model, band in {
            "lstm": (0.37, 0.44), "transformer": (0.37, 0.44), "cnn": (0.35, 0.40), "mlp": (0.35, 0.40),
        }.items()
    ),
)  # fmt: skip
"""The same tasks with other networks."""
ADDITION = (
    "train translate {work}/addition-train.tsv --test {work}/addition-test.tsv --unit char --hidden 128 --embedding 16 "
    "--batch-size 128 --lr 1e-3 --clip 5 --schedule constant --epochs 25 --attention none --beam-size 1 --threads 1"
)
PUBLISHED = (
    f"{ADDITION} --valid {{work}}/addition-known.tsv --embedding-start 0.01 --output-start 0.0884 "
    "--recurrent-init normal --forget-bias 0"
)
"""The published setting: training on all 45,000 sums, and the published initial weights."""

MULTI30K = (
    "train translate --source-file {data}/multi30k/train.de.gz --target-file {data}/multi30k/train.en.gz "
    "--valid {data}/multi30k/val.de.gz,{data}/multi30k/val.en.gz "
    "--test {data}/multi30k/test_2016_flickr.de.gz,{data}/multi30k/test_2016_flickr.en.gz --unit bpe --vocab-size 4000 "
    "--lowercase --hidden 256 --embedding 256 --dropout 0.3 --batch-size 64 --schedule linear --epochs 12 --tie "
    "--threads 1"
)

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
        f"{SST2} --bidirectional --dropout 0.5",
        "accuracy", (0.79, 0.84), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "sst2-small",
        f"{SST2} --hidden 64 --dropout 0.5 --epochs 4 --baselines none",
        "accuracy", (0.79, 0.83), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "sst2-cbow",
        f"{SST2} --hidden 64 --dropout 0.5 --epochs 4 --baselines none --vectors cbow",
        "accuracy", (0.78, 0.83), "15cd8f5d", convert.sst2,
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
    Recipe("ett-24", f"{ETT} 24 --lookback 168 --schedule plateau", "mse", (0.33, 0.45), "3ac7455b"),
    Recipe("ett-48", f"{ETT} 48 --lookback 168 --schedule plateau", "mse", (0.38, 0.52), "3ac7455b"),
    Recipe("ett-168", f"{ETT} 168 --lookback 168 --schedule plateau", "mse", (0.48, 0.65), "3ac7455b"),
    Recipe(
        "m4-hourly",
        "train forecast {work}/m4-hourly.csv --id series --target value --horizon 48 --season 24 --lookback 168 "
        "--batch-size 256 --epochs 2 --lr 2e-3 --threads 1",
        "mase", (0.85, 1.1), "d59248e0", convert.m4_hourly,
    ),
    *NETWORKS,
    Recipe(
        "ud-english-ewt",
        f"train tag {EWT}-train.conllu.gz --valid {EWT}-dev.conllu.gz --test {EWT}-test.conllu.gz --epochs 6 "
        "--schedule linear --threads 1",
        "accuracy", (0.945, 0.955), "59ae406e",
    ),
    Recipe("ewt-third", "train tag ewt_third --threads 1", "accuracy", (0.94, 0.96), "0751254a"),
    Recipe(
        "conll-2003",
        "train tag {work}/conll-train.conll --valid {work}/conll-valid.conll --test {work}/conll-test.conll "
        "--epochs 2 --schedule linear --threads 1",
        "entity_f1", (0.74, 0.82), "b957de97", convert.conll_2003,
    ),
    Recipe(
        "fsdd",
        "train classify {work}/fsdd-train.csv --test {work}/fsdd-test.csv --sound recording --label digit "
        "--bidirectional --epochs 12 --schedule linear --lr 2e-3 --threads 1",
        "accuracy", (0.97, 1.0), "1b27523e", convert.fsdd,
    ),
    Recipe(
        "cmapss-fd001",
        "train regress {work}/cmapss-train.csv --test {work}/cmapss-test.csv --channels "
        "s2,s3,s4,s7,s8,s9,s11,s12,s13,s14,s15,s17,s20,s21 --id engine --time cycle --target left --every-step "
        "--target-cap 125 --lookback 50 --hidden 32 --dropout 0.4 --batch-size 128 --epochs 8 --schedule linear "
        "--lr 3e-3 --threads 1",
        "rmse", (13.0, 16.0), "842ee0a5", convert.cmapss,
    ),
    Recipe(
        "adding",
        "train regress adding --epochs 30 --schedule linear --lr 5e-3 --threads 1",
        "rmse", (0.0, 0.05), "ae47b976",
    ),
    Recipe(
        "jsb-chorales",
        "train language jsb_chorales --hidden 256 --dropout 0.5 --batch-size 4 --lr 3e-3 --epochs 60 --schedule linear "
        "--threads 1",
        "nll", (8.25, 8.45), "f056055f",
    ),
    Recipe(
        "nottingham",
        "train language {data}/poly_music/Nottingham.mat --unit roll --hidden 320 --dropout 0.4 --batch-size 4 "
        "--lr 3e-3 --epochs 50 --schedule linear --threads 1",
        "nll", (3.24, 3.34), "ddbc81ee",
    ),
    Recipe("addition", ADDITION, "exact_match", (0.05, 0.2), "28f87f63", convert.addition_date),
    Recipe(
        "addition-reverse", f"{PUBLISHED} --reverse", "exact_match", (0.4, 0.62), "4e00e8a2", convert.addition_date,
    ),
    Recipe(
        "addition-reverse-own", f"{ADDITION} --reverse", "exact_match", (0.35, 0.5), "28f87f63", convert.addition_date,
    ),
    Recipe(
        "addition-reverse-peeky", f"{ADDITION} --reverse --peeky", "exact_match", (0.97, 1.0), "28f87f63",
        convert.addition_date,
    ),
    Recipe(
        "multi30k", f"{MULTI30K} --bidirectional --attention general --lr 2e-3", "bleu", (36.0, 39.0), "4a38b6ae",
    ),
    Recipe(
        "multi30k-none", f"{MULTI30K} --bidirectional --attention none --lr 2e-3", "bleu", (18.0, 21.5), "4a38b6ae",
    ),
    Recipe(
        "multi30k-transformer", f"{MULTI30K} --model transformer --lr 1e-3", "bleu", (35.0, 38.0), "4a38b6ae",
    ),
    Recipe(
        "tatoeba",
        "train translate {work}/tatoeba.tsv --drop-duplicates --unit bpe --vocab-size 500 --hidden 128 --bidirectional "
        "--dropout 0.3 --tie --batch-size 32 --lr 3e-3 --schedule linear --epochs 40 --threads 1",
        "chrf", (17.5, 21.5), "e9de75e8", convert.tatoeba,
    ),
    Recipe(
        "dates",
        "train translate {work}/date-train.tsv --test {work}/date-test.tsv --unit char --hidden 256 --embedding 16 "
        "--batch-size 128 --lr 1e-3 --clip 5 --schedule constant --epochs 3 --beam-size 1 --threads 1",
        "exact_match", (0.995, 1.0), "12df91a7", convert.addition_date,
    ),
    Recipe(
        "scenes",
        "train caption scenes --threads 1",
        "chrf", (91.0, 98.0), "c46d17c2",
    ),
    Recipe(
        "scenes-combination",
        "train caption scenes --group combination --threads 1",
        "chrf", (81.0, 89.0), "c46d17c2",
    ),
    Recipe(
        "flickr8k",
        "train caption {work}/flickr8k-train.tsv --valid {work}/flickr8k-valid.tsv --test {work}/flickr8k-test.tsv "
        "--image image --text caption --lowercase --vocab-size 3000 --filters 16 --peeky --batch-size 128 --lr 2e-3 "
        "--dropout 0.2 --schedule constant --epochs 1 --threads 1",
        "bleu", (6.5, 10.0), "226a77e8", convert.flickr8k,
    ),
)  # fmt: skip
