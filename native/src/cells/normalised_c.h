// Layer normalisation of c, for the LSTM and its coupled variant (Ba 2016): tanh reads g_c ⊙ norm(c) + b_c.
#pragma once

#include "../cell.h"
#include "../statistics.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> inline void add_to(T* to, Vec<T> values, int64_t count) {
    store(to, load(to, count) + values, count);
}

// Forward, for a whole row: from c in row.raw and the saved o to h.
template <class Cell, class T> void output_of_normalised_c(const CellWeights<T>& cell, const Row<T>& row) {
    const int64_t H = cell.spec.units;
    const T* c = row.raw;
    const auto [mean, scale] = statistics(c, H);
    for (int64_t first = 0; first < H; first += width<T>) {
        const Span at{first, min(width<T>, H - first)};
        const Vec<T> normalised = (load(c + first, at.count) - mean) * scale;
        const Vec<T> a = normalised * load(cell.g_c + first, at.count) + load(cell.b_c + first, at.count);
        emit(row, load(row.gates + Cell::output_gate * H + first, at.count) * tanh<T>(a), at);  // (5)
    }
}

// Backward, for a whole row: from the gradient of m = o ⊙ tanh(…) to `normalised`.
template <class Cell, class T> void normalised_c_backward(const CellWeights<T>& cell, const BackwardRow<T>& row,
    const T* grad_m, const ThreadSums<T>& sums, const NormalisedC<T>& normalised) {
    const int64_t H = cell.spec.units;
    const T* o = row.gates + Cell::output_gate * H;
    T *c = normalised.grad, *squashed = normalised.squashed;
    for (int64_t u = 0; u < H; ++u) c[u] = Cell::c_again(row.gates, H, u, row.c[u]);
    const auto [mean, scale] = statistics(static_cast<const T*>(c), H);
    T over_mean = 0, along = 0;
    for (int64_t first = 0; first < H; first += width<T>) {
        const Span at{first, min(width<T>, H - first)};
        const Vec<T> normal = (load(c + first, at.count) - mean) * scale, gain = load(cell.g_c + first, at.count);
        const Vec<T> s = tanh<T>(normal * gain + load(cell.b_c + first, at.count));
        const Vec<T> dy = load(grad_m + first, at.count) * load(o + first, at.count) * (T(1) - s * s);
        store(squashed + first, s, at.count);
        add_to(sums.g_c + first, dy * normal, at.count);
        add_to(sums.b_c + first, dy, at.count);
        over_mean += sum<T>(dy * gain);
        along += sum<T>(dy * gain * normal);
    }
    over_mean /= H, along /= H;
    for (int64_t u = 0; u < H; ++u) {
        const T normal = (c[u] - mean) * scale, s = squashed[u];
        c[u] = scale * (grad_m[u] * o[u] * (T(1) - s * s) * cell.g_c[u] - over_mean - normal * along);
    }
}

}  // namespace seriatim::SERIATIM_TARGET
