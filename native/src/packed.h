// One layer's weights as its products read them, and which products a step is made of.
//
// A step is one stage, or more where a product needs a whole row of what another gave:
//
//        LSTM, GRU, RNN            every gate                      → h'
//        reset before the product  r, z → r ⊙ h;  then n           → h'
//        layer norm                the recurrent part, whole rows  → normalised, every gate → h'
//        projection                … then h = h' W_hrᵀ
#pragma once

#include "cells.h"
#include "panels.h"
#include "reduced.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T>
struct Stage {
    Blocks blocks;
    Panels<T> from_x, from_h;     // the first is empty where there is no input part to multiply
    int h_at = 0;                 // the recurrent part's first column in a tile; the input part's is 0
    int gates[4] = {0, 1, 2, 3};  // whose input part stands in column c; of plain blocks: the first
    bool plain = false;
    int64_t u_offset = 0;  // vectors of a row's input part that are other stages'
};

template <class T>
class PackedWeights {
public:
    // Less than full precision is for steps of float32 cells of one stage.
    PackedWeights(const Spec& spec, const Weights<const T>& weights, Precision precision, int threads);

    Shared<T> shared() const { return {spec, bias.get(), padded, w_ch.get(), g_hh.get(), g_c.get(), b_c.get()}; }

    // Steps walk the panels to and fro, so that each begins with those that the one before has left in the cache.
    bool turn() const {
        const bool now = __atomic_load_n(&backwards_, __ATOMIC_RELAXED);
        __atomic_store_n(&backwards_, !now, __ATOMIC_RELAXED);
        return now;
    }
    int64_t bytes() const {
        return sizeof(T) / values_of_word * spec.gates() * spec.units *
               (spec.outputs() + (spec.given ? 0 : spec.inputs));
    }

    const Spec spec;
    const Precision precision;
    const int64_t padded;  // H, rounded up to whole vectors
    Stage<T> stages[2];    // the second only where a GRU resets before the product
    int stage_count = 1;
    Stage<T> projection;
    ReducedPanels reduced_x, reduced_h;
    int64_t u_vectors = 0;  // of a row's input part
    Lease<T> bias;          // [4][padded], by column of the tile
    Lease<T> w_ch, g_hh, g_c, b_c;

private:
    mutable bool backwards_ = false;
    void lay_out(Stage<T>& stage, Blocks blocks, bool plain, int h_at);
    void reduce(const Weights<const float>& weights);
    void lay_bias(int column, const T* one, const T* other, int gate);
    static Lease<T> copied(const T* from, int64_t count) {
        Lease<T> to(from ? up_to(count, width<T>) : 0);
        if (from) copy(from, count, to.get());
        return to;
    }
};

template <class T>
PackedWeights<T>::PackedWeights(const Spec& given_spec, const Weights<const T>& weights, Precision given_precision,
                                int threads)
    : spec(given_spec),
      precision(given_precision),
      padded(up_to(spec.units, width<T>)),
      bias(4 * padded, T(0)),
      w_ch(copied(weights.w_ch, 3 * spec.units)),
      g_hh(copied(weights.g_hh, spec.gates() * spec.units)),
      g_c(copied(weights.g_c, spec.units)),
      b_c(copied(weights.b_c, spec.units)) {
    const int64_t H = spec.units, P = spec.outputs();
    const bool resets_first = spec.kind == Kind::gru && !spec.reset_after;
    const bool gru_after = spec.kind == Kind::gru && spec.reset_after;
    int recurrent[4] = {0, 1, 2, 3};  // whose recurrent part stands in column h_at + c
    Stage<T>& first = stages[0];
    if (spec.layer_norm) {
        lay_out(first, plain_blocks<T>(spec.gates() * H), true, 0);
    } else if (resets_first) {
        stage_count = 2;
        lay_out(first, gate_blocks<T>(H, 2), false, 0);
        stages[1].gates[0] = 2;
        lay_out(stages[1], plain_blocks<T>(H), true, 0);
    } else if (gru_after) {
        const int order[] = {2, 0, 1};
        copy(order, 3, first.gates);
        lay_out(first, gate_blocks<T>(H, 3), false, 1);
    } else if (spec.gates() == 4) {
        lay_out(first, gate_blocks<T>(H, 4), false, 0);
    } else {
        lay_out(first, plain_blocks<T>(H), true, 0);
    }

    lay_bias(0, weights.b_ih, gru_after ? nullptr : weights.b_hh, gru_after ? 2 : 0);
    for (int column = 1; column < spec.gates(); ++column)
        lay_bias(column, weights.b_ih, weights.b_hh, gru_after ? column - 1 : column);
    if (gru_after) lay_bias(3, nullptr, weights.b_hh, 2);

    if constexpr (sizeof(T) == sizeof(float))
        if (precision != Precision::full) {
            reduce(weights);
            return;
        }

    if (spec.projected) {
        projection.blocks = plain_blocks<T>(P);
        projection.from_h = Panels<T>(projection.blocks, H);
        projection.plain = true;
    }

    const auto pack = [&](Team& team, int me) {
        for (int s = 0; s < stage_count; ++s) {
            const Stage<T>& stage = stages[s];
            const Range mine = share(stage.blocks, me, team.size);
            for (int64_t b = mine.begin; b < mine.end; ++b) {
                const Block& block = stage.blocks[b];
                if (stage.plain) {
                    const int64_t row = stage.gates[0] * H;
                    if (stage.from_x) stage.from_x.pack_rows(block, weights.w_ih + row * spec.inputs);
                    stage.from_h.pack_rows(block, weights.w_hh + row * P);
                } else {
                    if (stage.from_x) stage.from_x.pack_gates(block, weights.w_ih, H, stage.gates);
                    stage.from_h.pack_gates(block, weights.w_hh, H, recurrent);
                }
            }
        }
        const Range mine = share(projection.blocks, me, team.size);
        for (int64_t b = mine.begin; b < mine.end; ++b) projection.from_h.pack_rows(projection.blocks[b], weights.w_hr);
    };
    constexpr int64_t worth_sharing = 1 << 16;
    in_parallel(spec.gates() * H * (spec.inputs + P) < worth_sharing ? 1 : threads, pack);
}

template <class T>
void PackedWeights<T>::lay_out(Stage<T>& stage, Blocks blocks, bool plain, int h_at) {
    stage.blocks = static_cast<Blocks&&>(blocks);
    stage.plain = plain;
    stage.h_at = h_at;
    if (precision != Precision::full) return;
    stage.from_h = Panels<T>(stage.blocks, spec.outputs());
    if (spec.given) return;
    stage.from_x = Panels<T>(stage.blocks, spec.inputs);
    stage.u_offset = u_vectors;
    u_vectors += vectors(stage.blocks);
}

template <class T>
void PackedWeights<T>::reduce(const Weights<const float>& weights) {
    const Stage<T>& stage = stages[0];
    const int64_t I = spec.inputs, P = spec.outputs();
    reduced_x = ReducedPanels(stage.blocks, I, precision);
    reduced_h = ReducedPanels(stage.blocks, P, precision);
    for (const Block& block : stage.blocks)
        for (int c = 0; c < block.columns; ++c)
            for (int64_t lane = 0; lane < width<T>; ++lane) {
                const int64_t unit = block.first + lane + (stage.plain ? c * width<T> : 0);
                if (unit >= block.first + block.units) continue;
                reduced_x.pack(block, c, lane,
                               weights.w_ih + ((stage.plain ? 0 : stage.gates[c]) * spec.units + unit) * I);
                reduced_h.pack(block, c, lane, weights.w_hh + ((stage.plain ? 0 : c) * spec.units + unit) * P);
            }
}

template <class T>
void PackedWeights<T>::lay_bias(int column, const T* one, const T* other, int gate) {
    T* to = bias.get() + column * padded;
    for (int64_t unit = 0; unit < spec.units; ++unit)
        to[unit] = (one ? one[gate * spec.units + unit] : T(0)) + (other ? other[gate * spec.units + unit] : T(0));
}

}  // namespace seriatim::SERIATIM_TARGET
