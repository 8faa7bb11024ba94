"""Signals of a validation equal what really happened in the last update; they change nothing and come back after a
resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import seriatim
from seriatim.learning.observer import Silent
from seriatim.learning.optimization import make_optimizer
from seriatim.learning.options import LearningOptions
from seriatim.learning.signals import Signals, layer_name
from seriatim.models.body import Body
from seriatim.models.language import RecurrentLanguageModel
from seriatim.models.options import ModelOptions
from seriatim.nn.saturation import ACTIVATIONS, saturated

LAYERS = {"embedding", "stack.layers.0", "stack.layers.1", "output"}


def model(kind: str = "lstm", **options: object) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    return RecurrentLanguageModel(ModelOptions(model=kind, hidden=8, layers=2, **options), 6, tie=False)


def group(network: torch.nn.Module, layer: str) -> torch.Tensor:
    return torch.cat(
        [value.detach().flatten() for name, value in network.named_parameters() if layer_name(name) == layer]
    )


@pytest.mark.parametrize(
    ("optimizer", "decay"), [("adam", 0.0), ("adam", 0.1), ("adamw", 0.1), ("sgd", 0.0), ("sgd", 0.1)]
)
def test_update_ratio_is_the_change_of_the_weights(optimizer: str, decay: float) -> None:
    network = model()
    options = LearningOptions(optimizer=optimizer, lr=1e-2, weight_decay=decay)
    rule = make_optimizer(network.parameters(), options)
    signals = Signals(network, rule)
    for _ in range(3):
        rule.zero_grad()
        outputs, _ = network(torch.randint(0, 6, (9, 4)), ())
        outputs.square().mean().backward()
        before = {layer: group(network, layer) for layer in LAYERS}
        rule.step()
    row = signals.row(1.0)
    for layer in LAYERS:
        after = group(network, layer)
        expected = float((after - before[layer]).norm() / after.norm())
        # AdamW and SGD decay the weights of before the update, the signal those after it: 1 % of 0.1 here.
        assert row[f"update_ratio/{layer}"] == pytest.approx(expected, rel=0.01)


def test_gradient_norms_are_those_before_clipping() -> None:
    network = model()
    rule = make_optimizer(network.parameters(), LearningOptions())
    outputs, _ = network(torch.randint(0, 6, (9, 4)), ())
    outputs.square().sum().backward()
    gradients = {layer_name(name): [] for name, _ in network.named_parameters()}
    for name, value in network.named_parameters():
        gradients[layer_name(name)].append(value.grad.flatten())
    expected = {layer: float(torch.cat(parts).norm()) for layer, parts in gradients.items()}
    whole = float(torch.nn.utils.clip_grad_norm_(network.parameters(), 1e-3))
    row = Signals(network, rule).row(whole)
    assert {layer: row[f"gradient_norm/{layer}"] for layer in expected} == pytest.approx(expected, rel=1e-4)
    assert set(expected) == LAYERS


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "lru"])
def test_saturated_share_is_that_of_the_layers(kind: str) -> None:
    network = model(kind).eval()
    with torch.no_grad():
        for value in network.stack.parameters():
            value.mul_(8.0)
    signals = Signals(network, make_optimizer(network.parameters(), LearningOptions()))
    units = torch.randint(0, 6, (100, 20))
    with torch.no_grad(), signals.reading():
        network(units, ())
        network(torch.zeros_like(units), ())
    row = {name: share for name, share in signals.row(1.0).items() if name.startswith("saturated/")}
    if kind == "lru":
        assert not row
        return
    body = next(module for module in network.modules() if isinstance(module, Body))
    states = body.layers(network.embeddings(units[:64, :8]), return_states="all")[2]
    gates = {"rnn": {"h": "tanh"}}.get(kind) or {k: v for k, v in ACTIVATIONS[kind].items() if k not in "fz"}
    for layer in (0, 1):
        expected = max(float(saturated(states[gate][layer], name).mean()) for gate, name in gates.items())
        assert row[f"saturated/stack.layers.{layer}"] == pytest.approx(expected, abs=1e-6)
        assert expected > 0.05


def test_signals_are_in_the_rows_and_resumed_rows_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("".join(np.random.default_rng(0).choice(list("abcd "), 6000)), encoding="utf-8")
    options = {"model": "gru", "hidden": 8, "truncation": (10,), "batch_size": 4, "quiet": True, "threads": 1}
    options |= {"baselines": "none", "checkpoint_every": 7}

    class Stop(Silent):
        def step(self, step: int, *others: object) -> None:
            if step == 130:
                raise RuntimeError("stopped")

    rows = {}
    for name in ("whole", "resumed"):
        out = tmp_path / name
        if name == "resumed":
            with pytest.raises(RuntimeError, match="stopped"):
                seriatim.train("language", file, out=out, epochs=2, observer=Stop(), **options)
        run = seriatim.train("language", file, out=out, epochs=2, resume=name == "resumed", **options)
        lines = (run.path / "metrics.jsonl").read_text().splitlines()
        rows[name] = [{k: v for k, v in json.loads(line).items() if "per_second" not in k} for line in lines]
    assert rows["whole"] == rows["resumed"]
    assert all(any(key.startswith(f"{signal}/") for key in rows["whole"][-1]) for signal in SIGNALS)


SIGNALS = ("gradient_norm", "update_ratio", "saturated")
