// What the cells do once their products are summed: one row and one block of units at a time. The way back is in cells_back.h.
//
// The equations and their numbers are those of the twin (src/seriatim/kernels/_rnn.py, _lstm.py, _gru.py,
// _slstm.py).
#pragma once

#include "tile.h"
#include "timeline.h"

namespace seriatim::SERIATIM_TARGET {

// Where a row's input part is that was made beforehand. The rows of a step stand together, [block][row][column][lane], so that a tile
// reads in one piece.
template <class T>
struct InputPart {
    T* step = nullptr;
    int64_t row = 0, rows = 0;
    explicit operator bool() const { return step; }
    T* at(int64_t vectors_before, int columns) const {
        return step + (vectors_before * rows + row * columns) * width<T>;
    }
};

// One row at one step, forward. Null where there is nothing.
template <class T>
struct Row : Here<T> {
    InputPart<T> u{};
    const T* operand = nullptr;  // h before, as it enters products [P]
    T* out = nullptr;            // h after [P]
    T* next = nullptr;           // the same as it will enter products, where that differs
    T* c_next = nullptr;
    T* gates = nullptr;      // [S, H]
    bool far = false;        // whether `gates` will have left the caches when it is read, and is aligned
    T* candidate = nullptr;  // h' before it is projected [H]
    T* raw = nullptr;        // the recurrent part before it is normalised [G·H]; then an LSTM's candidate c
    T* reset_h = nullptr;    // r ⊙ h of a GRU that resets before the product [H]
};

// What all rows share.
template <class T>
struct Shared {
    const Spec& spec;
    const T* bias;   // [column of a tile][padded]: what sums begin as
    int64_t padded;  // H, rounded up to whole vectors
    const T* w_ch;
    const T* g_hh;
    const T* g_c;
    const T* b_c;
    Vec<T> bias_at(int column, int64_t unit) const { return load(bias + column * padded + unit); }
};

template <class T>
inline void keep(const Row<T>& row, int64_t slot, int64_t units, Vec<T> values, Span at) {
    T* to = row.gates + slot * units + at.first;
    if (row.far) store_past(to, values);
    else store(to, values, at.count);
}

template <class T>
inline Vec<T> blend(const Kept<T>& keep, const T* before, Vec<T> after, Span at) {
    if (!keep) return after;
    const Vec<T> share = keep.at(at);
    return after + share * (load(before + at.first, at.count) - after);
}

// c of this step, or a part of what stands in its place.
template <class T>
inline void carry(const Row<T>& row, Vec<T> c, Span at) {
    store(row.c_next + at.first, blend(row.keep_c, row.c, c, at), at.count);
}

// h of this step is known: hand it on.
template <class T>
inline void finish(const Row<T>& row, Vec<T> h, Span at) {
    h = blend(row.keep_h, row.h, h, at);
    store(row.out + at.first, h, at.count);
    if (row.next) store(row.next + at.first, h * load(row.factors + at.first, at.count), at.count);
}

template <class T>
inline void emit(const Row<T>& row, Vec<T> h, Span at) {
    if (row.candidate) store(row.candidate + at.first, h, at.count);
    else finish(row, h, at);
}

// Of up to four vectors of units together.
template <class T>
inline void activation(Phi phi, Vec<T> (&a)[4]) {
    if (phi == Phi::tanh) return squash<T, Gate::tanh, Gate::tanh, Gate::tanh, Gate::tanh>(a);
    if (phi == Phi::sigmoid) return squash<T, Gate::sigma, Gate::sigma, Gate::sigma, Gate::sigma>(a);
    for (Vec<T>& one : a) one = one < T(0) ? Vec<T>{} : one;
}

template <class T>
inline void rnn(const Shared<T>& cell, const Row<T>& row, Vec<T> (&h)[4], Span at) {
    const int count = static_cast<int>((at.count + width<T> - 1) / width<T>);
    activation<T>(cell.spec.phi, h);  // (2)
    for (int c = 0; c < count; ++c) {
        const int64_t first = c * width<T>;
        const Span here{at.first + first, least(width<T>, at.count - first)};
        if (row.gates) store(row.gates + here.first, h[c], here.count);
        emit(row, h[c], here);
    }
}

// A gated cell comes in two halves, so that the second, which waits for the first, can be done for all rows of a tile together.

// Puts c and o into the first and the last of the sums.
template <bool peephole, class T>
inline void lstm_gates(const Shared<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
    const int64_t H = cell.spec.units;
    const T* peep = peephole ? cell.w_ch + at.first : nullptr;
    const Vec<T> before = load(row.c + at.first, at.count);
    Vec<T> a[] = {sums[0], sums[1], sums[2], sums[3]};
    if constexpr (peephole) {
        a[0] += load(peep, at.count) * before;
        a[1] += load(peep + H, at.count) * before;
    }
    const Vec<T> a_o = a[3];
    squash<T, Gate::sigma, Gate::sigma, Gate::tanh, Gate::sigma>(a);    // (2)
    const Vec<T> i = a[0], f = a[1], g = a[2], c = f * before + i * g;  // (3)
    const Vec<T> o = peephole ? sigmoid<T>(a_o + load(peep + 2 * H, at.count) * c) : a[3];
    carry(row, c, at);
    if (row.gates) {
        keep(row, 0, H, i, at), keep(row, 1, H, f, at);
        keep(row, 2, H, g, at), keep(row, 3, H, o, at);
    }
    if (cell.spec.layer_norm) store(row.raw + at.first, c, at.count);
    sums[0] = c, sums[3] = o;
}

// The same of an sLSTM, whose state of `units` c, n and m stand one behind the other: puts c / n and o there.
template <class T>
inline void slstm_gates(const Shared<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
    const int64_t H = cell.spec.units;
    const Span of_n{at.first + H, at.count}, of_m{at.first + 2 * H, at.count};
    const Vec<T> before = load(row.c + at.first, at.count), n_before = load(row.c + of_n.first, at.count),
                 m_before = load(row.c + of_m.first, at.count);
    const Vec<T> a_i = sums[0], a_f = sums[1];
    Vec<T> a[] = {sums[2], sums[3]};
    squash<T, Gate::tanh, Gate::sigma>(a);
    const Vec<T> g = a[0], o = a[1], e = falling<T>(magnitude<T>(a_f));
    const Vec<T> kept = at_most<T>(a_f, Vec<T>{}) - log_one_plus<T>(e) + m_before;  // (2): log σ(a_f) + m
    const auto fresh = n_before == T(0), newer = fresh | (a_i >= kept);             // (7)
    const Vec<T> less = falling<T>(magnitude<T>(a_i - kept));                       // the larger of i and f is 1
    const Vec<T> i = newer ? all<T>(1) : less, f = fresh ? Vec<T>{} : newer ? less : all<T>(1);  // (3), (4)
    const Vec<T> c = f * before + i * g, n = f * n_before + i;                                   // (5)
    carry(row, c, at), carry(row, n, of_n), carry(row, newer ? a_i : kept, of_m);
    if (row.gates) {
        keep(row, 0, H, i, at), keep(row, 1, H, f, at), keep(row, 2, H, g, at), keep(row, 3, H, o, at);
        keep(row, 4, H, (a_f < T(0) ? all<T>(1) : e) * reciprocal<T>(e + T(1)), at);
    }
    sums[0] = quotient<T>(c, n), sums[3] = o;
}

// From n's input part, r, z and n's recurrent part: puts z and what n is the tanh of into the first two of the sums.
template <class T>
inline void gru_gates(const Shared<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
    const int64_t H = cell.spec.units;
    Vec<T> a[] = {sums[1], sums[2]};
    squash<T, Gate::sigma, Gate::sigma>(a);  // (2)
    const Vec<T> r = a[0], z = a[1], v = sums[3];
    if (row.gates) { keep(row, 0, H, r, at), keep(row, 1, H, z, at), keep(row, 3, H, v, at); }
    sums[1] = sums[0] + r * v;
    sums[0] = z;
}

template <class T>
inline void gru_output(const Shared<T>& cell, const Row<T>& row, Vec<T> z, Vec<T> n, Span at) {
    if (row.gates) keep(row, 2, cell.spec.units, n, at);
    emit(row, n + z * (load(row.h + at.first, at.count) - n), at);  // (4)
}

// A GRU that resets before the product: first r and z, from which r ⊙ h; then n.
template <class T>
inline void gru_reset(const Shared<T>& cell, const Row<T>& row, const Vec<T>* sums, Span at) {
    const int64_t H = cell.spec.units;
    Vec<T> a[] = {sums[0], sums[1]};
    squash<T, Gate::sigma, Gate::sigma>(a);
    const Vec<T> r = a[0], z = a[1];
    store(row.gates + at.first, r, at.count), store(row.gates + H + at.first, z, at.count);
    store(row.reset_h + at.first, r * load(row.operand + at.first, at.count), at.count);
}

template <class T>
inline void gru_candidate(const Shared<T>& cell, const Row<T>& row, Vec<T> a, Span at) {
    const int64_t H = cell.spec.units;
    const Vec<T> n = tanh<T>(a), z = load(row.gates + H + at.first, at.count);
    store(row.gates + 2 * H + at.first, n, at.count);
    emit(row, n + z * (load(row.h + at.first, at.count) - n), at);
}

// f<K>() for the kind of a cell.
template <class F>
inline void by_kind(Kind kind, const F& f) {
    switch (kind) {
        case Kind::rnn:
            return f.template operator()<Kind::rnn>();
        case Kind::lstm:
            return f.template operator()<Kind::lstm>();
        case Kind::gru:
            return f.template operator()<Kind::gru>();
        case Kind::slstm:
            return f.template operator()<Kind::slstm>();
    }
}

// The two halves of a gated cell of one stage, and which of its sums becomes its tanh between them: c or (3), or, with -1, none.
template <Kind K, class T>
inline void gates_of(const Shared<T>& cell, const Row<T>& row, Vec<T>* sums, Span at) {
    if constexpr (K == Kind::lstm)
        cell.w_ch ? lstm_gates<true>(cell, row, sums, at) : lstm_gates<false>(cell, row, sums, at);
    else if constexpr (K == Kind::slstm) slstm_gates(cell, row, sums, at);
    else gru_gates(cell, row, sums, at);
}

template <Kind K>
inline constexpr int squashed_of = K == Kind::lstm  ? 0
                                   : K == Kind::gru ? 1
                                                    : -1;

template <Kind K, class T>
inline void output_of(const Shared<T>& cell, const Row<T>& row, const Vec<T>* sums, Span at) {
    if constexpr (K == Kind::gru) gru_output(cell, row, sums[0], sums[1], at);
    else emit(row, sums[3] * sums[0], at);  // (4); of an sLSTM (6)
}

}  // namespace seriatim::SERIATIM_TARGET
