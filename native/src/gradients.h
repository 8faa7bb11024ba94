// The weights' gradients: sums over steps and rows of (the gates' gradient) × (what the weight was multiplied with).
//
// A chunk's factors are laid out feature by feature, so that the sum over its rows is the same product of tiles as all
// others, with k running over rows. The results stand transposed, [feature][gate unit], until all chunks are in. A last
// feature of ones gives the bias.
#pragma once

#include "cells.h"
#include "panels.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T>
class WeightSums {
public:
    // A thread's part of the gradients that are sums over rows alone.
    struct Own {
        T *peephole, *g_hh, *b_hh, *g_c, *b_c;
    };

    WeightSums(int64_t columns, const Spec& spec, const Backward<T>& call, int threads);
    int64_t columns() const { return columns_; }
    Own own(int me) const {
        T* at = own_.get() + me * own_size_;
        const int64_t H = spec_.units, all = spec_.gates() * H;
        return {at, at + 3 * H, at + 3 * H + all, at + 3 * H + 2 * all, at + 4 * H + 2 * all};
    }

    // Adds the rows of a chunk. All of the team call it; it waits before and after.
    void add(Team& team, int me, const List<const BackRow<T>*>& rows);
    // Writes what the caller wants. All of the team call it after the last chunk.
    void write(Team& team, int me) const;

private:
    using Feature = const T* (*)(const Spec&, const BackRow<T>&, T* room);
    // Columns of the gates' gradient, and the weight's rows that they belong to.
    struct Segment {
        int64_t column, count, row;
    };
    struct Task {
        Feature feature;      // the row that a step multiplied this weight with
        int64_t features;
        Segment segments[2];
        bool of_h;            // whether the gradient's rows are those of h after its projection
        T *weight, *bias;
        int64_t rows;         // of the weight
        Blocks blocks;
        Lease<T> sums;        // [features + 1][padded rows]
        int64_t padded;
        int64_t at;           // the first of its features among all
    };

    void want(Feature feature, int64_t features, T* weight, T* bias, Segment first, Segment second = {}, bool of_h = false);
    void lay_out(const List<const BackRow<T>*>& rows, int64_t begin, int64_t end);
    void multiply(const Task& task, Range mine, const List<const BackRow<T>*>& rows);

    static const T* input(const Spec&, const BackRow<T>& row, T*) { return row.x; }
    static const T* m(const Spec&, const BackRow<T>& row, T*) { return row.m; }
    static const T* operand(const Spec& spec, const BackRow<T>& row, T* room) {
        if (!row.factors) return row.operand;
        for (int64_t i = 0; i < spec.outputs(); ++i) room[i] = row.operand[i] * row.factors[i];
        return room;
    }
    static const T* reset_operand(const Spec& spec, const BackRow<T>& row, T* room) {
        const T* h = operand(spec, row, room);
        for (int64_t i = 0; i < spec.units; ++i) room[i] = h[i] * row.gates[i];
        return room;
    }

    static constexpr int64_t max_rows_floor = 320;
    static constexpr int max_tasks = 4;
    const Spec& spec_;
    const Backward<T>& call_;
    const int threads_;
    const int64_t columns_, own_size_;
    Lease<T> own_;
    Task tasks_[max_tasks];
    int count_ = 0;
    int64_t features_ = 0, room_ = 0;  // features of all tasks; rows that a chunk may have
    Lease<T> laid_out_;                // [features][room]
    bool any_ = false;                 // whether a chunk was added
};

template <class T>
WeightSums<T>::WeightSums(int64_t columns, const Spec& spec, const Backward<T>& call, int threads)
    : spec_(spec), call_(call), threads_(threads), columns_(columns), own_size_(up_to(5 * spec.units + 2 * spec.gates() * spec.units, 64)),
      own_(threads * own_size_, T(0)) {
    const int64_t H = spec.units, G = spec.gates(), P = spec.outputs();
    const Weights<T>& wanted = call.grad_weights;
    const bool gru = spec.kind == Kind::gru && !spec.layer_norm, apart = gru && spec.reset_after;
    T* b_hh = spec.layer_norm ? nullptr : wanted.b_hh;
    if (!spec.given) {
        if (apart) want(input, spec.inputs, wanted.w_ih, wanted.b_ih, {0, 2 * H, 0}, {3 * H, H, 2 * H});
        else want(input, spec.inputs, wanted.w_ih, wanted.b_ih, {0, G * H, 0});
    }
    if (gru && !apart) {
        want(operand, P, wanted.w_hh, b_hh, {0, 2 * H, 0});
        want(reset_operand, P, wanted.w_hh ? wanted.w_hh + 2 * H * P : nullptr, b_hh ? b_hh + 2 * H : nullptr, {2 * H, H, 0});
    } else {
        want(operand, P, wanted.w_hh, b_hh, {0, G * H, 0});
    }
    if (spec.projected) want(m, H, wanted.w_hr, nullptr, {0, P, 0}, {}, true);
    room_ = up_to(most(max_rows_floor, call.rows), 16) + 16;
    laid_out_ = Lease<T>(features_ * room_);
}

template <class T>
void WeightSums<T>::want(Feature feature, int64_t features, T* weight, T* bias, Segment first, Segment second, bool of_h) {
    if (!weight && !bias) return;
    Task& task = tasks_[count_++];
    task.feature = feature, task.features = weight ? features : 0;
    task.segments[0] = first, task.segments[1] = second;
    task.of_h = of_h, task.weight = weight, task.bias = bias;
    task.rows = first.count + second.count;
    task.blocks = plain_blocks<T>(task.rows);
    task.padded = vectors(task.blocks) * width<T>;
    task.sums = Lease<T>((task.features + 1) * task.padded);
    task.at = features_;
    features_ += task.features + 1;
}

template <class T>
void WeightSums<T>::add(Team& team, int me, const List<const BackRow<T>*>& rows) {
    if (rows.size()) lay_out(rows, features_ * me / team.size, features_ * (me + 1) / team.size);
    team.barrier();
    for (int t = 0; t < count_ && rows.size(); ++t) {
        const int part = t % 2 ? team.size - 1 - me : me;  // who has a block less of one task has one more of the next
        multiply(tasks_[t], share(tasks_[t].blocks, part, team.size), rows);
    }
    team.barrier();
    if (me == 0 && rows.size()) any_ = true;
}

// Features `begin` to `end`, of all tasks, of every row.
template <class T>
void WeightSums<T>::lay_out(const List<const BackRow<T>*>& rows, int64_t begin, int64_t end) {
    const int64_t widest = most(most(spec_.inputs, spec_.units), spec_.outputs());
    const Lease<T> room(width<T> * widest);
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const int64_t first = most(begin - task.at, 0), ones = least(task.features, end - task.at);
        if (first >= end - task.at || first > task.features) continue;
        for (int64_t p = 0; p < rows.size() && first < ones; p += width<T>) {
            const int64_t count = least(width<T>, rows.size() - p);
            const T* from[width<T>];
            for (int64_t i = 0; i < count; ++i) from[i] = task.feature(spec_, *rows[p + i], room.get() + i * widest) + first;
            transposed<T>(
                count, ones - first, [&](int64_t i) { return from[i]; },
                [&](int64_t f) { return laid_out_.get() + (task.at + first + f) * room_ + p; }, true);
        }
        if (task.at + task.features < end) fill(laid_out_.get() + (task.at + task.features) * room_, rows.size(), T(1));
    }
}

template <class T>
void WeightSums<T>::multiply(const Task& task, Range mine, const List<const BackRow<T>*>& rows) {
    const int64_t depth = rows.size(), features = task.features + (task.bias ? 1 : 0);
    const Tiles tiles(features);
    const Lease<T> panel(depth * tile_columns * width<T>);
    for (int64_t b = mine.begin; b < mine.end; ++b) {
        const Block& block = task.blocks[b];
        const int64_t stride = block.columns * width<T>;
        // The block's columns may lie in two segments.
        const int64_t in_first = most(0, least(block.units, task.segments[0].count - block.first));
        const int64_t second = task.segments[1].column + most(0, block.first - task.segments[0].count);
        for (int64_t k = 0; k < depth; ++k) {
            const T* from = task.of_h ? rows[k]->grad_h : rows[k]->grad_sums;
            T* to = panel.get() + k * stride;
            copy(from + task.segments[0].column + block.first, in_first, to);
            copy(from + second, block.units - in_first, to + in_first);
            fill(to + block.units, stride - block.units, T(0));
        }
        for (int64_t t = 0; t < tiles.tiles; ++t) {
            const int64_t first = tiles.begin(t);
            const int count = static_cast<int>(tiles.begin(t + 1) - first);
            Tile<T> sums = {};
            const T* factors[TILE_ROWS];
            for (int r = 0; r < count; ++r) {
                factors[r] = laid_out_.get() + (task.at + first + r) * room_;
                const T* before = task.sums.get() + (first + r) * task.padded + block.first;
                for (int c = 0; c < block.columns && any_; ++c) sums[r][c] = load(before + c * width<T>);
            }
            multiply_tile<T>(factors, count, panel.get(), block.columns, stride, depth, sums, 0, {reinterpret_cast<const char*>(panel.get()), 0});
            for (int r = 0; r < count; ++r)
                for (int c = 0; c < block.columns; ++c)
                    store(task.sums.get() + (first + r) * task.padded + block.first + c * width<T>, sums[r][c]);
        }
    }
}

template <class T>
void WeightSums<T>::write(Team& team, int me) const {
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const int64_t begin = task.rows * me / team.size, end = task.rows * (me + 1) / team.size;
        if (any_)
            transposed<T>(
                task.features, end - begin, [&](int64_t f) { return task.sums.get() + f * task.padded + begin; },
                [&](int64_t j) { return task.weight + (begin + j) * task.features; }, false);
        else if (task.weight)
            fill(task.weight + begin * task.features, (end - begin) * task.features, T(0));
        if (task.bias)
            for (int64_t j = begin; j < end; ++j) task.bias[j] = any_ ? task.sums[task.features * task.padded + j] : T(0);
    }
    if (me != 0) return;
    const Weights<T>& wanted = call_.grad_weights;
    const int64_t H = spec_.units, all = spec_.gates() * H;
    const auto total = [&](T* to, int64_t count, T* Own::* which) {
        if (!to) return;
        fill(to, count, T(0));
        for (int m = 0; m < threads_; ++m)
            for (int64_t i = 0; i < count; ++i) to[i] += (own(m).*which)[i];
    };
    total(wanted.w_ch, 3 * H, &Own::peephole);
    total(wanted.g_hh, all, &Own::g_hh);
    if (spec_.layer_norm) total(wanted.b_hh, all, &Own::b_hh);
    total(wanted.g_c, H, &Own::g_c);
    total(wanted.b_c, H, &Own::b_c);
}

}  // namespace seriatim::SERIATIM_TARGET
