// The diagonal linear recurrence, every unit on its own:  h_t = a_t h_{t-1} + b_t,  of real or of complex numbers.
//
// Nothing here is slower than memory, so what counts is the order in which it is read: a thread takes a block of the
// rows' units, as much as the first cache holds the state of, and goes with all of it from step to step.
#pragma once

#include "engine.h"
#include "minimal.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

constexpr int64_t scan_block = 2048;

// Units `first` to `first + units` of one row; their state stands at `offset` of the block's.
struct Segment {
    int64_t row, first, units, offset;
};

template <class T>
struct ScanWalk {
    const Scan<T>& call;
    ALWAYS_INLINE int64_t length(int64_t row) const { return call.lengths ? call.lengths[row] : call.steps; }
    // Which step comes at position k < length(row).
    ALWAYS_INLINE int64_t step(int64_t k, int64_t row) const { return call.reverse ? length(row) - 1 - k : k; }
    ALWAYS_INLINE bool starts(int64_t step, int64_t row) const {
        return call.reset && call.reset[step * call.rows + row];
    }
    // Runs work(segment) for the rows that columns `low` to `high` of [B · H] belong to.
    template <class F>
    ALWAYS_INLINE void segments(int64_t low, int64_t high, const F& work) const {
        for (int64_t at = low; at < high;) {
            const int64_t row = at / call.units, first = at - row * call.units, left = call.units - first;
            const int64_t units = left < high - at ? left : high - at;
            work(Segment{row, first, units, at - low});
            at += units;
        }
    }
};

// Runs work(low, high) over blocks of the columns [B · H].
template <class T, class F>
void over_blocks(const Scan<T>& call, int threads, const F& work) {
    const int64_t columns = call.rows * call.units;
    in_parallel(threads, [&](Team& team, int me) {
        const int64_t low = columns * me / team.size, high = columns * (me + 1) / team.size;
        for (int64_t at = low; at < high; at += scan_block) work(at, at + scan_block < high ? at + scan_block : high);
    });
}

// Rows of T that no other overlaps, one for real numbers and two for complex ones.
template <class T, int parts>
struct ScanState {
    alignas(64) T values[parts][scan_block];
    ALWAYS_INLINE T* at(int part, const Segment& s) { return values[part] + s.offset; }
};

template <class T>
ALWAYS_INLINE void clear(T* to, int64_t count) {
    for (int64_t j = 0; j < count; ++j) to[j] = 0;
}
template <class T>
ALWAYS_INLINE void copy(T* __restrict to, const T* __restrict from, int64_t count) {
    for (int64_t j = 0; j < count; ++j) to[j] = from[j];
}

template <class T>
ALWAYS_INLINE void advance(int64_t n, const T* __restrict a, const T* __restrict b, T* __restrict h,
                           T* __restrict out) {
    for (int64_t j = 0; j < n; ++j) out[j] = h[j] = a[j] * h[j] + b[j];
}
template <class T>
ALWAYS_INLINE void advance(int64_t n, const T* __restrict a, const T* __restrict a_im, const T* __restrict b,
                           const T* __restrict b_im, T* __restrict h, T* __restrict h_im, T* __restrict out,
                           T* __restrict out_im) {
    for (int64_t j = 0; j < n; ++j) {
        const T re = a[j] * h[j] - a_im[j] * h_im[j] + b[j], im = a[j] * h_im[j] + a_im[j] * h[j] + b_im[j];
        out[j] = h[j] = re, out_im[j] = h_im[j] = im;
    }
}

template <Gates G, int parts, class T>
void scan_forward_block(const Scan<T>& call, int64_t low, int64_t high) {
    const ScanWalk<T> walk{call};
    ScanState<T, parts> h;
    ScanState<T, 2> made;  // a and b, where gates make them
    const auto state = [&](const Segment& s) { return s.row * call.units + s.first; };
    walk.segments(low, high, [&](const Segment& s) {
        for (int p = 0; p < parts; ++p) copy(h.at(p, s), call.first[p] + state(s), s.units);
    });
    for (int64_t k = 0; k < call.steps; ++k)
        walk.segments(low, high, [&](const Segment& s) {
            if (k >= walk.length(s.row)) {
                for (int p = 0; p < parts; ++p) clear(call.h[p].at(k, s.row) + s.first, s.units);
                return;
            }
            const int64_t t = walk.step(k, s.row);
            if (walk.starts(t, s.row))
                for (int p = 0; p < parts; ++p) clear(h.at(p, s), s.units);
            const T *a = made.at(0, s), *b = made.at(1, s);
            if constexpr (G == Gates::none) a = call.a[0].at(t, s.row) + s.first, b = call.b[0].at(t, s.row) + s.first;
            else coefficients<G>(call.u.at(t, s.row) + s.first, call.units, s.units, made.at(0, s), made.at(1, s));
            T* out = call.h[0].at(t, s.row) + s.first;
            if constexpr (parts == 1) advance(s.units, a, b, h.at(0, s), out);
            else
                advance(s.units, a, call.a[1].at(t, s.row) + s.first, b, call.b[1].at(t, s.row) + s.first, h.at(0, s),
                        h.at(1, s), out, call.h[1].at(t, s.row) + s.first);
        });
    walk.segments(low, high, [&](const Segment& s) {
        for (int p = 0; p < parts; ++p) copy(call.last[p] + state(s), h.at(p, s), s.units);
    });
}

// With g_t the gradient of h_t and of all that follows from it:  db_t = g_t,  da_t = g_t h*_{t-1},  g_{t-1} += a*_t g_t.
template <bool Add, class T>
ALWAYS_INLINE void retreat(int64_t n, const T* __restrict a, const T* __restrict before, T* __restrict g,
                           T* __restrict da, T* __restrict db) {
    for (int64_t j = 0; j < n; ++j) {
        const T own = g[j];
        db[j] = own;
        da[j] = (Add ? da[j] : T(0)) + own * before[j];
        g[j] = a[j] * own;
    }
}
template <bool Add, class T>
ALWAYS_INLINE void retreat(int64_t n, const T* __restrict a, const T* __restrict a_im, const T* __restrict before,
                           const T* __restrict before_im, T* __restrict g, T* __restrict g_im, T* __restrict da,
                           T* __restrict da_im, T* __restrict db, T* __restrict db_im) {
    for (int64_t j = 0; j < n; ++j) {
        const T re = g[j], im = g_im[j];
        db[j] = re, db_im[j] = im;
        da[j] = (Add ? da[j] : T(0)) + re * before[j] + im * before_im[j];
        da_im[j] = (Add ? da_im[j] : T(0)) + im * before[j] - re * before_im[j];
        g[j] = a[j] * re + a_im[j] * im;
        g_im[j] = a[j] * im - a_im[j] * re;
    }
}

// With Add, a is the same at every step and its gradient is summed.
template <Gates G, int parts, bool Add, class T>
void scan_backward_block(const Scan<T>& call, const ScanGradients<T>& grad, int64_t low, int64_t high) {
    const ScanWalk<T> walk{call};
    constexpr int blocks = G == Gates::minlstm ? 3 : 2;
    ScanState<T, parts> g, sum, nothing;
    ScanState<T, 4> made;  // a and b, and their gradients, where gates make them
    const auto state = [&](const Segment& s) { return s.row * call.units + s.first; };
    walk.segments(low, high, [&](const Segment& s) {
        for (int p = 0; p < parts; ++p) {
            if (grad.last[p]) copy(g.at(p, s), grad.last[p] + state(s), s.units);
            else clear(g.at(p, s), s.units);
            clear(sum.at(p, s), s.units);
            clear(nothing.at(p, s), s.units);
        }
    });
    for (int64_t k = call.steps; k-- > 0;)
        walk.segments(low, high, [&](const Segment& s) {
            if (k >= walk.length(s.row)) {
                if constexpr (G == Gates::none) {
                    for (int p = 0; p < parts; ++p) {
                        clear(grad.b[p].at(k, s.row) + s.first, s.units);
                        if (!Add) clear(grad.a[p].at(k, s.row) + s.first, s.units);
                    }
                } else {
                    for (int block = 0; block < blocks; ++block)
                        clear(grad.u.at(k, s.row) + block * call.units + s.first, s.units);
                }
                return;
            }
            const int64_t t = walk.step(k, s.row);
            const bool fresh = walk.starts(t, s.row);
            const T *a[parts], *before[parts];
            T *da[parts], *db[parts];
            for (int p = 0; p < parts; ++p) {
                if (grad.h[p]) {
                    const T* __restrict more = grad.h[p].at(t, s.row) + s.first;
                    T* __restrict own = g.at(p, s);
                    for (int64_t j = 0; j < s.units; ++j) own[j] += more[j];
                }
                before[p] = fresh ? nothing.at(p, s)
                            : k   ? call.h[p].at(walk.step(k - 1, s.row), s.row) + s.first
                                  : call.first[p] + state(s);
                if constexpr (G == Gates::none) {
                    a[p] = call.a[p].at(t, s.row) + s.first;
                    da[p] = Add ? sum.at(p, s) : grad.a[p].at(t, s.row) + s.first;
                    db[p] = grad.b[p].at(t, s.row) + s.first;
                }
            }
            const T* u = nullptr;
            if constexpr (G != Gates::none) {
                u = call.u.at(t, s.row) + s.first;
                coefficients<G>(u, call.units, s.units, made.at(0, s), made.at(1, s));
                a[0] = made.at(0, s), da[0] = made.at(2, s), db[0] = made.at(3, s);
            }
            if constexpr (parts == 1) retreat<Add>(s.units, a[0], before[0], g.at(0, s), da[0], db[0]);
            else
                retreat<Add>(s.units, a[0], a[1], before[0], before[1], g.at(0, s), g.at(1, s), da[0], da[1], db[0],
                             db[1]);
            if (fresh)
                for (int p = 0; p < parts; ++p) clear(g.at(p, s), s.units);
            if constexpr (G != Gates::none)
                coefficients_back<G>(u, call.units, s.units, da[0], db[0], grad.u.at(t, s.row) + s.first);
        });
    walk.segments(low, high, [&](const Segment& s) {
        for (int p = 0; p < parts; ++p) {
            copy(grad.first[p] + state(s), g.at(p, s), s.units);
            if (Add) copy(grad.a[p].at(0, s.row) + s.first, sum.at(p, s), s.units);
        }
    });
}

template <class T>
void scan_forward(const Scan<T>& call, int threads) {
    const auto block = call.gates == Gates::mingru    ? scan_forward_block<Gates::mingru, 1, T>
                       : call.gates == Gates::minlstm ? scan_forward_block<Gates::minlstm, 1, T>
                       : call.complex                 ? scan_forward_block<Gates::none, 2, T>
                                                      : scan_forward_block<Gates::none, 1, T>;
    over_blocks(call, threads, [&](int64_t low, int64_t high) { block(call, low, high); });
}

template <class T>
void scan_backward(const Scan<T>& call, const ScanGradients<T>& grad, int threads) {
    const bool add = grad.over_time;
    const auto block =
        call.gates == Gates::mingru    ? scan_backward_block<Gates::mingru, 1, false, T>
        : call.gates == Gates::minlstm ? scan_backward_block<Gates::minlstm, 1, false, T>
        : call.complex
            ? (add ? scan_backward_block<Gates::none, 2, true, T> : scan_backward_block<Gates::none, 2, false, T>)
            : (add ? scan_backward_block<Gates::none, 1, true, T> : scan_backward_block<Gates::none, 1, false, T>);
    over_blocks(call, threads, [&](int64_t low, int64_t high) { block(call, grad, low, high); });
}

}  // namespace seriatim::SERIATIM_TARGET
