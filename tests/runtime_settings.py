"""Settings of the tiny language models that are exported in tests."""

from __future__ import annotations

from typing import Any

TEXT = ["To be, or not to be, that is the question: whether tis nobler in the mind to suffer. " * 12]
SETTINGS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "hidden": 16, "layers": 2},
    "highway": {"model": "gru", "hidden": 12, "layers": 2, "residual": "highway", "tie": True},
    "zoneout": {"model": "lstm", "hidden": 12, "zoneout": 0.1, "projection": 6, "peephole": True},
    # one layer: with two, 1,100 equal characters multiply a relative change of the weights of 1e-7 to 1e-4 of the score
    "layer-norm": {"model": "rnn", "hidden": 12, "layers": 1, "layer_norm": True, "activation": "relu"},
    "mingru": {"model": "mingru", "hidden": 12, "residual": "none"},
    "blocks": {"model": "minlstm", "hidden": 12, "layers": 2, "embedding": 8, "residual": "block"},
    "convolution": {"model": "mingru", "hidden": 12, "layers": 2, "residual": "block", "convolution": 4},
    "lstm-blocks": {"model": "lstm", "hidden": 12, "residual": "block"},
    "lru": {"model": "lru", "hidden": 12},
    "slstm": {"model": "slstm", "hidden": 12},
    "transformer": {"model": "transformer", "hidden": 16, "span": 8},
    "cnn": {"model": "cnn", "hidden": 12, "layers": 2},
    "cbow": {"model": "cbow", "embedding": 12},
    "window": {"model": "window", "embedding": 12, "hidden": 12},
    "markov": {"model": "markov"},
    "unigram": {"model": "unigram"},
    "word": {"model": "lstm", "hidden": 12, "unit": "word"},
    "bpe": {"model": "gru", "hidden": 12, "unit": "bpe", "vocab_size": 270},
}
"""Language models by a short name."""
