// The weights' gradients: sums over steps and rows of (gradient of the gates) × (the values that the weight multiplied).
//
// The values of a chunk are stored feature by feature. Then the sum over rows is the same product of tiles as everywhere else, and k
// runs over rows. Until all chunks are done, the results are transposed: [feature][gate unit], by blocks. A feature of ones is the last.
#pragma once

#include "cells/all.h"
#include "for_each_block.h"

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
        int64_t features;  // of all factors, and one feature of ones
        Blocks blocks;
        Panels<T> panels;  // the gates' gradients of a chunk
        Scratch<T> sums;   // [block][feature][its rows, padded]
        int64_t at;        // its first feature among the features of all tasks
        T* of(const Block& block, int64_t feature) const {
            return sums.get() + (block.offset * features + block.columns * feature) * width<T>;
        }
        int64_t column_of(int64_t row) const {  // of the gates' gradient, for a row of the weights
            return row < segments[0].count ? segments[0].column + row : segments[1].column + row - segments[0].count;
        }
    };

    void want(const Factor& factor, Segment first, Segment second = {}, bool of_h = false);
    void lay_out(const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end);
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
        task.sums = Scratch<T>(task.features * vectors(task.blocks) * width<T>);
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
        task->blocks = plain_blocks<T>(first.count, second.count);
    }
    task->factors[task->count] = factor;
    if (!factor.weight) task->factors[task->count].features = 0;
    ++task->count;
}

template <class T> void WeightSums<T>::add(Team& team, int me, const List<const BackwardRow<T>*>& rows) {
    if (me == 0)
        for (int t = 0; t < count_; ++t) tasks_[t].panels = Panels<T>(tasks_[t].blocks, rows.size());
    const auto until = [&](int part) { return min(rows.size(), round_up(rows.size() * part / team.size, 16)); };
    lay_out(rows, until(me), until(me + 1));
    team.barrier();
    for (int t = 0; t < count_ && rows.size(); ++t) {
        // alternate, so that a thread with fewer blocks of one task has more of the next
        const int part = t % 2 ? team.size - 1 - me : me;
        multiply(tasks_[t], blocks_of_thread(tasks_[t].blocks, part, team.size), rows);
    }
    team.barrier();
    if (me == 0 && rows.size()) any_ = true;
}

// Stores every feature of rows `begin` to `end`.
template <class T> void WeightSums<T>::lay_out(const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end) {
    const Scratch<T> room(width<T> * max(max(spec_.inputs, spec_.units), spec_.outputs()));
    T* to = laid_out_.get();
    for (int t = 0; t < count_ && begin < end; ++t) {
        for (int f = 0; f < tasks_[t].count; ++f) {
            const Factor& factor = tasks_[t].factors[f];
            for (int64_t p = begin; p < end; p += width<T>) {
                const int64_t count = min(width<T>, end - p);
                const T* from[width<T>];
                for (int64_t i = 0; i < count; ++i)
                    from[i] = factor.feature(spec_, *rows[p + i], room.get() + i * factor.features);
                transposed<T>(
                    count, factor.features, [&](int64_t i) { return from[i]; },
                    [&](int64_t feature) { return to + feature * room_ + p; }, true);
            }
            to += factor.features * room_;
        }
        fill(to + begin, end - begin, T(1));
        to += room_;
    }
}

template <class T> void WeightSums<T>::multiply(const Task& task, Range mine, const List<const BackwardRow<T>*>& rows) {
    const Panels<T>& panels = task.panels;
    const int64_t depth = panels.depth;
    const auto gradients = [&](int64_t k) -> const T* { return task.of_h ? rows[k]->grad_h : rows[k]->grad_sums; };
    for (int64_t word = 0; word < panels.words; ++word)
        for (int64_t b = mine.begin; b < mine.end; ++b) {
            const Block& block = task.blocks[b];
            const int64_t column = task.column_of(block.first);
            for (int64_t at = 0; at < block.units; at += width<T>)
                store(panels.at(block) + word * panels.stride(block) + at, right_word<T>(word, depth, [&](int64_t k) {
                    return load(gradients(k) + column + at, block.units - at);
                }));
        }
    // The values of a group of features stay in the second cache while all panels are read.
    const int64_t group = max(1, l2_bytes() / 4 / (depth * static_cast<int64_t>(sizeof(T))) / TILE_ROWS) * TILE_ROWS;
    const Scratch<int64_t> features(task.features);
    for (int64_t f = 0; f < task.features; ++f) features[f] = f;
    for (int64_t first = 0; first < task.features; first += group)
        for_each_block(
            panels, task.blocks, mine, first / group % 2 == 1, features.get() + first,
            min(group, task.features - first), [&](int64_t f) { return laid_out_.get() + (task.at + f) * room_; },
            static_cast<const T*>(nullptr), 0,
            [&](const Block& block, const int64_t* f, int count, Sums<T>* sums) {
                from_zero<T>(block, f, count, sums);
                for (int r = 0; r < count && any_; ++r)
                    for (int c = 0; c < block.columns; ++c) sums[r][c] = load(task.of(block, f[r]) + c * width<T>);
            },
            [&](int64_t f, const Block& block, const Sums<T>& sums) {
                for (int c = 0; c < block.columns; ++c) store(task.of(block, f) + c * width<T>, sums[c]);
            });
}

template <class T> void WeightSums<T>::write(Team& team, int me) const {
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const Range mine = blocks_of_thread(task.blocks, me, team.size);
        for (int64_t b = mine.begin; b < mine.end; ++b) {
            const Block& block = task.blocks[b];
            if (!any_) fill(task.of(block, 0), task.features * block.columns * width<T>, T(0));
            int64_t first = 0;  // feature of the factor
            for (int f = 0; f < task.count; ++f) {
                const Factor& factor = task.factors[f];
                T* to = factor.weight + block.first * factor.features;
                transposed<T>(
                    factor.features, block.units,
                    [&](int64_t feature) { return static_cast<const T*>(task.of(block, first + feature)); },
                    [&](int64_t row) { return to + row * factor.features; }, false);
                first += factor.features;
            }
            for (int f = 0; f < task.count; ++f)  // the last feature is the feature of ones
                for (int64_t row = 0; row < block.units && task.factors[f].bias; ++row)
                    task.factors[f].bias[block.first + row] = task.of(block, first)[row];
        }
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
