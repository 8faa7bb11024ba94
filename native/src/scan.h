// The diagonal linear recurrence h_t = a_t h_{t-1} + b_t of real or complex numbers. Every unit is independent of the others.
//
// Memory limits the speed, so the order of access matters: a thread takes a block of units whose state fits the first cache, and
// goes through all steps with it.
#pragma once

#include "engine.h"
#include "scratch.h"
#include "minimal_gates.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> struct Complex {
    Vec<T> re, im;
    Complex operator+(const Complex& z) const { return {re + z.re, im + z.im}; }
    Complex operator*(const Complex& z) const { return {re * z.re - im * z.im, re * z.im + im * z.re}; }
};

template <class T> inline Complex<T> conjugate(const Complex<T>& z) { return {z.re, -z.im}; }
template <class V> inline V conjugate(V real) { return real; }

// A vector of real numbers, or of complex numbers whose parts are in two arrays.
template <class T, int parts> using Number = std::conditional_t<parts == 1, Vec<T>, Complex<T>>;

// The address of one row's numbers, or null.
template <class T, int parts> struct Line {
    using N = Number<std::remove_const_t<T>, parts>;
    T* part[parts];

    template <class U> Line(const Sequence<U> (&of)[2], int64_t step, int64_t row) {
        for (int p = 0; p < parts; ++p) part[p] = of[p] ? of[p].at(step, row) : nullptr;
    }
    template <class U> Line(U* const (&of)[2], int64_t offset) {
        for (int p = 0; p < parts; ++p) part[p] = of[p] + offset;
    }
    explicit operator bool() const { return part[0]; }

    ALWAYS_INLINE N get(int64_t unit, int64_t count) const {
        using V = std::remove_const_t<T>;
        if constexpr (parts == 1) return load<V>(part[0] + unit, count);
        else return {load<V>(part[0] + unit, count), load<V>(part[1] + unit, count)};
    }
    ALWAYS_INLINE void put(int64_t unit, const N& number, int64_t count) const {
        if constexpr (parts == 1) return store(part[0] + unit, number, count);
        else store(part[0] + unit, number.re, count), store(part[1] + unit, number.im, count);
    }
};

// Position k of a row: the step t in the input, whether the row has this step (else it is padding), and whether it is reset here.
template <class T> struct Moment {
    ALWAYS_INLINE Moment(const Scan<T>& call, int64_t k, int64_t row) {
        const int64_t length = call.lengths ? call.lengths[row] : call.steps;
        alive = k < length;
        t = call.reverse && alive ? length - 1 - k : k;
        fresh = call.reset && call.reset[t * call.rows + row];
    }
    int64_t t;
    bool alive, fresh;
};

// Runs work(row, begin, end) for the units `begin` to `end` of every row that columns `low` to `high` of [B · H] belong to.
template <class Work> ALWAYS_INLINE void over_rows(int64_t units, int64_t low, int64_t high, const Work& work) {
    for (int64_t at = low; at < high;) {
        const int64_t row = at / units, begin = at - row * units, end = min(units, begin + high - at);
        work(row, begin, end);
        at += end - begin;
    }
}

// `last` holds the state throughout.
template <Gates G, int parts, class T> void scan_forward_block(const Scan<T>& call, int64_t low, int64_t high) {
    const int64_t H = call.units;
    for (int p = 0; p < parts; ++p) copy(call.first[p] + low, high - low, call.last[p] + low);
    for (int64_t k = 0; k < call.steps; ++k)
        over_rows(H, low, high, [&](int64_t row, int64_t begin, int64_t end) {
            const auto [t, alive, fresh] = Moment<T>(call, k, row);
            const Line<T, parts> state(call.last, row * H), h(call.h, t, row);
            const Line<const T, parts> a(call.a, t, row), b(call.b, t, row);
            const T* u = call.u ? call.u.at(t, row) : nullptr;
            for (int64_t j = begin; j < end; j += width<T>) {
                const int64_t count = end - j;
                Number<T, parts> now{};
                if (alive) {
                    if (!fresh) now = state.get(j, count);
                    if constexpr (G == Gates::none) {
                        now = a.get(j, count) * now + b.get(j, count);
                    } else {
                        const Gated<G, T> gates(u + j, H, count);
                        now = gates.a() * now + gates.b();
                    }
                    state.put(j, now, count);
                }
                h.put(j, now, count);
            }
        });
}

// g_t is the whole gradient of h_t:  db_t = g_t,  da_t = g_t h*_{t-1},  g_{t-1} += a*_t g_t. The memory of the gradient of `first`
// holds it at every step.
template <Gates G, int parts, class T>
void scan_backward_block(const Scan<T>& call, const ScanGradients<T>& grad, int64_t low, int64_t high) {
    const int64_t H = call.units;
    for (int p = 0; p < parts; ++p)
        if (grad.last[p]) copy(grad.last[p] + low, high - low, grad.first[p] + low);
        else fill(grad.first[p] + low, high - low, T(0));
    for (int64_t k = call.steps; k-- > 0;)
        over_rows(H, low, high, [&](int64_t row, int64_t begin, int64_t end) {
            const auto [t, alive, fresh] = Moment<T>(call, k, row);
            const bool is_summed = grad.over_time && k + 1 < call.steps;
            const Line<T, parts> g(grad.first, row * H), da(grad.a, grad.over_time ? 0 : t, row), db(grad.b, t, row);
            const Line<const T, parts> a(call.a, t, row), of_h(grad.h, t, row);
            const Line<const T, parts> before = k ? Line<const T, parts>(call.h, Moment<T>(call, k - 1, row).t, row)
                                                  : Line<const T, parts>(call.first, row * H);
            const T* u = call.u ? call.u.at(t, row) : nullptr;
            T* du = grad.u ? grad.u.at(t, row) : nullptr;
            for (int64_t j = begin; j < end; j += width<T>) {
                const int64_t count = end - j;
                Number<T, parts> d_now{}, h{}, past{};
                if (alive) d_now = of_h ? g.get(j, count) + of_h.get(j, count) : g.get(j, count);
                if (alive && !fresh) h = before.get(j, count);
                const Number<T, parts> d_a = d_now * conjugate(h);
                if constexpr (G == Gates::none) {
                    da.put(j, is_summed ? da.get(j, count) + d_a : d_a, count);
                    db.put(j, d_now, count);
                    if (!fresh) past = conjugate(a.get(j, count)) * d_now;
                } else if (alive) {
                    const Gated<G, T> gates(u + j, H, count);
                    gates.back(d_a, d_now, du + j, H, count);
                    if (!fresh) past = gates.a() * d_now;
                } else {
                    for (int block = 0; block < Gated<G, T>::blocks; ++block)
                        store(du + block * H + j, Vec<T>{}, count);
                }
                if (alive) g.put(j, past, count);
            }
        });
}

// Runs block<gates, parts>(low, high) over the columns [B · H]. Threads share them by whole cache lines.
template <class T, class Block> void over_blocks(const Scan<T>& call, int threads, const Block& block) {
    constexpr int64_t block_columns = 2048;
    const int64_t columns = call.rows * call.units;
    in_parallel(threads, [&](Team& team, int me) {
        const auto until = [&](int part) { return min(columns, round_up(columns * part / team.size, 64)); };
        for (int64_t low = until(me), end = until(me + 1); low < end; low += block_columns) {
            const int64_t high = min(low + block_columns, end);
            if (call.gates == Gates::mingru) block.template operator()<Gates::mingru, 1>(low, high);
            else if (call.gates == Gates::minlstm) block.template operator()<Gates::minlstm, 1>(low, high);
            else if (call.complex) block.template operator()<Gates::none, 2>(low, high);
            else block.template operator()<Gates::none, 1>(low, high);
        }
    });
}

template <class T> void scan_forward(const Scan<T>& call, int threads) {
    over_blocks(call, threads,
        [&]<Gates G, int parts>(int64_t low, int64_t high) { scan_forward_block<G, parts>(call, low, high); });
}

template <class T> void scan_backward(const Scan<T>& call, const ScanGradients<T>& grad, int threads) {
    over_blocks(call, threads,
        [&]<Gates G, int parts>(int64_t low, int64_t high) { scan_backward_block<G, parts>(call, grad, low, high); });
}

}  // namespace seriatim::SERIATIM_TARGET
