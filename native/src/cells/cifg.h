// The LSTM with coupled input and forget gates, i = 1 - f. Equations: src/seriatim/kernels/_cifg.py.
#pragma once

#include "normalised_c.h"

namespace seriatim::SERIATIM_TARGET {

struct Cifg {
    // Saved: f g o.
    static constexpr CellLayout layout{.name = "cifg",
        .gates = 3,
        .extra_states = 1,
        .saved = 3,
        .peepholes = 2,
        .has_projection = true,
        .has_layer_norm = true,
        .normalises_c = true};
    static constexpr StageLayout stages[] = {{3, {0, 1, 2}}};
    static constexpr int tanh_column = 0, output_gate = 2;

    // Puts c and o into the first and the third of the sums.
    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
        const int64_t H = cell.spec.units;
        const T* w_ch = cell.w_ch ? cell.w_ch + at.first : nullptr;
        const Vec<T> before = load(row.c + at.first, at.count), a_o = sums[2];
        Vec<T> a[] = {sums[0], sums[1], a_o};
        if (w_ch) a[0] += load(w_ch, at.count) * before;
        squash<T, Gate::sigma, Gate::tanh, Gate::sigma>(a);                             // (2)
        const Vec<T> f = a[0], g = a[1], c = f * before + (T(1) - f) * g;               // (3)
        const Vec<T> o = w_ch ? sigmoid<T>(a_o + load(w_ch + H, at.count) * c) : a[2];  // (4)
        store_state(row, c, at);
        if (row.gates) save(row, 0, H, f, at), save(row, 1, H, g, at), save(row, 2, H, o, at);
        if (cell.spec.layer_norm) store(row.raw + at.first, c, at.count);
        sums[0] = c, sums[2] = o;
    }
    template <class T> static void output(const CellWeights<T>&, const Row<T>& row, const Vec<T>* sums, Span at) {
        emit(row, sums[2] * sums[0], at);  // (5)
    }

    // c of unit u again, out of the saved gates.
    template <class T> static T c_again(const T* gates, int64_t H, int64_t u, T before) {
        return gates[u] * before + (T(1) - gates[u]) * gates[H + u];  // (3)
    }

    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dm, Span at,
        const ThreadSums<T>& sums, const NormalisedC<T>* normalised) {
        const int64_t H = cell.spec.units;
        const T* gates = row.gates + at.first;
        const Vec<T> f = load(gates, at.count), g = load(gates + H, at.count), o = load(gates + 2 * H, at.count);
        const Vec<T> before = load(row.c + at.first, at.count), i = T(1) - f, c = f * before + i * g;
        const StateGradient<T> of_c(row, at);
        Vec<T> dc = of_c.grad, squashed;
        if (normalised) {
            squashed = load(normalised->squashed + at.first, at.count);
            dc += load(normalised->grad + at.first, at.count);
        } else {
            squashed = tanh<T>(c);
            dc += dm * o * (T(1) - squashed * squashed);  // (5)
        }
        if (row.m) store(row.m + at.first, o * squashed, at.count);
        const Vec<T> da_o = dm * squashed * o * (T(1) - o);
        const T* w_ch = cell.w_ch ? cell.w_ch + at.first : nullptr;
        if (w_ch) dc += da_o * load(w_ch + H, at.count);
        const Vec<T> da_f = dc * (before - g) * f * i, da_g = dc * i * (T(1) - g * g);  // (3), (2)
        Vec<T> past = dc * f;
        if (w_ch) {
            past += da_f * load(w_ch, at.count);
            add_to(sums.peephole + at.first, da_f * before, at.count);
            add_to(sums.peephole + at.first + H, da_o * c, at.count);
        }
        of_c.pass(row, past, at);
        T* grad = row.grad_gates + at.first;
        store(grad, da_f, at.count), store(grad + H, da_g, at.count), store(grad + 2 * H, da_o, at.count);
    }
};

}  // namespace seriatim::SERIATIM_TARGET
