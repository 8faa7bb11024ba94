// What the cells do on the way back, once the gradient of h' is summed: one row, one vector of units at a time.
//
// The equations and their numbers are those of the twin (src/seriatim/kernels/_rnn.py, _lstm.py, _gru.py,
// _slstm.py).
#pragma once

#include "cells.h"

namespace seriatim::SERIATIM_TARGET {

// One row at one step on the way back. Null where there is nothing.
template <class T>
struct BackRow : Here<T> {
    const T* gates = nullptr;  // [S, H]
    const T* later = nullptr;  // the gates' gradient at the step after [D]
    const T* grad_output = nullptr;
    const T* grad_cells = nullptr;
    const T* into_h = nullptr;  // gradient that reached the state after this step past the products
    const T* into_c = nullptr;
    T* past_h = nullptr;  // the same for the state before: written
    T* past_c = nullptr;
    T* grad_h = nullptr;      // of h' after the projection [P], where a projection or a norm needs whole rows of it
    T* grad_m = nullptr;      // of h' before the projection [H], where there is one and a norm needs whole rows
    T* m = nullptr;           // h' before the projection [H], for the projection's gradient
    T* grad_gates = nullptr;  // of the gates' sums [D], written
    T* grad_sums = nullptr;   // of what the recurrent product gave: the same, or [G·H] where a norm lies between
    T* grad_x = nullptr;      // [I]
};

template <class T>
inline Vec<T> load_or_zero(const T* from, Span at) {
    return from ? load(from + at.first, at.count) : Vec<T>{};
}

// The gradient of h': what came through the products of the step after, from the output and past them.
template <class T>
inline Vec<T> gradient_of_h(const BackRow<T>& row, Vec<T> through, Span at) {
    if (row.factors) through *= load(row.factors + at.first, at.count);
    Vec<T> dh = through + load_or_zero(row.grad_output, at) + load_or_zero(row.into_h, at);
    if (row.keep_h) {
        const Vec<T> share = row.keep_h.at(at);
        if (row.past_h) store(row.past_h + at.first, share * dh, at.count);
        dh -= share * dh;
    }
    return dh;
}

// `past_h` gains what flows past the products beside zoneout's share, which is there already.
template <class T>
inline void add_past(const BackRow<T>& row, Vec<T> direct, Span at) {
    if (!row.past_h) return;
    if (row.keep_h) direct += load(row.past_h + at.first, at.count);
    store(row.past_h + at.first, direct, at.count);
}

template <class T>
inline void rnn_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dh, Span at) {
    const Vec<T> h = load(row.gates + at.first, at.count);
    if (row.m) store(row.m + at.first, h, at.count);
    Vec<T> slope = T(1) - h * h;
    if (cell.spec.phi == Phi::sigmoid) slope = h * (T(1) - h);
    if (cell.spec.phi == Phi::relu) slope = h > T(0) ? all<T>(1) : Vec<T>{};
    store(row.grad_gates + at.first, dh * slope, at.count);  // (2)
}

// A gradient that reached c after the step, or a part of what stands in its place: the candidate's share and zoneout's.
template <class T>
struct Carried {
    Vec<T> grad, kept;
    Carried(const BackRow<T>& row, Span at)
        : grad(load_or_zero(row.into_c, at) + load_or_zero(row.grad_cells, at)),
          kept{} {
        if (!row.keep_c) return;
        kept = row.keep_c.at(at) * grad;
        grad -= kept;
    }
    void pass(const BackRow<T>& row, Vec<T> past, Span at) const {
        if (row.past_c) store(row.past_c + at.first, past + kept, at.count);
    }
};

// Of a layer-normalised c, per unit: what became of it in tanh, and the gradient that came back through the norm.
template <class T>
struct NormedCell {
    T *squashed, *grad;
};

template <class T>
inline void lstm_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dm, Span at, T* peephole,
                          const NormedCell<T>* normed) {
    const int64_t H = cell.spec.units;
    const T* gates = row.gates + at.first;
    const Vec<T> i = load(gates, at.count), f = load(gates + H, at.count), g = load(gates + 2 * H, at.count);
    const Vec<T> o = load(gates + 3 * H, at.count), before = load(row.c + at.first, at.count);
    const Vec<T> c = f * before + i * g;
    const Carried<T> carried(row, at);
    Vec<T> dc = carried.grad, squashed;
    if (normed) {
        squashed = load(normed->squashed + at.first, at.count);
        dc += load(normed->grad + at.first, at.count);
    } else {
        squashed = tanh<T>(c);
        dc += dm * o * (T(1) - squashed * squashed);  // (4)
    }
    if (row.m) store(row.m + at.first, o * squashed, at.count);
    const Vec<T> da_o = dm * squashed * o * (T(1) - o);
    const T* peep = cell.w_ch ? cell.w_ch + at.first : nullptr;
    if (peep) dc += da_o * load(peep + 2 * H, at.count);
    const Vec<T> da_i = dc * g * i * (T(1) - i), da_f = dc * before * f * (T(1) - f),
                 da_g = dc * i * (T(1) - g * g);  // (3), (2)
    Vec<T> past = dc * f;
    if (peep) {
        past += da_i * load(peep, at.count) + da_f * load(peep + H, at.count);
        T* to = peephole + at.first;
        store(to, load(to, at.count) + da_i * before, at.count);
        store(to + H, load(to + H, at.count) + da_f * before, at.count);
        store(to + 2 * H, load(to + 2 * H, at.count) + da_o * c, at.count);
    }
    carried.pass(row, past, at);
    T* grad = row.grad_gates + at.first;
    store(grad, da_i, at.count), store(grad + H, da_f, at.count);
    store(grad + 2 * H, da_g, at.count), store(grad + 3 * H, da_o, at.count);
}

template <class T>
inline void slstm_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dm, Span at) {
    const int64_t H = cell.spec.units;
    const Span of_n{at.first + H, at.count}, of_m{at.first + 2 * H, at.count};
    const T* gates = row.gates + at.first;
    const Vec<T> i = load(gates, at.count), f = load(gates + H, at.count), g = load(gates + 2 * H, at.count),
                 o = load(gates + 3 * H, at.count), slope = load(gates + 4 * H, at.count);
    const Vec<T> before = load(row.c + at.first, at.count), n_before = load(row.c + of_n.first, at.count);
    const Vec<T> n = f * n_before + i, ratio = quotient<T>(f * before + i * g, n);  // (5)
    if (row.m) store(row.m + at.first, o * ratio, at.count);
    const Carried<T> of_c(row, at), into_n(row, of_n), into_m(row, of_m);
    const Vec<T> of_ratio = quotient<T>(dm * o, n);  // (6)
    const Vec<T> dc = of_c.grad + of_ratio, dn = into_n.grad - of_ratio * ratio;
    const Vec<T> of_i = (dc * g + dn) * i, of_f = (dc * before + dn * n_before) * f;  // (4), (5)
    // Of a_i and of log f + m: the one that was m gets what came to m, less what i and f pass on to it.
    const auto newer = i == T(1);
    const Vec<T> da_i = newer ? into_m.grad - of_f : of_i, of_kept = newer ? of_f : into_m.grad - of_i;  // (3)
    of_c.pass(row, dc * f, at), into_n.pass(row, dn * f, of_n), into_m.pass(row, of_kept, of_m);
    T* grad = row.grad_gates + at.first;
    store(grad, da_i, at.count), store(grad + H, of_kept * slope, at.count);
    store(grad + 2 * H, dc * i * (T(1) - g * g), at.count);
    store(grad + 3 * H, dm * ratio * o * (T(1) - o), at.count);  // (2)
}

// Writes four blocks: r and z, then n as the recurrent part sees it (times r), then n as the input part does.
template <class T>
inline void gru_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dh, Span at) {
    const int64_t H = cell.spec.units;
    const T* gates = row.gates + at.first;
    const Vec<T> r = load(gates, at.count), z = load(gates + H, at.count), n = load(gates + 2 * H, at.count);
    const Vec<T> v = load(gates + 3 * H, at.count), before = load(row.h + at.first, at.count);
    const Vec<T> da_z = dh * (before - n) * z * (T(1) - z);  // (4), (2)
    const Vec<T> da_n = dh * (T(1) - z) * (T(1) - n * n);    // (4), (3)
    const Vec<T> da_r = da_n * v * r * (T(1) - r);           // (3), (2)
    add_past(row, dh * z, at);
    T* grad = row.grad_gates + at.first;
    store(grad, da_r, at.count), store(grad + H, da_z, at.count);
    store(grad + 2 * H, da_n * r, at.count), store(grad + 3 * H, da_n, at.count);
}

// Reset before the product: first z and n; then, from the gradient of r ⊙ h, r. Blocks r z n.
template <class T>
inline void gru_candidate_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dh, Span at) {
    const int64_t H = cell.spec.units;
    const T* gates = row.gates + at.first;
    const Vec<T> z = load(gates + H, at.count), n = load(gates + 2 * H, at.count),
                 before = load(row.h + at.first, at.count);
    add_past(row, dh * z, at);
    T* grad = row.grad_gates + at.first;
    store(grad + H, dh * (before - n) * z * (T(1) - z), at.count);
    store(grad + 2 * H, dh * (T(1) - z) * (T(1) - n * n), at.count);
}

template <class T>
inline void gru_reset_backward(const BackRow<T>& row, Vec<T> d_reset_h, Span at) {
    const Vec<T> r = load(row.gates + at.first, at.count);
    const Vec<T> factors = row.factors ? load(row.factors + at.first, at.count) : all<T>(1);
    const Vec<T> operand = load(row.h + at.first, at.count) * factors;
    store(row.grad_gates + at.first, d_reset_h * operand * r * (T(1) - r), at.count);
    if (row.past_h)
        store(row.past_h + at.first, load(row.past_h + at.first, at.count) + d_reset_h * r * factors, at.count);
}

// From the gradient of h' before its projection: of a GRU that resets before the product, the first half.
template <Kind K, class T>
inline void cell_backward(const Shared<T>& cell, const BackRow<T>& row, Vec<T> dm, Span at, T* peephole,
                          const NormedCell<T>* normed = nullptr) {
    if constexpr (K == Kind::rnn) rnn_backward(cell, row, dm, at);
    else if constexpr (K == Kind::lstm) lstm_backward(cell, row, dm, at, peephole, normed);
    else if constexpr (K == Kind::slstm) slstm_backward(cell, row, dm, at);
    else if (cell.spec.reset_after) gru_backward(cell, row, dm, at);
    else gru_candidate_backward(cell, row, dm, at);
}

}  // namespace seriatim::SERIATIM_TARGET
