"""Tiny data of each task, from which models are trained and exported in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

_random = np.random.default_rng(0)

TEXTS = (["the sun is warm today", "the sea is cold now", "a b c"] * 12, ["warm", "cold", "x"] * 12)
ARRAYS = [_random.normal(size=(int(length), 2)) * 3 + 5 for length in _random.integers(3, 9, 40)]
CLASSES = (ARRAYS, ["a", "b"] * 20)
NUMBERS = (ARRAYS, (_random.normal(size=40) * 7 + 100).tolist())
SERIES = [np.cumsum(_random.normal(size=90)) * 5 + 100, np.sin(np.arange(90.0))]
CHANNELS = [_random.normal(size=(90, 2))]
GAPS = [np.where(_random.random(120) < 0.1, np.nan, np.cumsum(_random.normal(size=120)))]
SENTENCES = [(["The", "cat", "sat"], ["D", "N", "V"]), (["A", "dog", "ran", "fast"], ["D", "N", "V", "A"])] * 15

NOUNS = ("sun", "sea", "cat", "dog", "tree")
PAIRS = [
    (f"the {first} and {second} are {third}", f"{second} et {first} {third}")
    for first in NOUNS for second in NOUNS for third in NOUNS[:3]
]  # fmt: skip
CAPTIONS = [f"a {NOUNS[index % 5]} on {NOUNS[index % 3]}" for index in range(40)]
PICTURES = ([_random.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(40)], CAPTIONS)
FEATURES = ([_random.normal(size=(4, 6)).astype(np.float32) for _ in range(40)], CAPTIONS)

CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "classify-max": ("classify", TEXTS, {"model": "lstm", "hidden": 8, "pool": "max", "subwords": False}),
    "classify-mean": ("classify", TEXTS, {"model": "lstm", "hidden": 8, "pool": "mean", "unit": "char"}),
    "classify-both": (
        "classify",
        TEXTS,
        {"model": "gru", "hidden": 8, "bidirectional": True, "pool": "last", "subwords": False},
    ),
    "classify-transformer": ("classify", TEXTS, {"model": "transformer", "hidden": 16}),
    "classify-sinusoidal": ("classify", TEXTS, {"model": "transformer", "hidden": 16, "positions": "sinusoidal"}),
    "classify-cnn": ("classify", TEXTS, {"model": "cnn", "hidden": 8, "layers": 2}),
    "classify-bag": ("classify", TEXTS, {"model": "bag"}),
    "classify-majority": ("classify", TEXTS, {"model": "majority"}),
    "classify-tfidf": ("classify", TEXTS, {"model": "tfidf"}),
    "classify-nearest": ("classify", CLASSES, {"model": "nearest"}),
    "classify-rocket": ("classify", CLASSES, {"model": "rocket"}),
    "regress-tfidf": ("regress", (TEXTS[0], [float(number % 7) for number in range(36)]), {"model": "tfidf"}),
    "regress-stats": ("regress", NUMBERS, {"model": "stats"}),
    "regress-rocket": ("regress", NUMBERS, {"model": "rocket"}),
    "tag-perceptron": ("tag", SENTENCES, {"model": "perceptron"}),
    "classify-numbers": ("classify", CLASSES, {"model": "gru", "hidden": 8, "layers": 2}),
    "classify-convolution": ("classify", CLASSES, {"model": "mingru", "hidden": 8, "convolution": 3}),
    "classify-convolution-both": (
        "classify",
        TEXTS,
        {"model": "minlstm", "hidden": 8, "convolution": 4, "bidirectional": True},
    ),
    "classify-norm": ("classify", TEXTS, {"model": "lstm", "hidden": 8, "layer_norm": True, "pool": "mean"}),
    "classify-norm-both": (
        "classify",
        CLASSES,
        {"model": "gru", "hidden": 8, "layer_norm": True, "projection": 5, "zoneout": 0.1, "bidirectional": True},
    ),
    "classify-mlp": ("classify", CLASSES, {"model": "mlp", "hidden": 8}),
    "classify-fcn": ("classify", CLASSES, {"model": "lstm_fcn", "hidden": 8, "bidirectional": True}),
    "regress-fcn": ("regress", NUMBERS, {"model": "lstm_fcn", "hidden": 8, "pool": "mean"}),
    "regress": ("regress", NUMBERS, {"model": "lstm", "hidden": 8}),
    "regress-bag": ("regress", NUMBERS, {"model": "bag"}),
    "regress-mean": ("regress", NUMBERS, {"model": "mean"}),
    "forecast": ("forecast", SERIES, {"model": "lstm", "hidden": 8, "horizon": 4}),
    "forecast-recursive": ("forecast", CHANNELS, {"model": "gru", "hidden": 8, "horizon": 3, "strategy": "recursive"}),
    "forecast-transformer": ("forecast", SERIES, {"model": "transformer", "hidden": 16, "horizon": 3}),
    "forecast-cnn": ("forecast", CHANNELS, {"model": "cnn", "hidden": 8, "layers": 2, "horizon": 3}),
    "forecast-mlp": ("forecast", SERIES, {"model": "mlp", "hidden": 8, "horizon": 3, "normalize": "none"}),
    "forecast-mask": ("forecast", GAPS, {"model": "lstm", "hidden": 8, "horizon": 3, "missing": "mask"}),
    "forecast-interpolate": ("forecast", GAPS, {"model": "rnn", "hidden": 8, "horizon": 3, "missing": "interpolate"}),
    "forecast-start": (
        "forecast",
        [np.sin(np.arange(90.0) * 0.9) * 5 + 100, np.sin(np.arange(90.0))],
        {"model": "gru", "hidden": 8, "horizon": 4, "lookback": 6, "start": "ar"},
    ),
    "forecast-segment": (
        "forecast",
        CHANNELS,
        {"model": "lstm", "hidden": 8, "layers": 2, "horizon": 5, "lookback": 11, "segment": 4},
    ),
    "forecast-segment-blocks": (
        "forecast",
        GAPS,
        {
            "model": "mingru",
            "hidden": 8,
            "horizon": 3,
            "lookback": 8,
            "segment": 3,
            "convolution": 4,
            "missing": "mask",
        },
    ),
    "forecast-norm": ("forecast", SERIES, {"model": "lstm", "hidden": 8, "horizon": 4, "layer_norm": True}),
    "forecast-naive": ("forecast", SERIES, {"model": "naive", "horizon": 3}),
    "forecast-seasonal": ("forecast", SERIES, {"model": "seasonal_naive", "horizon": 3, "season": 4}),
    "forecast-drift": ("forecast", SERIES, {"model": "drift", "horizon": 3}),
    "forecast-ar": ("forecast", SERIES, {"model": "ar", "horizon": 3}),
    "forecast-theta": ("forecast", SERIES, {"model": "theta", "horizon": 3}),
    "forecast-ets": ("forecast", SERIES, {"model": "ets", "horizon": 3}),
    "tag": ("tag", SENTENCES, {"model": "lstm", "hidden": 8, "bidirectional": True}),
    "tag-crf": ("tag", SENTENCES, {"model": "lstm", "hidden": 8, "crf": True, "characters": "cnn"}),
    "tag-forward": ("tag", SENTENCES, {"model": "gru", "hidden": 8, "bidirectional": False, "characters": "none"}),
    "tag-norm": ("tag", SENTENCES, {"model": "rnn", "hidden": 8, "layer_norm": True, "bidirectional": True}),
    "tag-transformer": ("tag", SENTENCES, {"model": "transformer", "hidden": 16}),
    "tag-subwords": (
        "tag",
        SENTENCES,
        {"model": "gru", "hidden": 8, "bidirectional": False, "subwords": True, "subword_buckets": 40},
    ),
    "classify-subwords": (
        "classify",
        TEXTS,
        {"model": "lstm", "hidden": 8, "subwords": True, "subword_buckets": 40, "vocab_size": 5},
    ),
    "regress-subwords": (
        "regress",
        (TEXTS[0], [float(number % 7) for number in range(36)]),
        {"model": "gru", "hidden": 8, "subwords": True, "subword_buckets": 40, "pool": "mean"},
    ),
    "translate": ("translate", PAIRS, {"model": "lstm", "hidden": 16, "bidirectional": True, "layers": 2}),
    "translate-additive": ("translate", PAIRS, {"model": "gru", "hidden": 16, "attention": "additive", "unit": "char"}),
    "translate-concat": (
        "translate",
        PAIRS,
        {"model": "rnn", "hidden": 16, "attention": "concat", "peeky": True, "reverse": True},
    ),
    "translate-dot": (
        "translate",
        PAIRS,
        {
            "model": "lstm",
            "hidden": 16,
            "attention": "dot",
            "tie": True,
            "layers": 2,
            "residual": "highway",
            "n_best": 2,
        },
    ),
    "translate-none": ("translate", PAIRS, {"model": "lru", "hidden": 16, "attention": "none"}),
    "translate-blocks": ("translate", PAIRS, {"model": "minlstm", "hidden": 16, "layers": 2}),
    "translate-projection": ("translate", PAIRS, {"model": "lstm", "hidden": 16, "layers": 2, "projection": 6}),
    "translate-slstm": ("translate", PAIRS, {"model": "slstm", "hidden": 16, "attention": "dot"}),
    "translate-transformer": ("translate", PAIRS, {"model": "transformer", "hidden": 16}),
    "translate-sinusoidal": (
        "translate",
        PAIRS,
        {"model": "transformer", "hidden": 16, "positions": "sinusoidal", "tie": True, "embedding": 8},
    ),
    "translate-copy": ("translate", PAIRS, {"model": "copy"}),
    "caption": ("caption", PICTURES, {"model": "lstm", "hidden": 16, "image_size": 8, "filters": 4}),
    "caption-peeky": (
        "caption",
        PICTURES,
        {"model": "gru", "hidden": 16, "image_size": 8, "filters": 4, "attention": "none", "peeky": True},
    ),
    "caption-features": ("caption", FEATURES, {"model": "gru", "hidden": 16, "features": "x"}),
    "caption-common": ("caption", PICTURES, {"model": "most_common", "image_size": 8}),
    "caption-nearest": ("caption", FEATURES, {"model": "nearest_image", "features": "x"}),
    "tag-naive": ("tag", SENTENCES, {"model": "most_frequent_tag"}),
}
"""Task, data and options by a short name."""

NAIVE = (
    "majority", "mean", "naive", "seasonal_naive", "drift", "ar", "theta", "ets", "most_frequent_tag", "copy",
    "most_common", "nearest_image", "tfidf", "nearest", "rocket", "stats", "perceptron",
)  # fmt: skip
