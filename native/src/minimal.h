// The gates of minGRU and minLSTM (Feng 2024), which do not see h: a and b of the scan h_t = a_t h_{t-1} + b_t out of the
// input part u_t, and the gradient of u_t out of theirs. kernels/_minimal.py has the equations.
#pragma once

#include "engine.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

// g(u) = u + 1/2 for u ≥ 0, σ(u) otherwise, and its slope.
template <class T>
struct Positive {
    Vec<T> value, slope;
};
template <class T>
inline Positive<T> positive(Vec<T> u) {
    const Vec<T> s = sigmoid<T>(u);
    return {u >= T(0) ? u + T(0.5) : s, u >= T(0) ? all<T>(1) : s * (T(1) - s)};
}

// s = f / (f + i), 1 - s, f and i, with all exponentials divided by the largest: two shut gates are not 0 / 0.
template <class T>
struct Ratio {
    Vec<T> s, rest, f, i;
};
template <class T>
inline Ratio<T> ratio(Vec<T> u_f, Vec<T> u_i) {
    Vec<T> largest = -u_f > -u_i ? -u_f : -u_i;
    largest = largest > T(0) ? largest : Vec<T>{};
    const Vec<T> one = falling<T>(largest), of_f = one + falling<T>(largest + u_f),
                 of_i = one + falling<T>(largest + u_i);
    const Vec<T> whole = reciprocal<T>(of_f + of_i);
    return {of_i * whole, of_f * whole, quotient<T>(one, of_f), quotient<T>(one, of_i)};
}

// `units` of a row: u points at the first of its gates' blocks, which stand `apart`.
template <Gates G, class T>
inline void coefficients(const T* u, int64_t apart, int64_t units, T* a, T* b) {
    for (int64_t j = 0; j < units; j += width<T>) {
        const int64_t count = units - j;
        const Vec<T> u_0 = load(u + j, count), u_1 = load(u + apart + j, count);
        if constexpr (G == Gates::mingru) {
            const Vec<T> z = sigmoid<T>(u_0);
            store(a + j, T(1) - z, count);
            store(b + j, z * positive<T>(u_1).value, count);
        } else {
            const Ratio<T> r = ratio<T>(u_0, u_1);
            store(a + j, r.s, count);
            store(b + j, r.rest * positive<T>(load(u + 2 * apart + j, count)).value, count);
        }
    }
}

template <Gates G, class T>
inline void coefficients_back(const T* u, int64_t apart, int64_t units, const T* da, const T* db, T* du) {
    for (int64_t j = 0; j < units; j += width<T>) {
        const int64_t count = units - j;
        const Vec<T> u_0 = load(u + j, count), u_1 = load(u + apart + j, count);
        const Vec<T> of_a = load(da + j, count), of_b = load(db + j, count);
        if constexpr (G == Gates::mingru) {
            const Vec<T> z = sigmoid<T>(u_0);
            const Positive<T> n = positive<T>(u_1);
            store(du + j, (of_b * n.value - of_a) * z * (T(1) - z), count);
            store(du + apart + j, of_b * z * n.slope, count);
        } else {
            const Ratio<T> r = ratio<T>(u_0, u_1);
            const Positive<T> g = positive<T>(load(u + 2 * apart + j, count));
            const Vec<T> of_ratio = (of_a - of_b * g.value) * r.s * r.rest;
            store(du + j, of_ratio * (T(1) - r.f), count);
            store(du + apart + j, -of_ratio * (T(1) - r.i), count);
            store(du + 2 * apart + j, of_b * r.rest * g.slope, count);
        }
    }
}

}  // namespace seriatim::SERIATIM_TARGET
