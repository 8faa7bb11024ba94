"""All cells and layers that the laws are tested on. A new cell gets a row here; ``test_registered`` checks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from leaky_cell import Leaky
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.nn import Blocks, Recurrent, Stacked, cell
from seriatim.nn.custom_cell import Maker
from seriatim.nn.recurrent import FIELDS, weight_shapes
from seriatim.nn.registry import CELLS, LAYERS, layer_arguments
from seriatim.spec import VARIANTS as SPECS
from seriatim.spec import CellSpec


@dataclass(frozen=True)
class Variant:
    """A kind of cell with options of its ``CellSpec``, and makes its layers and cells."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])

    def layer(self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
        return LAYERS[self.kind](input_size, hidden_size, dtype=dtype, **layer_arguments(self.options), **more)

    def cell(self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64) -> Any:
        return CELLS[self.kind](input_size, hidden_size, dtype=dtype, **layer_arguments(self.options))

    def spec(self, input_size: int, hidden_size: int) -> CellSpec:
        return CellSpec(self.kind, input_size, hidden_size, **{"bias": self.kind != "lru", **self.options})


def _two_states(x: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    c = 0.5 * c + torch.tanh(linear(x, w, b) + u * h)
    return torch.sin(c), c


@dataclass(frozen=True)
class CustomCellLayer:
    """Makes layers of a user-written cell."""

    name: str
    maker: Maker

    def __str__(self) -> str:
        return self.name

    def layer(self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64, **more: Any) -> Recurrent:
        return Recurrent(self.maker, input_size, hidden_size, dtype=dtype, **more)


@dataclass(frozen=True)
class ConnectedLayers:
    """Makes stacks with residual or highway connections."""

    variant: Variant
    connection: str

    def __str__(self) -> str:
        return f"{self.variant}-{self.connection}"

    def layer(
        self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64, num_layers: int = 1,
        bidirectional: bool = False, **more: Any,
    ) -> Stacked:  # fmt: skip
        width, layers = input_size, []
        for _ in range(num_layers):
            layers.append(self.variant.layer(width, hidden_size, dtype=dtype, bidirectional=bidirectional))
            width = layers[-1].output_size
        return Stacked(layers, self.connection, **more)


@dataclass(frozen=True)
class BlockLayers:
    """Makes residual blocks with a feed-forward part."""

    variant: Variant

    def __str__(self) -> str:
        return f"{self.variant}-blocks"

    def layer(
        self, input_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float64, num_layers: int = 1,
        bidirectional: bool = False, **more: Any,
    ) -> Blocks:  # fmt: skip
        width = self.variant.layer(1, hidden_size, bidirectional=bidirectional).output_size
        layers = [
            self.variant.layer(width, hidden_size, dtype=dtype, bidirectional=bidirectional) for _ in range(num_layers)
        ]
        return Blocks(layers, input_size, **more)


VARIANTS = [
    *(
        Variant(array["kind"], {name: value for name, value in array.items() if name != "kind"})
        for array in SPECS.values()
    ),
    Variant("rnn", {"bias": False}),
    Variant("lstm", {"bias": False}),
    Variant("lstm", {"bias": False, "proj_size": 2}),
    Variant("lstm", {"bias": False, "proj_size": 2, "peephole": True, "layer_norm": True}),
    Variant("cifg", {"bias": False, "proj_size": 2, "peephole": True, "layer_norm": True}),
    Variant("gru", {"bias": False}),
    Variant("gru", {"bias": False, "reset_after": False}),
    Variant("gru", {"bias": False, "proj_size": 2, "layer_norm": True}),
    Variant("mingru", {"bias": False}),
    Variant("slstm", {"bias": False}),
    Variant("lru", {"bias": True}),
]
"""All cells of ``spec.VARIANTS``, and combinations of their options."""
FACTORIES = [
    *VARIANTS,
    CustomCellLayer("custom class", Leaky),
    CustomCellLayer(
        "custom function", cell(_two_states, {"w": ("H", "I"), "u": ("H",), "b": ("H",)}, states=("h", "c"))
    ),
    ConnectedLayers(Variant("lstm", {"proj_size": 2}), "residual"),
    ConnectedLayers(Variant("gru"), "highway"),
    BlockLayers(Variant("mingru")),
    BlockLayers(Variant("lstm", {"proj_size": 2})),
]
"""All objects whose ``layer`` method makes a layer over sequences."""
STACKS = [{}, {"bidirectional": True}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}]


@pytest.fixture(params=VARIANTS, ids=str, scope="session")
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture(params=FACTORIES, ids=str, scope="session")
def factory(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=STACKS, ids=str, scope="session")
def stack(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    torch.manual_seed(1)


@pytest.fixture(scope="session")
def variants() -> list[Variant]:
    return VARIANTS


WALKS = {
    "plain": (),
    "lengths": ("lengths",),
    "reverse": ("reverse",),
    "reset": ("reset",),
    "dropout": ("dropout",),
    "zoneout": ("zoneout",),
    "mean zoneout": ("mean",),
    "masks over lengths": ("lengths", "reset", "dropout", "zoneout"),
    "everything": ("lengths", "reverse", "reset", "dropout", "mean zoneout of h, draws of c"),
}
"""Options of a walk, by a name."""


@pytest.fixture(params=WALKS.values(), ids=WALKS, scope="session")
def walk_options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(params=["plain", "reverse", "masks over lengths", "everything"], scope="session")
def few_walk_options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A few walks that together have all options, for laws that take long."""
    return WALKS[request.param]


def tensor(array: np.ndarray | None, *, requires_grad: bool = False) -> Any:
    return None if array is None else torch.from_numpy(array.copy()).requires_grad_(requires_grad)


@dataclass
class Problem:
    """Random arguments of a recurrence, as NumPy arrays and as tensors of the same values."""

    spec: CellSpec
    x: np.ndarray
    state: tuple[np.ndarray, ...]
    weights: Weights[np.ndarray]
    walk: Walk[np.ndarray] = field(default_factory=Walk)

    def tensors(self, *, requires_grad: bool = False) -> tuple[Tensor, tuple[Tensor, ...], Weights[Tensor]]:
        return (
            tensor(self.x, requires_grad=requires_grad),
            tuple(tensor(array, requires_grad=requires_grad) for array in self.state),
            Weights(*(tensor(array, requires_grad=requires_grad) for array in self.weights.as_list())),
        )

    def tensor_walk(self) -> Walk[Tensor]:
        walk = self.walk
        lengths, reset, dropout = (tensor(array) for array in (walk.lengths, walk.reset, walk.dropout))
        return Walk(lengths, walk.reverse, reset, dropout, tuple(map(tensor, walk.zoneout)))

    def astype(self, dtype: Any) -> Problem:
        def cast(array: Any) -> Any:
            return array if array is None or array.dtype == bool else array.astype(dtype)

        walk = dataclasses.replace(
            self.walk, dropout=cast(self.walk.dropout), zoneout=tuple(map(cast, self.walk.zoneout))
        )
        weights = Weights(*map(cast, self.weights.as_list()))
        return Problem(self.spec, cast(self.x), tuple(map(cast, self.state)), weights, walk)


def random_walk(spec: CellSpec, steps: int, rows: int, walk_options: tuple[str, ...], dtype: Any) -> Walk[np.ndarray]:
    random = np.random.default_rng(steps + rows)
    sizes = [spec.state_size(name) for name in spec.states]
    draws = tuple(random.random((steps, rows, size)) < 0.3 for size in sizes)
    means = tuple(np.full((1, 1, size), 0.25, dtype) for size in sizes)
    zoneouts = {"zoneout": draws, "mean": means, "mean zoneout of h, draws of c": (means[0], *draws[1:])}
    return Walk(
        lengths=random.integers(1, steps + 1, rows) if "lengths" in walk_options else None,
        reverse="reverse" in walk_options,
        reset=random.random((steps, rows)) < 0.3 if "reset" in walk_options else None,
        dropout=((random.random((rows, sizes[0])) < 0.7) / 0.7).astype(dtype) if "dropout" in walk_options else None,
        zoneout=next((zoneouts[array] for array in walk_options if array in zoneouts), ()),
    )


@pytest.fixture
def make_problem(variant: Variant) -> Any:
    """A function (steps, rows, input size, hidden size, dtype, walk options) → Problem."""

    def make(
        steps: int, rows: int, inputs: int, hidden: int, dtype: Any = np.float64, walk_options: tuple[str, ...] = ()
    ) -> Problem:
        spec = variant.spec(inputs, hidden)
        random = np.random.default_rng(steps * rows + hidden)

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (random.standard_normal(shape) * scale).astype(dtype)

        scales = {"weight_hh": 0.7 * spec.output_size**-0.5, "weight_ih": inputs**-0.5, "weight_hr": hidden**-0.5}
        shapes = weight_shapes(spec)
        arrays = {name: normal(*shape, scale=scales.get(name, 0.3)) for name, shape in shapes.items()}
        arrays |= {name: 1 + value for name, value in arrays.items() if name.startswith("gain")}
        arrays |= {name: value - 1 for name, value in arrays.items() if name == "decay"}  # |λ| is then about 2/3
        weights = Weights(*(arrays.get(name) for name in FIELDS))
        state = tuple(normal(rows, spec.state_size(name), scale=0.5) for name in spec.states)
        state = tuple(1 + abs(array) if name == "n" else array for array, name in zip(state, spec.states, strict=True))
        walk = random_walk(spec, steps, rows, walk_options, dtype)
        return Problem(spec, normal(steps, rows, inputs), state, weights, walk)

    return make
