// The weights' gradients: sums over steps and rows of (gradient of the gates) × (the values that the weight multiplied).
//
// The values of a chunk are stored feature by feature. Then the sum over rows is the same product of tiles as everywhere else, and k
// runs over rows. Until all chunks are done, the results are transposed: [feature][gate unit]. A last feature of ones gives the bias.
#pragma once

#include "cells/all.h"
#include "panels.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> class WeightSums {
public:
    static constexpr int64_t chunk_rows = 384;  // per chunk, unless one step has more

    // `rows` is the largest number of rows of one step.
    WeightSums(const Spec& spec, const Weights<T>& wanted, int64_t rows, int threads);
    // Distance between two rows of the gates' gradient. Not a power of two: then all rows of a column would compete for a few cache sets.
    int64_t stride() const {
        const bool splits = spec_.splits_gradients() && !spec_.layer_norm;
        return (spec_.gates() + splits) * spec_.units + width<T>;
    }
    ThreadSums<T> of_thread(int me) const {
        T* at = thread_sums_.get() + me * thread_size_;
        const int64_t H = spec_.units, all = spec_.gates() * H;
        return {at, at + 3 * H, at + 3 * H + all, at + 3 * H + 2 * all, at + 4 * H + 2 * all};
    }

    // Adds the rows of a chunk. Every thread of the team calls it; it waits for all before and after.
    void add(Team& team, int me, const List<const BackwardRow<T>*>& rows);
    // Writes the gradients. Every thread of the team calls it after the last chunk.
    void write(Team& team, int me) const;

private:
    using Feature = const T* (*)(const Spec&, const BackwardRow<T>&, T* room);
    // A run of columns of the gates' gradient, and the first of the weight's rows that they belong to.
    struct Segment { int64_t column, count, row; };
    // A weight with its bias, and the function that gives the values it multiplied.
    struct Factor {
        Feature feature;
        int64_t features;
        T *weight, *bias;
    };
    // The product for one weight, or for two weights that share the gates' gradients.
    struct Task {
        Factor factors[2];
        int count;
        Segment segments[2];
        bool of_h;         // the gradients belong to h after its projection
        int64_t rows;      // of the weights
        int64_t features;  // of all factors, and one feature of ones
        Blocks blocks;
        Scratch<T> sums;  // [features][padded rows]
        int64_t padded;
        int64_t at;  // its first feature among the features of all tasks
    };

    static int64_t column_of(const Task& task,
        int64_t row) {  // the column of the gates' gradient for a row of the weights
        const int64_t beyond = row - task.segments[0].count;
        return beyond < 0 ? task.segments[0].column + row : task.segments[1].column + beyond;
    }
    void want(const Factor& factor, Segment first, Segment second = {}, bool of_h = false);
    void lay_out(const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end);
    void lay_out(const Task& task, const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end, T* room);
    void multiply(const Task& task, Range mine, const List<const BackwardRow<T>*>& rows);

    static const T* input(const Spec&, const BackwardRow<T>& row, T*) { return row.x; }
    static const T* m(const Spec&, const BackwardRow<T>& row, T*) { return row.m; }
    static const T* operand(const Spec& spec, const BackwardRow<T>& row, T* room) {
        if (!row.factors) return row.h;
        for (int64_t i = 0; i < spec.outputs(); ++i) room[i] = row.h[i] * row.factors[i];
        return room;
    }
    static const T* second_stage_operand(const Spec& spec, const BackwardRow<T>& row, T* room) {
        const T* h = operand(spec, row, room);
        with_cell(spec, [&]<class Cell>() {
            if constexpr (std::size(Cell::stages) == 2) Cell::second_stage_operand(row, h, spec.units, room);
        });
        return room;
    }

    static constexpr int max_tasks = 4;
    const Spec& spec_;
    const Weights<T> wanted_;
    const int threads_;
    const int64_t thread_size_;
    Scratch<T> thread_sums_;
    Task tasks_[max_tasks];
    int count_ = 0;                    // of tasks
    int64_t features_ = 0, room_ = 0;  // features of all tasks; capacity of a chunk in rows
    Scratch<T> laid_out_;              // [features][room]
    bool any_ = false;                 // a chunk was added
};

template <class T> WeightSums<T>::WeightSums(const Spec& spec, const Weights<T>& wanted, int64_t rows, int threads)
    : spec_(spec), wanted_(wanted), threads_(threads),
      thread_size_(round_up(5 * spec.units + 2 * spec.gates() * spec.units, 64)),
      thread_sums_(threads * thread_size_, T(0)) {
    const int64_t H = spec.units, P = spec.outputs(), all = spec.gates() * H;
    const int64_t direct = spec.cell->direct_gates * H,
                  shared = (spec.layer_norm ? spec.gates() : spec.cell->shared_gates) * H;
    const auto from = [](T* array, int64_t count) { return array ? array + count : nullptr; };
    T* b_hh = spec.layer_norm ? nullptr : wanted.b_hh;
    if (!spec.input_projected)
        want({input, spec.inputs, wanted.w_ih, wanted.b_ih}, {0, shared, 0},
            shared < all ? Segment{all, all - shared, shared} : Segment{});
    want({operand, P, wanted.w_hh, b_hh}, {0, direct, 0});
    if (direct < all)
        want({second_stage_operand, P, from(wanted.w_hh, direct * P), from(b_hh, direct)}, {direct, all - direct, 0});
    if (spec.projected) want({m, H, wanted.w_hr, nullptr}, {0, P, 0}, {}, true);
    for (int t = 0; t < count_; ++t) {
        Task& task = tasks_[t];
        task.at = features_;
        task.features = 1;
        for (int f = 0; f < task.count; ++f) task.features += task.factors[f].features;
        task.sums = Scratch<T>(task.features * task.padded);
        features_ += task.features;
    }
    room_ = round_up(max(chunk_rows, rows), 16) + 16;
    laid_out_ = Scratch<T>(features_ * room_);
}

template <class T> void WeightSums<T>::want(const Factor& factor, Segment first, Segment second, bool of_h) {
    if (!factor.weight && !factor.bias) return;
    Task* task = count_ ? &tasks_[count_ - 1] : nullptr;
    const auto same = [](const Segment& a, const Segment& b) { return a.column == b.column && a.count == b.count; };
    if (!task || task->count == 2 || task->of_h != of_h || !same(task->segments[0], first) ||
        !same(task->segments[1], second)) {
        task = &tasks_[count_++];
        task->count = 0;
        task->segments[0] = first, task->segments[1] = second;
        task->of_h = of_h;
        task->rows = first.count + second.count;
        task->blocks = plain_blocks<T>(task->rows);
        task->padded = vectors(task->blocks) * width<T>;
    }
    task->factors[task->count] = factor;
    if (!factor.weight) task->factors[task->count].features = 0;
    ++task->count;
}

template <class T> void WeightSums<T>::add(Team& team, int me, const List<const BackwardRow<T>*>& rows) {
    if (rows.size()) lay_out(rows, features_ * me / team.size, features_ * (me + 1) / team.size);
    team.barrier();
    for (int t = 0; t < count_ && rows.size(); ++t) {
        const int part = t % 2 ? team.size - 1 - me
                               : me;  // alternate, so that a thread with fewer blocks of one task has more of the next
        multiply(tasks_[t], blocks_of_thread(tasks_[t].blocks, part, team.size), rows);
    }
    team.barrier();
    if (me == 0 && rows.size()) any_ = true;
}

// Stores features `begin` to `end` of every row, counted over all tasks.
template <class T> void WeightSums<T>::lay_out(const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end) {
    const Scratch<T> room(width<T> * max(max(spec_.inputs, spec_.units), spec_.outputs()));
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const int64_t first = max(begin, task.at), last = min(end, task.at + task.features);
        if (first < last) lay_out(task, rows, first - task.at, last - task.at, room.get());
    }
}

template <class T> void WeightSums<T>::lay_out(
    const Task& task, const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end, T* room) {
    T* to = laid_out_.get() + task.at * room_;
    int64_t at = 0;  // the first feature of the factor
    for (int f = 0; f < task.count; ++f) {
        const Factor& factor = task.factors[f];
        const int64_t first = max(begin - at, 0), last = min(end - at, factor.features);
        for (int64_t p = 0; p < rows.size() && first < last; p += width<T>) {
            const int64_t count = min(width<T>, rows.size() - p);
            const T* from[width<T>];
            for (int64_t i = 0; i < count; ++i)
                from[i] = factor.feature(spec_, *rows[p + i], room + i * factor.features) + first;
            transposed<T>(
                count, last - first, [&](int64_t i) { return from[i]; },
                [&](int64_t feature) { return to + (at + first + feature) * room_ + p; }, true);
        }
        at += factor.features;
    }
    if (at < end) fill(to + at * room_, rows.size(), T(1));
}

template <class T> void WeightSums<T>::multiply(const Task& task, Range mine, const List<const BackwardRow<T>*>& rows) {
    const int64_t depth = rows.size(), words = words_of(depth);
    const LeftRows left(task.features, depth, [&](int64_t f) { return laid_out_.get() + (task.at + f) * room_; });
    const Tiles tiles(task.features);
    const Scratch<T> panel(words * tile_columns * width<T>);
    for (int64_t b = mine.begin; b < mine.end; ++b) {
        const Block& block = task.blocks[b];
        const int64_t stride = block.columns * width<T>;
        const auto gradients = [&](int64_t k) -> const T* { return task.of_h ? rows[k]->grad_h : rows[k]->grad_sums; };
        for (int64_t word = 0; word < words; ++word) {
            constexpr int64_t distance = 6;  // words to prefetch ahead
            const int64_t column = column_of(task, block.first);
            for (int64_t k = (word + distance) * values_of_word; k < min(depth, (word + distance + 1) * values_of_word);
                ++k)
                for (int c = 0; c < block.columns; ++c) __builtin_prefetch(gradients(k) + column + c * width<T>);
            for (int c = 0; c < block.columns; ++c) {
                const int64_t first = block.first + c * width<T>, count = min(width<T>, task.rows - first);
                const int64_t here =
                    min(count, max(0, task.segments[0].count - first));  // the other columns are in the second segment
                store(panel.get() + word * stride + c * width<T>, right_word<T>(word, depth, [&](int64_t k) {
                    const T* from = gradients(k) + column_of(task, first);
                    if (here == count || here == 0) return load(from, count);
                    Vec<T> values = load(from, here);
                    for (int64_t lane = here; lane < count; ++lane)
                        values[lane] = gradients(k)[task.segments[1].column + lane - here];
                    return values;
                }));
            }
        }
        for (int64_t t = 0; t < tiles.tiles; ++t) {
            const int64_t first = tiles.begin(t);
            const int count = static_cast<int>(tiles.begin(t + 1) - first);
            Tile<T> sums = {};
            const T* factors[TILE_ROWS];
            for (int r = 0; r < count; ++r) {
                factors[r] = left[first + r];
                const T* before = task.sums.get() + (first + r) * task.padded + block.first;
                for (int c = 0; c < block.columns && any_; ++c) sums[r][c] = load(before + c * width<T>);
            }
            multiply_tile(factors, count, static_cast<const T*>(panel.get()), block.columns, stride, words, sums[0],
                {reinterpret_cast<const char*>(panel.get()), 0});
            for (int r = 0; r < count; ++r)
                for (int c = 0; c < block.columns; ++c)
                    store(task.sums.get() + (first + r) * task.padded + block.first + c * width<T>, sums[r][c]);
        }
    }
}

template <class T> void WeightSums<T>::write(Team& team, int me) const {
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const int64_t begin = task.rows * me / team.size, end = task.rows * (me + 1) / team.size;
        const T* sums = task.sums.get() + begin;
        for (int f = 0; f < task.count; ++f) {
            const Factor& factor = task.factors[f];
            if (!any_) fill(factor.weight + begin * factor.features, (end - begin) * factor.features, T(0));
            else
                transposed<T>(
                    factor.features, end - begin, [&](int64_t feature) { return sums + feature * task.padded; },
                    [&](int64_t row) { return factor.weight + (begin + row) * factor.features; }, false);
            sums += factor.features * task.padded;
        }
        for (int f = 0; f < task.count; ++f)  // `sums` now points at the feature of ones
            for (int64_t row = begin; row < end && task.factors[f].bias; ++row)
                task.factors[f].bias[row] = any_ ? sums[row - begin] : T(0);
    }
    if (me != 0) return;
    const int64_t H = spec_.units, all = spec_.gates() * H;
    const auto total = [&](T* to, int64_t count, T* ThreadSums<T>::* which) {
        if (!to) return;
        fill(to, count, T(0));
        for (int m = 0; m < threads_; ++m)
            for (int64_t i = 0; i < count; ++i) to[i] += (of_thread(m).*which)[i];
    };
    total(wanted_.w_ch, spec_.cell->peepholes * H, &ThreadSums<T>::peephole);
    total(wanted_.g_hh, all, &ThreadSums<T>::g_hh);
    if (spec_.layer_norm) total(wanted_.b_hh, all, &ThreadSums<T>::b_hh);
    total(wanted_.g_c, H, &ThreadSums<T>::g_c);
    total(wanted_.b_c, H, &ThreadSums<T>::b_c);
}

}  // namespace seriatim::SERIATIM_TARGET
