"""The recurrence in plain PyTorch operations. It is slow, but has every cell, walk and order of derivative.

The equations have the numbers of the twin (``kernels/_rnn.py`` and its siblings). The input part of the gates does not
depend on the state, so it is one product for all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, logsigmoid

from seriatim.kernels.normalise import EPSILON
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.variable_length import over_lengths
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]
Gates: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[[CellSpec, Tensor, Tensor, State, "Weights[Tensor]"], tuple[State, Gates]]

PHI: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


def _part(entering: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    if gain is None:
        return linear(entering, weight, bias)
    return layer_norm(linear(entering, weight), gain.shape, gain, bias, EPSILON)


def _recurrent_part(h_in: Tensor, weights: Weights[Tensor]) -> Tensor:
    return _part(h_in, weights.w_hh, weights.b_hh, weights.g_hh)


def _projected(m: Tensor, weights: Weights[Tensor]) -> Tensor:
    return m if weights.w_hr is None else linear(m, weights.w_hr)


def _clipped(spec: CellSpec, a: Tensor) -> Tensor:
    return a.clamp(-spec.clip, spec.clip) if spec.clip else a


def _rnn(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    m = PHI[spec.activation](_clipped(spec, u + _recurrent_part(h_in, weights)))  # (1), (2)
    return (_projected(m, weights),), (m,)  # (3)


def _lstm(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    _, c = state
    a_i, a_f, a_g, a_o = (u + _recurrent_part(h_in, weights)).chunk(4, dim=1)  # (1)
    if weights.w_ch is not None:
        a_i, a_f = a_i + weights.w_ch[0] * c, a_f + weights.w_ch[1] * c
    a_i, a_f, a_g = _clipped(spec, a_i), _clipped(spec, a_f), _clipped(spec, a_g)
    i, f, g = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g)  # (2)
    c_next = f * c + i * g  # (3)
    o = torch.sigmoid(_clipped(spec, a_o if weights.w_ch is None else a_o + weights.w_ch[2] * c_next))  # (4)
    c_out = c_next
    if weights.g_c is not None:
        c_out = layer_norm(c_next, weights.g_c.shape, weights.g_c, weights.b_c, EPSILON)
    m = o * torch.tanh(c_out)  # (5)
    return (_projected(m, weights), c_next), (i, f, g, o)  # (6)


def _cifg(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    _, c = state
    a_f, a_g, a_o = (u + _recurrent_part(h_in, weights)).chunk(3, dim=1)  # (1)
    a_f = a_f if weights.w_ch is None else a_f + weights.w_ch[0] * c
    f, g = torch.sigmoid(_clipped(spec, a_f)), torch.tanh(_clipped(spec, a_g))  # (2)
    c_next = f * c + (1 - f) * g  # (3)
    o = torch.sigmoid(_clipped(spec, a_o if weights.w_ch is None else a_o + weights.w_ch[1] * c_next))  # (4)
    c_out = c_next
    if weights.g_c is not None:
        c_out = layer_norm(c_next, weights.g_c.shape, weights.g_c, weights.b_c, EPSILON)
    return (_projected(o * torch.tanh(c_out), weights), c_next), (f, g, o)  # (5), (6)


def _gru(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    u_r, u_z, u_n = u.chunk(3, dim=1)
    if spec.reset_after:
        v_r, v_z, v_n = _recurrent_part(h_in, weights).chunk(3, dim=1)  # (5)
        r, z = torch.sigmoid(_clipped(spec, u_r + v_r)), torch.sigmoid(_clipped(spec, u_z + v_z))  # (2)
        w = r * v_n  # (6)
    else:
        rows = [2 * spec.hidden_size, spec.hidden_size]
        w_rz, w_n = weights.w_hh.split_with_sizes(rows)
        b_rz, b_n = (None, None) if weights.b_hh is None else weights.b_hh.split_with_sizes(rows)
        v_r, v_z = linear(h_in, w_rz, b_rz).chunk(2, dim=1)  # (7)
        r, z = torch.sigmoid(_clipped(spec, u_r + v_r)), torch.sigmoid(_clipped(spec, u_z + v_z))  # (2)
        w = linear(r * h_in, w_n, b_n)  # (8)
    n = torch.tanh(_clipped(spec, u_n + w))  # (3)
    new = z * state[-1] + (1 - z) * n  # (4)
    return (new,) if weights.w_hr is None else (_projected(new, weights), new), (r, z, n)


def positive(a: Tensor) -> Tensor:
    """g of minGRU and minLSTM: a + 1/2 for a ≥ 0, σ(a) otherwise."""
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))


def _mingru(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    (h,) = state
    u_z, u_n = u.chunk(2, dim=1)
    z, n = torch.sigmoid(u_z), positive(u_n)
    return ((1 - z) * h + z * n,), (z, n)  # (3)


def _minlstm(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    (h,) = state
    u_f, u_i, u_g = u.chunk(3, dim=1)
    s, g = torch.sigmoid(logsigmoid(u_f) - logsigmoid(u_i)), positive(u_g)  # (4)
    return (s * h + (1 - s) * g,), (torch.sigmoid(u_f), torch.sigmoid(u_i), g)  # (5)


def _slstm(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    _, c, n, m = state
    a_i, a_f, a_g, a_o = (u + _recurrent_part(h_in, weights)).chunk(4, dim=1)  # (1)
    g, o = torch.tanh(a_g), torch.sigmoid(a_o)  # (2)
    decayed, is_start = logsigmoid(a_f) + m, n == 0
    m_next = torch.where(is_start | (a_i >= decayed), a_i, decayed)  # (3), (7)
    i, f = torch.exp(a_i - m_next), torch.exp((decayed - m_next).masked_fill(is_start, -torch.inf))  # (4)
    c_next, n_next = f * c + i * g, f * n + i  # (5)
    return (_projected(o * c_next / n_next, weights), c_next, n_next, m_next), (i, f, g, o)  # (6)


def eigenvalues(decay: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The real and the imaginary part of an LRU's λ, and γ, [H] each."""
    size, angle = torch.exp(-torch.exp(decay[0])), torch.exp(decay[1])
    return size * torch.cos(angle), size * torch.sin(angle), torch.exp(decay[2])  # (2)


def _lru(spec: CellSpec, u: Tensor, h_in: Tensor, state: State, weights: Weights[Tensor]) -> tuple[State, Gates]:
    assert weights.decay is not None and weights.w_hy is not None
    _, re, im = state
    b_re, b_im, d = u.chunk(3, dim=1)
    l_re, l_im, gain = eigenvalues(weights.decay)
    s_re, s_im = l_re * re - l_im * im + gain * b_re, l_re * im + l_im * re + gain * b_im  # (3)
    return (linear(torch.cat([s_re, s_im], dim=1), weights.w_hy) + d, s_re, s_im), (b_re, b_im, d)  # (4)


STEPS: dict[str, Step] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "cifg": _cifg,
    "gru": _gru,
    "mingru": _mingru,
    "minlstm": _minlstm,
    "slstm": _slstm,
    "lru": _lru,
}
"""(spec, gates' part from x, h as it enters products, state, weights) → next state, gates; all [B, ·]."""


def _steps(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> Iterator[tuple[State, Gates]]:
    """State and gates after each step, first to last. The equation numbers match ``kernels/reference.py``."""
    zoneout = [None if mask is None else mask.expand(len(x), -1, -1) for mask in walk.zoneout]
    for t, u in enumerate(_part(x, weights.w_ih, weights.b_ih, weights.g_ih).unbind(0)):
        if walk.reset is not None:
            state = tuple(part.masked_fill(walk.reset[t, :, None], 0) for part in state)  # (1)
        h_in = state[0] if walk.dropout is None else walk.dropout * state[0]  # (2)
        candidate, gates = STEPS[spec.kind](spec, u, h_in, state, weights)  # (3)
        if zoneout:
            masks = [None if mask is None else mask[t] for mask in zoneout]
            state = tuple(map(_mixed, masks, state, candidate))  # (4)
        else:
            state = candidate
        yield state, gates


def _mixed(mask: Tensor | None, old: Tensor, new: Tensor) -> Tensor:
    if mask is None or mask.dtype is torch.bool:
        return new if mask is None else torch.where(mask, old, new)
    return mask * old + (1 - mask) * new


def _run_padded(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State]:
    output = []
    for new, _ in _steps(spec, x, state, weights, walk):
        output.append(new[0])
        state = new
    return torch.stack(output), state


def _run_padded_with_states(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State]:
    """One tensor with all states and gates of each step, [T, B, P or H + (1 + G)·H or less], in place of the output."""
    output = []
    for new, gates in _steps(spec, x, state, weights, walk):
        output.append(torch.cat([*new, *gates], dim=1))
        state = new
    return torch.stack(output), state


run = over_lengths(_run_padded)
"""Contract: ``ops.recurrence.recurrence``."""
_run_with_states = over_lengths(_run_padded_with_states)


def run_with_states(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Contract: ``ops.recurrence.recurrence_with_states``."""
    joined, final = _run_with_states(spec, x, state, weights, walk)
    widths = [*(spec.state_size(name) for name in spec.states), *(spec.hidden_size for _ in spec.gates)]
    output, *blocks = joined.split_with_sizes(widths, dim=2)
    states = dict(zip(spec.states[1:], blocks, strict=False))
    gates = zip(spec.gates, blocks[len(states) :], strict=True)
    return output, final, states | {name: gate.detach() for name, gate in gates if name in spec.traced}


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step: x [B, I] and the state [B, ·] → the next state."""
    u = _part(x, weights.w_ih, weights.b_ih, weights.g_ih)
    return STEPS[spec.kind](spec, u, state[0], state, weights)[0]


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """True: composed steps run every cell on every device and dtype, along every walk."""
    return True


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """True: composed steps run every cell on every device and dtype."""
    return True
