"""Recipes of the same tasks with other networks."""

from __future__ import annotations

import convert
from recipe import Recipe
from sources import ETT, SST2, VOWELS

NETWORKS = (
    *(
        Recipe(
            f"shakespeare-{model}",
            f"train language {{data}}/shakespeare/input.txt --model {model} --hidden {hidden} --epochs 1 "
            "--no-layer-norm --lr 2e-3 --schedule linear --batch-size 16 --truncation 50 --baselines none --threads 1",
            "perplexity", band, "c64f0728",
        )
        for model, hidden, band in (
            ("lstm", 256, (7.0, 7.4)), ("transformer", 128, (6.5, 6.8)), ("cnn", 128, (6.8, 7.2)),
        )
    ),
    *(
        Recipe(
            f"sms-spam-{model}",
            f"train classify sms_spam --model {model} --epochs 4 --schedule linear --lr 1e-3 --dropout 0.3 "
            "--no-subwords --baselines none --threads 1",
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
            "--schedule plateau --lr 1e-3 --dropout 0.3 --baselines none --threads 1",
            "accuracy", (0.92, 1.0), "2d971cd6",
        )
        for model, epochs in {"lstm": 30, "transformer": 30, "cnn": 30, "mlp": 200}.items()
    ),
    *(
        Recipe(
            f"sst2-{model}",
            f"{SST2} --model {model} --dropout 0.5 --epochs 4 --schedule linear --lr 1e-3 --no-subwords "
            "--baselines none",
            "accuracy", band, "15cd8f5d", convert.sst2,
        )
        for model, band in {
            "lstm": (0.79, 0.84), "transformer": (0.74, 0.80), "cnn": (0.77, 0.82), "mlp": (0.76, 0.80),
        }.items()
    ),
    *(
        Recipe(
            f"ett-24-{model}",
            f"{ETT} 24 --lookback 96 --hidden 64 --dropout 0.3 --model {model} --epochs 2 --schedule linear "
            "--start seasonal_naive --baselines none",
            "mse", band, "3ac7455b",
        )
        for model, band in {
            "lstm": (0.37, 0.44), "transformer": (0.37, 0.44), "cnn": (0.35, 0.40), "mlp": (0.35, 0.40),
        }.items()
    ),
)  # fmt: skip
