// The weights' gradients: sums over steps and rows of (the gates' gradient) × (what the weight was multiplied with).
//
// A chunk's factors are laid out feature by feature, so that the sum over its rows is the same product of tiles as all
// others, with k running over rows. The results stand transposed, [feature][gate unit], until all chunks are in. A last
// feature of ones gives the bias.
#pragma once

#include "cells_back.h"
#include "panels.h"
#include "threads.h"

namespace seriatim::SERIATIM_TARGET {

template <class T>
class WeightSums {
public:
    static constexpr int64_t chunk_rows = 384;  // of a chunk, unless one step has more

    // A thread's part of the gradients that are sums over rows alone.
    struct Own {
        T *peephole, *g_hh, *b_hh, *g_c, *b_c;
    };

    // A step may have up to `rows` rows.
    WeightSums(const Spec& spec, const Weights<T>& wanted, int64_t rows, int threads);
    // From one row of the gates' gradient to the next: not a power of two, with which a column would share a few cache sets.
    int64_t stride() const {
        const bool apart = spec_.kind == Kind::gru && spec_.reset_after && !spec_.layer_norm;
        return (apart ? 4 : spec_.gates()) * spec_.units + width<T>;
    }
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
    // A weight, and the rows that the steps multiplied it with.
    struct Factor {
        Feature feature;
        int64_t features;
        T *weight, *bias;
    };
    // Weights that have the same gradients of the gates.
    struct Task {
        Factor factors[2];
        int count;
        Segment segments[2];
        bool of_h;         // whether the gradients are those of h after its projection
        int64_t rows;      // of the weights
        int64_t features;  // of all factors, and the ones
        Blocks blocks;
        Lease<T> sums;  // [features][padded rows]
        int64_t padded;
        int64_t at;  // the first of its features among all
    };

    static int64_t column_of(const Task& task, int64_t row) {  // of the gates' gradient, by the weights' row
        const int64_t beyond = row - task.segments[0].count;
        return beyond < 0 ? task.segments[0].column + row : task.segments[1].column + beyond;
    }
    void want(const Factor& factor, Segment first, Segment second = {}, bool of_h = false);
    void lay_out(const List<const BackRow<T>*>& rows, int64_t begin, int64_t end);
    void lay_out(const Task& task, const List<const BackRow<T>*>& rows, int64_t begin, int64_t end, T* room);
    void multiply(const Task& task, Range mine, const List<const BackRow<T>*>& rows);

    static const T* input(const Spec&, const BackRow<T>& row, T*) { return row.x; }
    static const T* m(const Spec&, const BackRow<T>& row, T*) { return row.m; }
    static const T* operand(const Spec& spec, const BackRow<T>& row, T* room) {
        if (!row.factors) return row.h;
        for (int64_t i = 0; i < spec.outputs(); ++i) room[i] = row.h[i] * row.factors[i];
        return room;
    }
    static const T* reset_operand(const Spec& spec, const BackRow<T>& row, T* room) {
        const T* h = operand(spec, row, room);
        for (int64_t i = 0; i < spec.units; ++i) room[i] = h[i] * row.gates[i];
        return room;
    }

    static constexpr int max_tasks = 4;
    const Spec& spec_;
    const Weights<T> wanted_;
    const int threads_;
    const int64_t own_size_;
    Lease<T> own_;
    Task tasks_[max_tasks];
    int count_ = 0;                    // of tasks
    int64_t features_ = 0, room_ = 0;  // features of all tasks; rows that a chunk may have
    Lease<T> laid_out_;                // [features][room]
    bool any_ = false;                 // whether a chunk was added
};

template <class T>
WeightSums<T>::WeightSums(const Spec& spec, const Weights<T>& wanted, int64_t rows, int threads)
    : spec_(spec),
      wanted_(wanted),
      threads_(threads),
      own_size_(up_to(5 * spec.units + 2 * spec.gates() * spec.units, 64)),
      own_(threads * own_size_, T(0)) {
    const int64_t H = spec.units, G = spec.gates(), P = spec.outputs();
    const bool gru = spec.kind == Kind::gru && !spec.layer_norm, apart = gru && spec.reset_after;
    T* b_hh = spec.layer_norm ? nullptr : wanted.b_hh;
    const Factor x{input, spec.inputs, wanted.w_ih, wanted.b_ih}, h{operand, P, wanted.w_hh, b_hh};
    if (apart) {
        if (!spec.given) want(x, {0, 2 * H, 0}, {3 * H, H, 2 * H});
        want(h, {0, 3 * H, 0});
    } else if (gru) {
        if (!spec.given) want(x, {0, 3 * H, 0});
        want(h, {0, 2 * H, 0});
        want({reset_operand, P, wanted.w_hh ? wanted.w_hh + 2 * H * P : nullptr, b_hh ? b_hh + 2 * H : nullptr},
             {2 * H, H, 0});
    } else {
        if (!spec.given) want(x, {0, G * H, 0});
        want(h, {0, G * H, 0});
    }
    if (spec.projected) want({m, H, wanted.w_hr, nullptr}, {0, P, 0}, {}, true);
    for (int t = 0; t < count_; ++t) {
        Task& task = tasks_[t];
        task.at = features_;
        task.features = 1;
        for (int f = 0; f < task.count; ++f) task.features += task.factors[f].features;
        task.sums = Lease<T>(task.features * task.padded);
        features_ += task.features;
    }
    room_ = up_to(most(chunk_rows, rows), 16) + 16;
    laid_out_ = Lease<T>(features_ * room_);
}

template <class T>
void WeightSums<T>::want(const Factor& factor, Segment first, Segment second, bool of_h) {
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
    const Lease<T> room(width<T> * most(most(spec_.inputs, spec_.units), spec_.outputs()));
    for (int t = 0; t < count_; ++t) {
        const Task& task = tasks_[t];
        const int64_t first = most(begin, task.at), last = least(end, task.at + task.features);
        if (first < last) lay_out(task, rows, first - task.at, last - task.at, room.get());
    }
}

template <class T>
void WeightSums<T>::lay_out(const Task& task, const List<const BackRow<T>*>& rows, int64_t begin, int64_t end,
                            T* room) {
    T* to = laid_out_.get() + task.at * room_;
    int64_t at = 0;  // the factor's first feature
    for (int f = 0; f < task.count; ++f) {
        const Factor& factor = task.factors[f];
        const int64_t first = most(begin - at, 0), last = least(end - at, factor.features);
        for (int64_t p = 0; p < rows.size() && first < last; p += width<T>) {
            const int64_t count = least(width<T>, rows.size() - p);
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

template <class T>
void WeightSums<T>::multiply(const Task& task, Range mine, const List<const BackRow<T>*>& rows) {
    const int64_t depth = rows.size(), words = words_of(depth);
    const Left left(task.features, depth, [&](int64_t f) { return laid_out_.get() + (task.at + f) * room_; });
    const Tiles tiles(task.features);
    const Lease<T> panel(words * tile_columns * width<T>);
    for (int64_t b = mine.begin; b < mine.end; ++b) {
        const Block& block = task.blocks[b];
        const int64_t stride = block.columns * width<T>;
        const auto gradients = [&](int64_t k) -> const T* { return task.of_h ? rows[k]->grad_h : rows[k]->grad_sums; };
        for (int64_t word = 0; word < words; ++word) {
            constexpr int64_t soon = 6;  // words
            const int64_t column = column_of(task, block.first);
            for (int64_t k = (word + soon) * values_of_word; k < least(depth, (word + soon + 1) * values_of_word); ++k)
                for (int c = 0; c < block.columns; ++c) __builtin_prefetch(gradients(k) + column + c * width<T>);
            for (int c = 0; c < block.columns; ++c) {
                const int64_t first = block.first + c * width<T>, count = least(width<T>, task.rows - first);
                const int64_t here =
                    least(count, most(0, task.segments[0].count - first));  // the others lie in the second segment
                store(panel.get() + word * stride + c * width<T>, right<T>(word, depth, [&](int64_t k) {
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

template <class T>
void WeightSums<T>::write(Team& team, int me) const {
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
        for (int f = 0; f < task.count; ++f)  // `sums` has come to the ones
            for (int64_t row = begin; row < end && task.factors[f].bias; ++row)
                task.factors[f].bias[row] = any_ ? sums[row - begin] : T(0);
    }
    if (me != 0) return;
    const int64_t H = spec_.units, all = spec_.gates() * H;
    const auto total = [&](T* to, int64_t count, T* Own::* which) {
        if (!to) return;
        fill(to, count, T(0));
        for (int m = 0; m < threads_; ++m)
            for (int64_t i = 0; i < count; ++i) to[i] += (own(m).*which)[i];
    };
    total(wanted_.w_ch, 3 * H, &Own::peephole);
    total(wanted_.g_hh, all, &Own::g_hh);
    if (spec_.layer_norm) total(wanted_.b_hh, all, &Own::b_hh);
    total(wanted_.g_c, H, &Own::g_c);
    total(wanted_.b_c, H, &Own::b_c);
}

}  // namespace seriatim::SERIATIM_TARGET
