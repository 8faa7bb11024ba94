// The sLSTM of xLSTM: exponential gates with a stabiliser. Equations: src/seriatim/kernels/_slstm.py.
#pragma once

#include "../cell.h"

namespace seriatim::SERIATIM_TARGET {

// Its state beside h is c, n and m, one after the other.
struct Slstm {
    // Saved: i f g o, and the slope of log σ at f's sum.
    static constexpr CellLayout layout{
        .name = "slstm", .gates = 4, .extra_states = 3, .saved = 5, .has_projection = true};
    static constexpr StageLayout stages[] = {{4, {0, 1, 2, 3}}};
    static constexpr int tanh_column = -1;

    // Puts c / n and o into the first and the last of the sums.
    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
        const int64_t H = cell.spec.units;
        const Span of_n{at.first + H, at.count}, of_m{at.first + 2 * H, at.count};
        const Vec<T> before = load(row.c + at.first, at.count), n_before = load(row.c + of_n.first, at.count),
                     m_before = load(row.c + of_m.first, at.count);
        const Vec<T> a_i = sums[0], a_f = sums[1];
        Vec<T> a[] = {sums[2], sums[3]};
        squash<T, Gate::tanh, Gate::sigma>(a);
        const Vec<T> g = a[0], o = a[1], e = exp_neg<T>(magnitude<T>(a_f));
        const Vec<T> kept = at_most<T>(a_f, Vec<T>{}) - log_one_plus<T>(e) + m_before;   // (2): log σ(a_f) + m
        const auto is_first = n_before == T(0), i_is_larger = is_first | (a_i >= kept);  // (7)
        const Vec<T> smaller = exp_neg<T>(magnitude<T>(a_i - kept));                     // the larger of i and f is 1
        const Vec<T> i = i_is_larger ? all<T>(1) : smaller, f = is_first      ? Vec<T>{}
                                                                : i_is_larger ? smaller
                                                                              : all<T>(1);  // (3), (4)
        const Vec<T> c = f * before + i * g, n = f * n_before + i;                          // (5)
        store_state(row, c, at), store_state(row, n, of_n), store_state(row, i_is_larger ? a_i : kept, of_m);
        if (row.gates) {
            save(row, 0, H, i, at), save(row, 1, H, f, at), save(row, 2, H, g, at), save(row, 3, H, o, at);
            save(row, 4, H, (a_f < T(0) ? all<T>(1) : e) * reciprocal<T>(e + T(1)), at);
        }
        sums[0] = quotient<T>(c, n), sums[3] = o;
    }
    template <class T> static void output(const CellWeights<T>&, const Row<T>& row, const Vec<T>* sums, Span at) {
        emit(row, sums[3] * sums[0], at);  // (6)
    }

    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dm, Span at,
        const ThreadSums<T>&, const NormalisedC<T>*) {
        const int64_t H = cell.spec.units;
        const Span of_n{at.first + H, at.count}, of_m{at.first + 2 * H, at.count};
        const T* gates = row.gates + at.first;
        const Vec<T> i = load(gates, at.count), f = load(gates + H, at.count), g = load(gates + 2 * H, at.count),
                     o = load(gates + 3 * H, at.count), slope = load(gates + 4 * H, at.count);
        const Vec<T> before = load(row.c + at.first, at.count), n_before = load(row.c + of_n.first, at.count);
        const Vec<T> n = f * n_before + i, ratio = quotient<T>(f * before + i * g, n);  // (5)
        if (row.m) store(row.m + at.first, o * ratio, at.count);
        const StateGradient<T> into_c(row, at), into_n(row, of_n), into_m(row, of_m);
        const Vec<T> d_ratio = quotient<T>(dm * o, n);  // (6)
        const Vec<T> dc = into_c.grad + d_ratio, dn = into_n.grad - d_ratio * ratio;
        const Vec<T> d_log_i = (dc * g + dn) * i, d_log_f = (dc * before + dn * n_before) * f;  // (4), (5)
        // m is the larger of a_i and log f + m. The larger one receives the gradient of m, less what i and f pass on to it.
        const auto i_is_larger = i == T(1);
        const Vec<T> da_i = i_is_larger ? into_m.grad - d_log_f : d_log_i,
                     d_kept = i_is_larger ? d_log_f : into_m.grad - d_log_i;  // (3)
        into_c.pass(row, dc * f, at), into_n.pass(row, dn * f, of_n), into_m.pass(row, d_kept, of_m);
        T* grad = row.grad_gates + at.first;
        store(grad, da_i, at.count), store(grad + H, d_kept * slope, at.count);
        store(grad + 2 * H, dc * i * (T(1) - g * g), at.count);
        store(grad + 3 * H, dm * ratio * o * (T(1) - o), at.count);  // (2)
    }
};

}  // namespace seriatim::SERIATIM_TARGET
