// The parts that all cells share. Each cell has one file in cells/, and cells/all.h lists them.
//
// A cell computes with a few vectors of units of one row at one step; it never sees the loops over time, rows and units. It is a
// struct of constants and static functions:
//
//   layout            facts that other code needs (CellLayout in engine.h)
//   stages            which gates stand in which column of a tile; two stages if a product needs a whole row of the first one's result
//   tanh_column       which column of the sums becomes its tanh between the two halves of a step; -1 for none
//   forward           first half: from the sums of a row to the new states, except h
//   output            second half: to h
//   second_stage      only with two stages: from the sums of the second stage to h
//   backward          from the gradient of h (before its projection) to the gradients of the gates' sums and of the old states
//   second_stage_backward, second_stage_operand    only with two stages
//
// cells/gru.h has an example of each. Numbers in comments refer to the equations in src/seriatim/kernels/_NAME.py.
#pragma once

#include "tile.h"
#include "timeline.h"

namespace seriatim::SERIATIM_TARGET {

// The products of a stage. Column c of a tile receives the input part of gate `gates[c]`, and column `recurrent_column` + c the
// recurrent part of gate c. A stage of one gate fills its tile with several vectors of units instead.
struct StageLayout {
    int count;  // of gates
    int gates[4];
    int recurrent_column = 0;
};

// The input part of a row, where it was computed before the step. The rows of a step are adjacent, [block][row][column][lane], so
// that a tile reads contiguous memory.
template <class T> struct InputPart {
    T* step = nullptr;
    int64_t row = 0, rows = 0;
    explicit operator bool() const { return step; }
    T* at(int64_t vectors_before, int columns) const {
        return step + (vectors_before * rows + row * columns) * width<T>;
    }
};

// One row at one step, forward. A pointer is null where the call or the cell has no such array.
template <class T> struct Row : RowStep<T> {
    InputPart<T> u{};
    const T* operand = nullptr;   // old h as products read it [P]
    T* out = nullptr;             // new h [P]
    T* next = nullptr;            // new h as products will read it, if that differs
    T* c_next = nullptr;          // new states beside h [W]
    T* gates = nullptr;           // saved for the backward pass [S, H]
    bool nontemporal = false;     // write `gates` past the caches; they are aligned then
    T* candidate = nullptr;       // new h before its projection [H]
    T* raw = nullptr;             // recurrent part before it is normalised [G·H]; later c before it is normalised [H]
    T* second_operand = nullptr;  // factor of the second stage's product [H]
};

// One row at one step, backward. A pointer is null where the call or the cell has no such array.
template <class T> struct BackwardRow : RowStep<T> {
    const T* gates = nullptr;  // [S, H]
    const T* later = nullptr;  // gradient of the gates' sums at the next step
    const T* grad_output = nullptr;
    const T* grad_cells = nullptr;
    const T* into_h = nullptr;  // gradient that reached the new states past the products
    const T* into_c = nullptr;
    T* past_h = nullptr;  // the same for the old states: written
    T* past_c = nullptr;
    T* grad_h = nullptr;  // gradient of h after the projection [P], if a projection or a norm needs whole rows of it
    T* grad_m = nullptr;  // gradient of h before the projection [H], if a norm needs whole rows of it
    T* m = nullptr;       // h before the projection [H], for the projection's gradient
    T* grad_gates = nullptr;  // gradient of the gates' sums, written
    T* grad_sums = nullptr;   // gradient of the recurrent product: the same memory, or [G·H] if a norm lies between
    T* grad_x = nullptr;      // [I]
};

// The data that all rows share.
template <class T> struct CellWeights {
    const Spec& spec;
    const T* bias;   // [column of a tile][padded]: the sums start from it
    int64_t padded;  // H, rounded up to whole vectors
    const T* w_ch;
    const T* g_hh;
    const T* g_c;
    const T* b_c;
    Vec<T> bias_at(int column, int64_t unit) const { return load(bias + column * padded + unit); }
};

// One thread's share of the gradients that are plain sums over rows.
template <class T> struct ThreadSums { T *peephole, *g_hh, *b_hh, *g_c, *b_c; };

// For each unit of a layer-normalised c: its tanh, and the gradient that came back through the norm.
template <class T> struct NormalisedC { T *squashed, *grad; };

// ---- forward

template <class T> inline void save(const Row<T>& row, int64_t slot, int64_t units, Vec<T> values, Span at) {
    T* to = row.gates + slot * units + at.first;
    if (row.nontemporal) store_nontemporal(to, values);
    else store(to, values, at.count);
}

template <class T> inline Vec<T> blend(const Zoneout<T>& zoneout, const T* before, Vec<T> after, Span at) {
    if (!zoneout) return after;
    const Vec<T> share = zoneout.at(at);
    return after + share * (load(before + at.first, at.count) - after);
}

// Stores a vector of the states beside h.
template <class T> inline void store_state(const Row<T>& row, Vec<T> c, Span at) {
    store(row.c_next + at.first, blend(row.zoneout_c, row.c, c, at), at.count);
}

template <class T> inline void store_h(const Row<T>& row, Vec<T> h, Span at) {
    h = blend(row.zoneout_h, row.h, h, at);
    store(row.out + at.first, h, at.count);
    if (row.next) store(row.next + at.first, h * load(row.factors + at.first, at.count), at.count);
}

// Stores h, or the factor of its projection.
template <class T> inline void emit(const Row<T>& row, Vec<T> h, Span at) {
    if (row.candidate) store(row.candidate + at.first, h, at.count);
    else store_h(row, h, at);
}

// ---- backward

template <class T> inline Vec<T> load_or_zero(const T* from, Span at) {
    return from ? load(from + at.first, at.count) : Vec<T>{};
}

// The gradient of the new h: it came through the products of the next step, from the output, and past the products.
template <class T> inline Vec<T> gradient_of_h(const BackwardRow<T>& row, Vec<T> through, Span at) {
    if (row.factors) through *= load(row.factors + at.first, at.count);
    Vec<T> dh = through + load_or_zero(row.grad_output, at) + load_or_zero(row.into_h, at);
    if (row.zoneout_h) {
        const Vec<T> share = row.zoneout_h.at(at);
        if (row.past_h) store(row.past_h + at.first, share * dh, at.count);
        dh -= share * dh;
    }
    return dh;
}

// Adds the gradient that reaches the old h past the products to `past_h`, which already has zoneout's share.
template <class T> inline void add_past(const BackwardRow<T>& row, Vec<T> direct, Span at) {
    if (!row.past_h) return;
    if (row.zoneout_h) direct += load(row.past_h + at.first, at.count);
    store(row.past_h + at.first, direct, at.count);
}

// The gradient of a new state beside h: the part of its candidate, and zoneout's part.
template <class T> struct StateGradient {
    Vec<T> grad, zoneout;
    StateGradient(const BackwardRow<T>& row, Span at)
        : grad(load_or_zero(row.into_c, at) + load_or_zero(row.grad_cells, at)), zoneout{} {
        if (!row.zoneout_c) return;
        zoneout = row.zoneout_c.at(at) * grad;
        grad -= zoneout;
    }
    void pass(const BackwardRow<T>& row, Vec<T> past, Span at) const {
        if (row.past_c) store(row.past_c + at.first, past + zoneout, at.count);
    }
};

}  // namespace seriatim::SERIATIM_TARGET
