"""The recipes: one ``seriatim train`` command each, with the expected score."""

from __future__ import annotations

import convert
from networks import NETWORKS
from published import PUBLISHED
from recipe import Recipe
from sources import ETT, EWT, NSMC, SERIES, SST2, VOWELS

SHAKESPEARE = "--hidden 512 --dropout 0.4 --epochs 10 --threads 1"
ADDITION = (
    "train translate {work}/addition-train.tsv --test {work}/addition-test.tsv --unit char --hidden 128 --embedding 16 "
    "--dropout 0 --batch-size 128 --lr 1e-3 --clip 5 --schedule constant --epochs 25 --attention none --beam-size 1 "
    "--threads 1"
)
ADDITION_AS_PUBLISHED = (
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
        "perplexity", (4.9, 5.2), "c64f0728",
    ),
    Recipe(
        "shakespeare-90",
        "train language {work}/shakespeare-train.txt --valid {work}/shakespeare-test.txt "
        f"--test {{work}}/shakespeare-test.txt {SHAKESPEARE}",
        "perplexity", (4.0, 4.3), "6a25df28", convert.shakespeare,
    ),
    Recipe(
        "sms-spam",
        "train classify sms_spam --threads 1",
        "macro_f1", (0.95, 1.0), "c349c07b",
    ),
    Recipe(
        "sst2",
        SST2,
        "accuracy", (0.81, 0.84), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "sst2-small",
        f"{SST2} --hidden 64 --dropout 0.5 --epochs 4 --lr 1e-3 --schedule plateau --no-subwords --baselines none",
        "accuracy", (0.79, 0.83), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "sst2-cbow",
        f"{SST2} --hidden 64 --dropout 0.5 --epochs 4 --lr 1e-3 --schedule plateau --baselines none --vectors cbow",
        "accuracy", (0.78, 0.83), "15cd8f5d", convert.sst2,
    ),
    Recipe(
        "nsmc",
        f"train classify {NSMC} --bidirectional --word-dropout 0.1 --threads 1",
        "accuracy", (0.815, 0.845), "e20e9c25",
    ),
    Recipe(
        "japanese-vowels",
        f"train classify {VOWELS}_TRAIN.ts --test {VOWELS}_TEST.ts --bidirectional --threads 1",
        "accuracy", (0.96, 1.0), "2d971cd6",
    ),
    *(
        Recipe(
            name,
            f"train classify {{data}}/aeon/{folder}/{folder}_TRAIN.ts --test {{data}}/aeon/{folder}/{folder}_TEST.ts "
            "--batch-size 8 --threads 1",
            "accuracy", band, data_hash,
        )
        for name, folder, band, data_hash in (
            ("gun-point", "GunPoint", (0.96, 1.0), "a2e8bf32"), ("arrow-head", "ArrowHead", (0.76, 1.0), "ee44a0b5"),
            ("basic-motions", "BasicMotions", (0.93, 1.0), "f82484b9"),
        )
    ),
    Recipe(
        "airline",
        f"{SERIES}/airline-passengers.csv --time Month --target Passengers --horizon 1 --origins 48 --season 12 "
        "--threads 1",
        "rmse", (12.5, 15.0), "26571c12",
    ),
    Recipe(
        "monthly-sunspots",
        f"{SERIES}/monthly-sunspots.csv --time Month --target Sunspots --horizon 132 --season 132 --lookback 396 "
        "--threads 1",
        "rmse", (30.0, 38.0), "9ec5de66",
    ),
    Recipe(
        "min-temperatures",
        f"{SERIES}/daily-min-temperatures.csv --time Date --target Temp --horizon 7 --origins 365 --threads 1",
        "rmse", (2.6, 2.8), "2b1e45cf",
    ),
    Recipe(
        "births",
        f"{SERIES}/daily-total-female-births.csv --time Date --target Births --horizon 7 --origins 30 --season 7 "
        "--threads 1",
        "rmse", (6.2, 6.6), "e4b8eb00",
    ),
    Recipe("ett-24", f"{ETT} 24 --lookback 720 --segment 24 --lr 3e-4", "mse", (0.295, 0.315), "3ac7455b"),
    Recipe("ett-48", f"{ETT} 48 --lookback 720 --segment 24 --lr 3e-4", "mse", (0.335, 0.36), "3ac7455b"),
    Recipe("ett-168", f"{ETT} 168 --lookback 720 --segment 24 --lr 3e-4", "mse", (0.43, 0.47), "3ac7455b"),
    Recipe(
        "m4-hourly",
        "train forecast {work}/m4-hourly.csv --id series --target value --horizon 48 --season 24 --lookback 168 "
        "--segment 24 --batch-size 256 --epochs 3 --lr 2e-3 --threads 1",
        "mase", (0.83, 0.90), "d59248e0", convert.m4_hourly,
    ),
    *NETWORKS,
    *PUBLISHED,
    Recipe(
        "ud-english-ewt",
        f"train tag {EWT}-train.conllu.gz --valid {EWT}-dev.conllu.gz --test {EWT}-test.conllu.gz "
        "--threads 1",
        "accuracy", (0.95, 0.958), "59ae406e",
    ),
    Recipe("ewt-third", "train tag ewt_third --threads 1", "accuracy", (0.94, 0.96), "0751254a"),
    Recipe(
        "conll-2003",
        "train tag {work}/conll-train.conll --valid {work}/conll-valid.conll --test {work}/conll-test.conll "
        "--crf --threads 1",
        "entity_f1", (0.80, 0.84), "b957de97", convert.conll_2003,
    ),
    Recipe(
        "fsdd",
        "train classify {work}/fsdd-train.csv --test {work}/fsdd-test.csv --sound recording --label digit "
        "--bidirectional --epochs 12 --schedule linear --lr 2e-3 --dropout 0.3 --threads 1",
        "accuracy", (0.97, 1.0), "1b27523e", convert.fsdd,
    ),
    *(
        Recipe(
            f"fsdd-without-{speaker}",
            f"train classify {{work}}/fsdd-without-{speaker}-train.csv --test {{work}}/fsdd-without-{speaker}-test.csv "
            "--sound recording --label digit --normalize speech --augment --mels 20 --bidirectional --epochs 15 "
            "--threads 1",
            "accuracy", (0.55, 0.85), data_hash, convert.fsdd_speakers,
        )
        for speaker, data_hash in {
            "george": "41b555ee", "jackson": "01e36eda", "lucas": "df163666", "nicolas": "5d134b19",
        }.items()
    ),
    Recipe(
        "cmapss-fd001",
        "train regress {work}/cmapss-train.csv --test {work}/cmapss-test.csv --channels "
        "s2,s3,s4,s7,s8,s9,s11,s12,s13,s14,s15,s17,s20,s21 --id engine --time cycle --target left --every-step "
        "--target-cap 125 --lookback 50 --hidden 64 --layers 2 --dropout 0.4 --batch-size 128 --epochs 8 "
        "--schedule cosine --lr 2e-3 --threads 1",
        "rmse", (13.0, 15.0), "842ee0a5", convert.cmapss,
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
        "addition-reverse", f"{ADDITION_AS_PUBLISHED} --reverse", "exact_match", (0.4, 0.62), "4e00e8a2",
        convert.addition_date,
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
        "--dropout 0 --batch-size 128 --lr 1e-3 --clip 5 --schedule constant --epochs 3 --beam-size 1 --threads 1",
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
