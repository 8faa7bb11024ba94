// Long short-term memory. Equations: src/seriatim/kernels/_lstm.py.
#pragma once

#include "normalised_c.h"

namespace seriatim::SERIATIM_TARGET {

struct Lstm {
    // Saved: i f g o.
    static constexpr CellLayout layout{.name = "lstm",
        .gates = 4,
        .extra_states = 1,
        .saved = 4,
        .peepholes = 3,
        .has_projection = true,
        .has_layer_norm = true,
        .normalises_c = true};
    static constexpr StageLayout stages[] = {{4, {0, 1, 2, 3}}};
    static constexpr int tanh_column = 0, output_gate = 3;

    // Puts c and o into the first and the last of the sums.
    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
        cell.w_ch ? forward<true>(cell, row, sums, at) : forward<false>(cell, row, sums, at);
    }
    template <class T> static void output(const CellWeights<T>&, const Row<T>& row, const Vec<T>* sums, Span at) {
        emit(row, sums[3] * sums[0], at);  // (5): o ⊙ tanh(c)
    }

    // c of unit u again, out of the saved gates.
    template <class T> static T c_again(const T* gates, int64_t H, int64_t u, T before) {
        return gates[H + u] * before + gates[u] * gates[2 * H + u];  // (3)
    }

    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dm, Span at,
        const ThreadSums<T>& sums, const NormalisedC<T>* normalised) {
        const int64_t H = cell.spec.units;
        const T* gates = row.gates + at.first;
        const Vec<T> i = load(gates, at.count), f = load(gates + H, at.count), g = load(gates + 2 * H, at.count);
        const Vec<T> o = load(gates + 3 * H, at.count), before = load(row.c + at.first, at.count);
        const Vec<T> c = f * before + i * g;
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
        if (w_ch) dc += da_o * load(w_ch + 2 * H, at.count);
        const Vec<T> da_i = dc * g * i * (T(1) - i), da_f = dc * before * f * (T(1) - f),
                     da_g = dc * i * (T(1) - g * g);  // (3), (2)
        Vec<T> past = dc * f;
        if (w_ch) {
            past += da_i * load(w_ch, at.count) + da_f * load(w_ch + H, at.count);
            T* to = sums.peephole + at.first;
            add_to(to, da_i * before, at.count), add_to(to + H, da_f * before, at.count);
            add_to(to + 2 * H, da_o * c, at.count);
        }
        of_c.pass(row, past, at);
        T* grad = row.grad_gates + at.first;
        store(grad, da_i, at.count), store(grad + H, da_f, at.count);
        store(grad + 2 * H, da_g, at.count), store(grad + 3 * H, da_o, at.count);
    }

private:
    template <bool peephole, class T>
    static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
        const int64_t H = cell.spec.units;
        const T* w_ch = peephole ? cell.w_ch + at.first : nullptr;
        const Vec<T> before = load(row.c + at.first, at.count);
        Vec<T> a[] = {sums[0], sums[1], sums[2], sums[3]};
        if constexpr (peephole) {
            a[0] += load(w_ch, at.count) * before;
            a[1] += load(w_ch + H, at.count) * before;
        }
        const Vec<T> a_o = a[3];
        squash<T, Gate::sigma, Gate::sigma, Gate::tanh, Gate::sigma>(a);                        // (2)
        const Vec<T> i = a[0], f = a[1], g = a[2], c = f * before + i * g;                      // (3)
        const Vec<T> o = peephole ? sigmoid<T>(a_o + load(w_ch + 2 * H, at.count) * c) : a[3];  // (4)
        store_state(row, c, at);
        if (row.gates) {
            save(row, 0, H, i, at), save(row, 1, H, f, at);
            save(row, 2, H, g, at), save(row, 3, H, o, at);
        }
        if (cell.spec.layer_norm) store(row.raw + at.first, c, at.count);
        sums[0] = c, sums[3] = o;
    }
};

}  // namespace seriatim::SERIATIM_TARGET
