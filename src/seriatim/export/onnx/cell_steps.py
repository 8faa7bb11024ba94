"""One step of each cell in standard operators of ONNX.

The equations and their numbers are those of ``kernels/_NAME.py``. A product of x does not depend on the states, so it
is computed for all steps at once, before the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from seriatim.export.onnx.builder import GraphBuilder
from seriatim.kernels.normalise import EPSILON
from seriatim.kernels.weights import Weights
from seriatim.notation import PEEPHOLES
from seriatim.spec import CellSpec


@dataclass(frozen=True)
class Cell:
    """A cell and its weights in one direction of a layer."""

    spec: CellSpec
    weights: Weights[Any]
    name: str
    """The beginning of the names of its weights in the graph."""

    def part(self, graph: GraphBuilder, factor: str, source: str) -> str:
        """Add the part of x (``source`` is ``ih``) or h (``hh``) in all gates: a product, normalised or not, + b."""
        weight, bias, gain = (getattr(self.weights, f"{field}_{source}") for field in "wbg")
        product = graph.add("MatMul", factor, graph.constant(weight.T, name=f"{self.name}.w_{source}"))
        shift = [] if bias is None else [graph.constant(bias, name=f"{self.name}.b_{source}")]
        if gain is not None:
            return normalised(graph, product, graph.constant(gain, name=f"{self.name}.g_{source}"), *shift)
        return graph.add("Add", product, *shift) if shift else product

    def blocks(self, graph: GraphBuilder, a: str, count: int = 0) -> list[str]:
        """Split a [..., G·H] into the blocks of its gates, [..., H] each."""
        count = count or len(self.spec.gates)
        return graph.add_node("Split", [a, graph.integers(*[self.spec.hidden_size] * count)], count, axis=-1)

    def gate(self, graph: GraphBuilder, function: str, *parts: str) -> str:
        """Add the parts of a gate, and apply its activation."""
        a = graph.add("Sum", *parts) if len(parts) > 1 else parts[0]
        if self.spec.clip:
            bound = np.float32(self.spec.clip)
            a = graph.add("Min", graph.add("Max", a, graph.constant(-bound)), graph.constant(bound))
        return graph.add(function, a)

    def projected(self, graph: GraphBuilder, m: str) -> str:
        """h = m, or m W_hrᵀ with a projection."""
        weight = self.weights.w_hr
        if weight is None:
            return m
        return graph.add("MatMul", m, graph.constant(weight.T, name=f"{self.name}.w_hr"))


@dataclass(frozen=True)
class CellGraph:
    """A cell's equations as nodes."""

    step: Callable[[Cell, GraphBuilder, list[str], list[str]], list[str]]
    """(cell, graph of one step, inputs of the step, states) → the next states."""
    inputs: Callable[[Cell, GraphBuilder, str], list[str]] = lambda cell, graph, u: [u]
    """(cell, graph, the part of x in all gates and steps) → the inputs of all steps."""


def normalised(graph: GraphBuilder, x: str, *parts: str) -> str:
    """Normalise x over its last axis, with a gain and, if there is one, a shift."""
    return graph.add("LayerNormalization", x, *parts, axis=-1, epsilon=EPSILON)


def mixed(graph: GraphBuilder, share: str, old: str, new: str) -> str:
    """share ⊙ old + (1 - share) ⊙ new."""
    return graph.add("Add", new, graph.add("Mul", share, graph.add("Sub", old, new)))


def _rnn(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    a = inputs[0], cell.part(graph, state[0], "hh")  # (1)
    return [cell.projected(graph, cell.gate(graph, cell.spec.activation.capitalize(), *a))]  # (2), (3)


def _lstm(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    """An LSTM, also with coupled gates."""
    (h, c), weights, name = state, cell.weights, cell.name
    joint = graph.add("Add", inputs[0], cell.part(graph, h, "hh"))  # (1)
    parts = dict(zip(cell.spec.gates, cell.blocks(graph, joint), strict=True))
    peepholes = {} if weights.w_ch is None else dict(zip(PEEPHOLES[cell.spec.kind], weights.w_ch, strict=True))

    def gate(letter: str, function: str, read: str) -> str:
        if letter not in peepholes:
            return cell.gate(graph, function, parts[letter])
        weight = graph.constant(peepholes[letter], name=f"{name}.w_ch.{letter}")
        return cell.gate(graph, function, parts[letter], graph.add("Mul", weight, read))

    f, g = gate("f", "Sigmoid", c), gate("g", "Tanh", c)  # (2)
    if "i" in parts:
        c_next = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", gate("i", "Sigmoid", c), g))  # (3)
    else:
        c_next = mixed(graph, f, c, g)
    o = gate("o", "Sigmoid", c_next)  # (4)
    squashed = c_next
    if weights.g_c is not None:
        gain, shift = (graph.constant(getattr(weights, field), name=f"{name}.{field}") for field in ("g_c", "b_c"))
        squashed = normalised(graph, c_next, gain, shift)
    m = graph.add("Mul", o, graph.add("Tanh", squashed))  # (5)
    return [cell.projected(graph, m), c_next]  # (6)


def _gru(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    h, old = state[0], state[-1]
    u_r, u_z, u_n = cell.blocks(graph, inputs[0])
    if cell.spec.reset_after:
        v_r, v_z, v_n = cell.blocks(graph, cell.part(graph, h, "hh"))  # (5)
        r = cell.gate(graph, "Sigmoid", u_r, v_r)  # (2)
        w = graph.add("Mul", r, v_n)  # (6)
    else:
        gates, candidate = _before_reset(cell)
        v_r, v_z = cell.blocks(graph, gates.part(graph, h, "hh"), 2)  # (7)
        r = cell.gate(graph, "Sigmoid", u_r, v_r)
        w = candidate.part(graph, graph.add("Mul", r, h), "hh")  # (8)
    z = cell.gate(graph, "Sigmoid", u_z, v_z)
    n = cell.gate(graph, "Tanh", u_n, w)  # (3)
    new = mixed(graph, z, old, n)  # (4)
    return [new] if cell.weights.w_hr is None else [cell.projected(graph, new), new]


def _before_reset(cell: Cell) -> tuple[Cell, Cell]:
    """The recurrent weights of r and z, and those of n, as cells."""
    weights, split = cell.weights, 2 * cell.spec.hidden_size
    parts = []
    for name, rows in (("rz", slice(0, split)), ("n", slice(split, None))):
        bias = None if weights.b_hh is None else weights.b_hh[rows]
        parts.append(Cell(cell.spec, Weights(weights.w_ih, weights.w_hh[rows], b_hh=bias), f"{cell.name}.{name}"))
    return parts[0], parts[1]


def _positive(graph: GraphBuilder, a: str) -> str:
    """a + 1/2 for a ≥ 0, σ(a) otherwise: (2)."""
    is_positive = graph.add("GreaterOrEqual", a, graph.zero())
    half = graph.add("Add", a, graph.constant(0.5, np.float32, "half"))
    return graph.add("Where", is_positive, half, graph.add("Sigmoid", a))


def _log_sigmoid(graph: GraphBuilder, a: str) -> str:
    """log σ(a) = -log(1 + e^-a)."""
    return graph.add("Neg", graph.add("Softplus", graph.add("Neg", a)))


def _mingru_inputs(cell: Cell, graph: GraphBuilder, u: str) -> list[str]:
    u_z, u_n = cell.blocks(graph, u)
    return [graph.add("Sigmoid", graph.add("Neg", u_z)), _positive(graph, u_n)]


def _minlstm_inputs(cell: Cell, graph: GraphBuilder, u: str) -> list[str]:
    u_f, u_i, u_g = cell.blocks(graph, u)
    ratio = graph.add("Sub", _log_sigmoid(graph, u_f), _log_sigmoid(graph, u_i))
    return [graph.add("Sigmoid", ratio), _positive(graph, u_g)]  # (4)


def _minimal(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    """minGRU and minLSTM: the share of the old state, and the new value."""
    return [mixed(graph, inputs[0], state[0], inputs[1])]  # (3), (5)


def _slstm(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    h, c, n, m = state
    joint = graph.add("Add", inputs[0], cell.part(graph, h, "hh"))  # (1)
    a_i, a_f, a_g, a_o = cell.blocks(graph, joint)
    g, o = graph.add("Tanh", a_g), graph.add("Sigmoid", a_o)  # (2)
    is_first = graph.add("Equal", n, graph.zero())
    log_f_m = graph.add("Add", _log_sigmoid(graph, a_f), m)
    m_next = graph.add("Where", is_first, a_i, graph.add("Max", log_f_m, a_i))  # (3), (7)
    i = graph.add("Exp", graph.add("Sub", a_i, m_next))  # (4)
    kept = graph.add("Exp", graph.add("Sub", log_f_m, m_next))
    f = graph.add("Where", is_first, graph.zero(), kept)
    c_next = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", i, g))  # (5)
    n_next = graph.add("Add", graph.add("Mul", f, n), i)
    ratio = graph.add("Mul", o, graph.add("Div", c_next, n_next))
    return [cell.projected(graph, ratio), c_next, n_next, m_next]  # (6)


def _lru_inputs(cell: Cell, graph: GraphBuilder, u: str) -> list[str]:
    """γ B x, real and imaginary, and D x."""
    b_re, b_im, d = cell.blocks(graph, u)
    assert cell.weights.decay is not None
    gain = graph.constant(np.exp(cell.weights.decay[2]), name=f"{cell.name}.gain")
    return [graph.add("Mul", gain, b_re), graph.add("Mul", gain, b_im), d]


def _lru(cell: Cell, graph: GraphBuilder, inputs: list[str], state: list[str]) -> list[str]:
    (b_re, b_im, d), (_, re, im), weights = inputs, state, cell.weights
    assert weights.decay is not None and weights.w_hy is not None
    size, angle = np.exp(-np.exp(weights.decay[0])), np.exp(weights.decay[1])  # (2)
    l_re = graph.constant(size * np.cos(angle), name=f"{cell.name}.l_re")
    l_im = graph.constant(size * np.sin(angle), name=f"{cell.name}.l_im")
    real = graph.add("Sub", graph.add("Mul", l_re, re), graph.add("Mul", l_im, im))
    imaginary = graph.add("Add", graph.add("Mul", l_re, im), graph.add("Mul", l_im, re))
    s_re, s_im = graph.add("Add", real, b_re), graph.add("Add", imaginary, b_im)  # (3)
    weight = graph.constant(weights.w_hy.T, name=f"{cell.name}.w_hy")
    product = graph.add("MatMul", graph.add("Concat", s_re, s_im, axis=-1), weight)
    return [graph.add("Add", product, d), s_re, s_im]  # (4)


CELLS: Final[Mapping[str, CellGraph]] = {
    "rnn": CellGraph(_rnn),
    "lstm": CellGraph(_lstm),
    "cifg": CellGraph(_lstm),
    "gru": CellGraph(_gru),
    "mingru": CellGraph(_minimal, _mingru_inputs),
    "minlstm": CellGraph(_minimal, _minlstm_inputs),
    "slstm": CellGraph(_slstm),
    "lru": CellGraph(_lru, _lru_inputs),
}
"""The equations of each cell."""
