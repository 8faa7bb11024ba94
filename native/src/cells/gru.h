// The gated recurrent unit, with the reset gate after or before the recurrent product. Equations: src/seriatim/kernels/_gru.py.
#pragma once

#include "../cell.h"

namespace seriatim::SERIATIM_TARGET {

// r multiplies the recurrent part of n, so n needs its two parts in two columns, and they have different gradients.
struct Gru {
    // Saved: r z n, and the recurrent part of n.
    static constexpr CellLayout layout{
        .name = "gru", .gates = 3, .saved = 4, .shared_gates = 2, .has_layer_norm = true, .has_direct_path = true};
    static constexpr StageLayout stages[] = {{3, {2, 0, 1}, 1}};
    static constexpr int tanh_column = 1;

    // The sums are the input part of n, r, z, and the recurrent part of n. Puts z and the argument of n's tanh into the first two.
    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
        const int64_t H = cell.spec.units;
        Vec<T> a[] = {sums[1], sums[2]};
        squash<T, Gate::sigma, Gate::sigma>(a);  // (2)
        const Vec<T> r = a[0], z = a[1], v = sums[3];
        if (row.gates) { save(row, 0, H, r, at), save(row, 1, H, z, at), save(row, 3, H, v, at); }
        sums[1] = sums[0] + r * v;
        sums[0] = z;
    }
    template <class T> static void output(const CellWeights<T>& cell, const Row<T>& row, const Vec<T>* sums, Span at) {
        const Vec<T> z = sums[0], n = sums[1];
        if (row.gates) save(row, 2, cell.spec.units, n, at);
        emit(row, n + z * (load(row.h + at.first, at.count) - n), at);  // (4)
    }

    // Writes four blocks: r, z, n for the recurrent part (times r), and n for the input part.
    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dh, Span at,
        const ThreadSums<T>&, const NormalisedC<T>*) {
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
};

// r multiplies h before the recurrent product of n: the first stage computes r, z and r ⊙ h, the second one n.
struct GruResetBefore {
    // Saved: r z n; the last slot is not used.
    static constexpr CellLayout layout{
        .name = "gru reset-before", .gates = 3, .saved = 4, .direct_gates = 2, .has_direct_path = true};
    static constexpr StageLayout stages[] = {{2, {0, 1}}, {1, {2}}};
    static constexpr int tanh_column = -1;

    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, const Vec<T>* sums, Span at) {
        const int64_t H = cell.spec.units;
        Vec<T> a[] = {sums[0], sums[1]};
        squash<T, Gate::sigma, Gate::sigma>(a);  // (2)
        const Vec<T> r = a[0], z = a[1];
        store(row.gates + at.first, r, at.count), store(row.gates + H + at.first, z, at.count);
        store(row.second_operand + at.first, r * load(row.operand + at.first, at.count), at.count);
    }
    template <class T> static void output(const CellWeights<T>&, const Row<T>&, const Vec<T>*, Span) {}
    template <class T> static void second_stage(const CellWeights<T>& cell, const Row<T>& row, Vec<T> a, Span at) {
        const int64_t H = cell.spec.units;
        const Vec<T> n = tanh<T>(a), z = load(row.gates + H + at.first, at.count);  // (3)
        store(row.gates + 2 * H + at.first, n, at.count);
        emit(row, n + z * (load(row.h + at.first, at.count) - n), at);  // (4)
    }

    // Writes the blocks of z and n. The block of r needs the gradient of r ⊙ h, which is a product with the block of n.
    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dh, Span at,
        const ThreadSums<T>&, const NormalisedC<T>*) {
        const int64_t H = cell.spec.units;
        const T* gates = row.gates + at.first;
        const Vec<T> z = load(gates + H, at.count), n = load(gates + 2 * H, at.count),
                     before = load(row.h + at.first, at.count);
        add_past(row, dh * z, at);
        T* grad = row.grad_gates + at.first;
        store(grad + H, dh * (before - n) * z * (T(1) - z), at.count);
        store(grad + 2 * H, dh * (T(1) - z) * (T(1) - n * n), at.count);
    }
    template <class T> static void second_stage_backward(const BackwardRow<T>& row, Vec<T> d_operand, Span at) {
        const Vec<T> r = load(row.gates + at.first, at.count);
        const Vec<T> factors = row.factors ? load(row.factors + at.first, at.count) : all<T>(1);
        const Vec<T> operand = load(row.h + at.first, at.count) * factors;
        store(row.grad_gates + at.first, d_operand * operand * r * (T(1) - r), at.count);
        if (row.past_h)
            store(row.past_h + at.first, load(row.past_h + at.first, at.count) + d_operand * r * factors, at.count);
    }
    // The factor of the second stage's product: r ⊙ h, out of h as products read it.
    template <class T> static void second_stage_operand(const BackwardRow<T>& row, const T* h, int64_t units, T* to) {
        for (int64_t i = 0; i < units; ++i) to[i] = h[i] * row.gates[i];
    }
};

}  // namespace seriatim::SERIATIM_TARGET
