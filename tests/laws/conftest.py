"""Every cell and layer that the laws hold for. A new cell gets a row here; ``test_registered`` asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seriatim.kernels.weights import Weights
from seriatim.nn.cells import CELLS
from seriatim.nn.layers import LAYERS
from seriatim.spec import CellSpec


@dataclass(frozen=True)
class Variant:
    """A kind of cell with the options that change what it computes."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])

    def layer(self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
        return LAYERS[self.kind](input_size, hidden_size, dtype=dtype, **self.options, **more)

    def cell(self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64) -> Any:
        return CELLS[self.kind](input_size, hidden_size, dtype=dtype, **self.options)

    def spec(self, input_size: int, hidden_size: int) -> CellSpec:
        options = {"activation" if name == "nonlinearity" else name: value for name, value in self.options.items()}
        return CellSpec(self.kind, input_size, hidden_size, **options)


VARIANTS = [
    Variant("rnn"),
    Variant("rnn", {"nonlinearity": "relu"}),
    Variant("rnn", {"nonlinearity": "sigmoid"}),
    Variant("rnn", {"bias": False}),
    Variant("lstm"),
    Variant("lstm", {"proj_size": 2}),
    Variant("lstm", {"bias": False}),
    Variant("lstm", {"bias": False, "proj_size": 2}),
    Variant("gru"),
    Variant("gru", {"bias": False}),
]
STACKS = [{}, {"bidirectional": True}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}]


@pytest.fixture(params=VARIANTS, ids=str, scope="session")
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture(params=STACKS, ids=str, scope="session")
def stack(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


@pytest.fixture(scope="session")
def variants() -> list[Variant]:
    return VARIANTS


@dataclass
class Problem:
    """Random arguments of a recurrence, as NumPy arrays and as tensors of the same values."""

    spec: CellSpec
    x: np.ndarray
    state: tuple[np.ndarray, ...]
    weights: Weights[np.ndarray]

    def tensors(self, *, requires_grad: bool = False) -> tuple[Tensor, tuple[Tensor, ...], Weights[Tensor]]:
        def tensor(array: np.ndarray | None) -> Any:
            return None if array is None else torch.from_numpy(array.copy()).requires_grad_(requires_grad)

        w = self.weights
        return (
            tensor(self.x),
            tuple(tensor(one) for one in self.state),
            Weights(*(tensor(one) for one in (w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.w_hr))),
        )


@pytest.fixture
def problem(variant: Variant) -> Any:
    """(steps, rows, input size, hidden size, dtype) → Problem."""

    def make(steps: int, rows: int, inputs: int, hidden: int, dtype: Any = np.float64) -> Problem:
        spec = variant.spec(inputs, hidden)
        random = np.random.default_rng(steps * rows + hidden)

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (random.standard_normal(shape) * scale).astype(dtype)

        rows_of_weights, width = len(spec.gates) * hidden, spec.output_size
        weights = Weights(
            normal(rows_of_weights, inputs, scale=inputs**-0.5),
            normal(rows_of_weights, width, scale=0.7 * width**-0.5),
            normal(rows_of_weights, scale=0.3) if spec.bias else None,
            normal(rows_of_weights, scale=0.3) if spec.bias else None,
            normal(width, hidden, scale=hidden**-0.5) if spec.proj_size else None,
        )
        state = tuple(normal(rows, spec.state_size(name), scale=0.5) for name in spec.states)
        return Problem(spec, normal(steps, rows, inputs), state, weights)

    return make
