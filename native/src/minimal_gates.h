// The gates of minGRU and minLSTM (Feng 2024), which do not read h. They compute a and b of the scan h_t = a_t h_{t-1} + b_t from
// the input part u_t, and the gradient of u_t from the gradients of a and b. The equations are in src/seriatim/kernels/_minimal.py.
#pragma once

#include "engine.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

// g(u) = u + 1/2 for u ≥ 0, σ(u) otherwise, and its slope.
template <class T> struct Positive { Vec<T> value, slope; };
template <class T> inline Positive<T> positive(Vec<T> u) {
    const Vec<T> s = sigmoid<T>(u);
    return {u >= T(0) ? u + T(0.5) : s, u >= T(0) ? all<T>(1) : s * (T(1) - s)};
}

// The gates of a vector of units. u and du point into the first block of gates; the next block is `stride` values later.
template <Gates G, class T> struct Gated;

template <class T> struct Gated<Gates::mingru, T> {
    static constexpr int blocks = 2;
    Gated(const T* u, int64_t stride, int64_t count)
        : z(sigmoid<T>(load(u, count))), n(positive<T>(load(u + stride, count))) {}
    Vec<T> a() const { return T(1) - z; }
    Vec<T> b() const { return z * n.value; }
    void back(Vec<T> da, Vec<T> db, T* du, int64_t stride, int64_t count) const {
        store(du, (db * n.value - da) * z * (T(1) - z), count);
        store(du + stride, db * z * n.slope, count);
    }

private:
    const Vec<T> z;
    const Positive<T> n;
};

// s = f / (f + i). All exponentials are divided by the largest one, so that two closed gates do not give 0 / 0.
template <class T> struct Gated<Gates::minlstm, T> {
    static constexpr int blocks = 3;
    Gated(const T* u, int64_t stride, int64_t count) : g(positive<T>(load(u + 2 * stride, count))) {
        const Vec<T> u_f = load(u, count), u_i = load(u + stride, count);
        Vec<T> largest = -u_f > -u_i ? -u_f : -u_i;
        largest = largest > T(0) ? largest : Vec<T>{};
        const Vec<T> one = exp_neg<T>(largest), of_f = one + exp_neg<T>(largest + u_f),
                     of_i = one + exp_neg<T>(largest + u_i), whole = reciprocal<T>(of_f + of_i);
        s = of_i * whole, rest = of_f * whole;
        f = quotient<T>(one, of_f), i = quotient<T>(one, of_i);
    }
    Vec<T> a() const { return s; }
    Vec<T> b() const { return rest * g.value; }
    void back(Vec<T> da, Vec<T> db, T* du, int64_t stride, int64_t count) const {
        const Vec<T> of_ratio = (da - db * g.value) * s * rest;
        store(du, of_ratio * (T(1) - f), count);
        store(du + stride, -of_ratio * (T(1) - i), count);
        store(du + 2 * stride, db * rest * g.slope, count);
    }

private:
    const Positive<T> g;
    Vec<T> s, rest, f, i;  // rest is 1 - s
};

}  // namespace seriatim::SERIATIM_TARGET
