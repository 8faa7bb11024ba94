// One layer's weights as its products read them, and the products of a step.
//
// A step has one stage, or more if a product needs a whole row of another one's result:
//
//        usually                   every gate                      → h'
//        reset before the product  r, z → r ⊙ h;  then n           → h'
//        layer normalisation       the recurrent part, whole rows  → normalised, every gate → h'
//        projection                after that, h = h' W_hrᵀ
#pragma once

#include "cells/all.h"
#include "panels.h"
#include "reduced_weights.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> struct Stage {
    Blocks blocks;
    Panels<T> from_x, from_h;     // the first is empty if there is no input part to multiply
    int recurrent_column = 0;     // the first column of the recurrent part in a tile; the input part starts at 0
    int gates[4] = {0, 1, 2, 3};  // the gate whose input part is in column c; of plain blocks, only the first
    bool is_plain = false;
    int64_t u_offset = 0;  // vectors of a row's input part that belong to earlier stages
};

template <class T> class PackedWeights {
public:
    // Less than full precision is only for single steps of float32 cells of one stage.
    PackedWeights(const Spec& spec, const Weights<const T>& weights, Precision precision, int threads);

    CellWeights<T> cell_weights() const {
        return {spec, bias.get(), padded, w_ch.get(), g_hh.get(), g_c.get(), b_c.get()};
    }

    // Steps read the blocks forwards and backwards in turn, so that each begins with the panels that the step before left in the cache.
    bool turn() const {
        const bool now = __atomic_load_n(&backwards_, __ATOMIC_RELAXED);
        __atomic_store_n(&backwards_, !now, __ATOMIC_RELAXED);
        return now;
    }
    int64_t bytes() const {
        return sizeof(T) / values_of_word * spec.gates() * spec.units *
               (spec.outputs() + (spec.input_projected ? 0 : spec.inputs));
    }

    const Spec spec;
    const Precision precision;
    const int64_t padded;  // H, rounded up to whole vectors
    Stage<T> stages[2];
    int stage_count = 1;
    Stage<T> projection;
    ReducedPanels reduced_x, reduced_h;
    int64_t u_vectors = 0;  // of a row's input part
    Scratch<T> bias;        // [4][padded], by column of the tile; of a plain stage, by gate
    Scratch<T> w_ch, g_hh, g_c, b_c;

private:
    mutable bool backwards_ = false;
    void lay_out(Stage<T>& stage, Blocks blocks, const StageLayout& layout);
    void reduce(const Weights<const float>& weights);
    void add_bias(int column, const T* bias_of_gates, int gate);
    static Scratch<T> copied(const T* from, int64_t count) {
        Scratch<T> to(from ? round_up(count, width<T>) : 0);
        if (from) copy(from, count, to.get());
        return to;
    }
};

template <class T> PackedWeights<T>::PackedWeights(
    const Spec& given_spec, const Weights<const T>& weights, Precision given_precision, int threads)
    : spec(given_spec), precision(given_precision), padded(round_up(spec.units, width<T>)), bias(4 * padded, T(0)),
      w_ch(copied(weights.w_ch, spec.cell->peepholes * spec.units)),
      g_hh(copied(weights.g_hh, spec.gates() * spec.units)), g_c(copied(weights.g_c, spec.units)),
      b_c(copied(weights.b_c, spec.units)) {
    const int64_t H = spec.units, P = spec.outputs();
    with_cell(spec, [&]<class Cell>() {
        for (const StageLayout& stage : Cell::stages)
            for (int c = 0; c < stage.count; ++c) {
                const bool is_plain = stage.count == 1;
                const int gate = stage.gates[c];
                add_bias(is_plain ? gate : c, weights.b_ih, gate);
                add_bias(is_plain ? gate : stage.recurrent_column + c, weights.b_hh, is_plain ? gate : c);
            }
        if (spec.layer_norm) {  // the normalised rows are a stage of their own
            lay_out(stages[0], plain_blocks<T>(spec.gates() * H), {1, {0}});
            return;
        }
        stage_count = static_cast<int>(std::size(Cell::stages));
        for (int s = 0; s < stage_count; ++s) {
            const StageLayout& layout = Cell::stages[s];
            lay_out(stages[s], layout.count == 1 ? plain_blocks<T>(H) : gate_blocks<T>(H, layout.count), layout);
        }
    });

    if constexpr (sizeof(T) == sizeof(float))
        if (precision != Precision::full) {
            reduce(weights);
            return;
        }

    if (spec.projected) {
        projection.blocks = plain_blocks<T>(P);
        projection.from_h = Panels<T>(projection.blocks, H);
        projection.is_plain = true;
    }

    constexpr int in_order[] = {0, 1, 2, 3};
    const auto pack = [&](Team& team, int me) {
        for (int s = 0; s < stage_count; ++s) {
            const Stage<T>& stage = stages[s];
            const Range mine = blocks_of_thread(stage.blocks, me, team.size);
            for (int64_t b = mine.begin; b < mine.end; ++b) {
                const Block& block = stage.blocks[b];
                if (stage.is_plain) {
                    const int64_t row = stage.gates[0] * H;
                    if (stage.from_x) stage.from_x.pack_rows(block, weights.w_ih + row * spec.inputs);
                    stage.from_h.pack_rows(block, weights.w_hh + row * P);
                } else {
                    if (stage.from_x) stage.from_x.pack_gates(block, weights.w_ih, H, stage.gates);
                    stage.from_h.pack_gates(block, weights.w_hh, H, in_order);
                }
            }
        }
        const Range mine = blocks_of_thread(projection.blocks, me, team.size);
        for (int64_t b = mine.begin; b < mine.end; ++b) projection.from_h.pack_rows(projection.blocks[b], weights.w_hr);
    };
    constexpr int64_t worth_sharing = 1 << 16;
    in_parallel(spec.gates() * H * (spec.inputs + P) < worth_sharing ? 1 : threads, pack);
}

template <class T> void PackedWeights<T>::lay_out(Stage<T>& stage, Blocks blocks, const StageLayout& layout) {
    stage.blocks = static_cast<Blocks&&>(blocks);
    stage.is_plain = layout.count == 1;
    stage.recurrent_column = layout.recurrent_column;
    copy(layout.gates, 4, stage.gates);
    if (precision != Precision::full) return;
    stage.from_h = Panels<T>(stage.blocks, spec.outputs());
    if (spec.input_projected) return;
    stage.from_x = Panels<T>(stage.blocks, spec.inputs);
    stage.u_offset = u_vectors;
    u_vectors += vectors(stage.blocks);
}

template <class T> void PackedWeights<T>::reduce(const Weights<const float>& weights) {
    const Stage<T>& stage = stages[0];
    const int64_t I = spec.inputs, P = spec.outputs();
    reduced_x = ReducedPanels(stage.blocks, I, precision);
    reduced_h = ReducedPanels(stage.blocks, P, precision);
    for (const Block& block : stage.blocks)
        for (int c = 0; c < block.columns; ++c)
            for (int64_t lane = 0; lane < width<T>; ++lane) {
                const int64_t unit = block.first + lane + (stage.is_plain ? c * width<T> : 0);
                if (unit >= block.first + block.units) continue;
                reduced_x.pack(
                    block, c, lane, weights.w_ih + ((stage.is_plain ? 0 : stage.gates[c]) * spec.units + unit) * I);
                reduced_h.pack(block, c, lane, weights.w_hh + ((stage.is_plain ? 0 : c) * spec.units + unit) * P);
            }
}

template <class T> void PackedWeights<T>::add_bias(int column, const T* bias_of_gates, int gate) {
    T* to = bias.get() + column * padded;
    for (int64_t unit = 0; bias_of_gates && unit < spec.units; ++unit)
        to[unit] += bias_of_gates[gate * spec.units + unit];
}

}  // namespace seriatim::SERIATIM_TARGET
