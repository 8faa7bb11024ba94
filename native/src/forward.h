// Forward in time. The cells' own files say what a step computes, packed_weights.h what it multiplies; nothing here depends on a cell.
#pragma once

#include "for_each_block.h"
#include "packed_weights.h"
#include "statistics.h"

namespace seriatim::SERIATIM_TARGET {

// Sets the sums of a block's rows to the biases of its columns (1).
template <class T>
void start_from_bias(const Stage<T>& stage, const CellWeights<T>& cell, const Block& block, int count, Sums<T>* sums) {
    for (int c = 0; c < tile_columns; ++c) {
        Vec<T> bias{};
        if (!stage.is_plain) bias = cell.bias_at(c, block.first);
        else if (c < block.columns) bias = cell.bias_at(stage.gates[0], block.first + c * width<T>);
        for (int r = 0; r < count; ++r) sums[r][c] = bias;
    }
}

// Adds the input part if it is there already: the caller's, or computed before the step together with the bias.
template <class T> void start_sums(const Stage<T>& stage, const CellWeights<T>& cell, const Block& block,
    const Row<T>* rows, int count, Sums<T>* sums) {
    start_from_bias(stage, cell, block, count, sums);
    for (int r = 0; r < count; ++r) {
        if (rows[r].u) {
            const T* u = rows[r].u.at(stage.u_offset + block.offset, block.columns);
            for (int c = 0; c < block.columns; ++c) sums[r][c] = load(u + c * width<T>);
        } else if (cell.spec.input_projected) {
            for (int c = 0; c < block.columns; ++c) {
                const int64_t unit = block.first + (stage.is_plain ? c * width<T> : 0);
                const int gate = stage.gates[stage.is_plain ? 0 : c];
                sums[r][c] += load(rows[r].x + gate * cell.spec.units + unit, block.first + block.units - unit);
            }
        }
    }
}

// Normalises a row's recurrent part and continues as the cell does (Ba 2016).
template <class Cell, class T> void normalised_step(const CellWeights<T>& cell, const Row<T>& row) {
    constexpr int shared = Cell::layout.shared_gates, columns = Cell::layout.gates + Cell::stages[0].recurrent_column;
    static_assert(shared + Cell::stages[0].recurrent_column == Cell::layout.gates);
    const Spec& spec = cell.spec;
    const int64_t H = spec.units, G = spec.gates();
    const auto [mean, scale] = statistics(static_cast<const T*>(row.raw), G * H);
    T* saved = row.gates + spec.cell->saved * H;
    saved[G * H] = scale;
    for (int64_t first = 0; first < H; first += width<T>) {
        const Span at{first, min(width<T>, H - first)};
        Vec<T> sums[tile_columns] = {};
        for (int64_t g = 0; g < G; ++g) {
            const Vec<T> v = (load(row.raw + g * H + first, at.count) - mean) * scale;
            store(saved + g * H + first, v, at.count);
            const Vec<T> recurrent = v * load(cell.g_hh + g * H + first, at.count),
                         input = load(row.x + g * H + first, at.count);
            if (shared == Cell::layout.gates) sums[g] = input + recurrent;
            else if (g < shared) sums[g + 1] = input + recurrent;
            else sums[0] = input, sums[columns - 1] = recurrent;  // the last gate has two columns
        }
        for (int c = 0; c < columns; ++c) sums[c] += cell.bias_at(c, first);  // (1)
        Cell::forward(cell, row, sums, at);
        if constexpr (!Cell::layout.normalises_c) {
            tanh_of_one_column<Cell::tanh_column, T>(&sums, 1);
            Cell::output(cell, row, sums, at);
        }
    }
    if constexpr (Cell::layout.normalises_c) output_of_normalised_c<Cell>(cell, row);
}

// use(first, second) with the two halves of what a cell does with the sums of a row and a block.
template <class Cell, class T, class Use> void with_halves(const CellWeights<T>& cell, const Use& use) {
    use([&](const Row<T>& row, const Block& block,
            Sums<T>& sums) { Cell::forward(cell, row, sums, {block.first, block.units}); },
        second_half<Cell::tanh_column>([&](const Row<T>& row, const Block& block, Sums<T>& sums) {
            Cell::output(cell, row, sums, {block.first, block.units});
        }));
}

// One step of `count` rows.
template <class T> void advance(const PackedWeights<T>& weights, const Row<T>* rows, int64_t count,
    const ThreadShare& share, bool backwards, const T* zeros) {
    const Spec& spec = weights.spec;
    const CellWeights<T> cell = weights.cell_weights();
    const auto old_h = [](const Row<T>& row) { return row.operand; };
    const bool multiplies_x = !spec.input_projected && count && !rows[0].u;
    const LeftRows inputs(multiplies_x ? count : 0, spec.inputs, [&](int64_t r) { return rows[r].x; });
    const auto run_stage = [&](const Stage<T>& stage, const auto& operand, const auto& first, const auto& second) {
        const auto start = [&](const Block& block, const Row<T>* tile, int n, Sums<T>* sums) {
            start_sums(stage, cell, block, tile, n, sums);
            const T* x[TILE_ROWS];
            for (int r = 0; multiplies_x && r < n; ++r) x[r] = inputs[tile - rows + r];
            if (multiplies_x) stage.from_x.add(block, x, n, sums);
        };
        for_each_block(stage.from_h, stage.blocks, share.of(stage.blocks), backwards, rows, count, operand, zeros,
            stage.recurrent_column, start, first, second);
    };
    const auto product = [&](const Stage<T>& stage, const auto& operand, const auto& use) {
        for_each_block(stage.from_h, stage.blocks, share.of(stage.blocks), backwards, rows, count, operand, zeros, 0,
            from_zero<T>, for_each_vector<T>(use));
    };
    if (spec.layer_norm) {
        product(weights.stages[0], old_h,
            [](const Row<T>& row, Vec<T> sum, Span at) { store(row.raw + at.first, sum, at.count); });
        share.wait();
        const Range mine = share.of(count);
        with_cell(spec, [&]<class Cell>() {
            if constexpr (Cell::layout.has_layer_norm)
                for (int64_t r = mine.begin; r < mine.end; ++r) normalised_step<Cell>(cell, rows[r]);
        });
    } else {
        with_cell(spec, [&]<class Cell>() {
            with_halves<Cell>(cell,
                [&](const auto& first, const auto& second) { run_stage(weights.stages[0], old_h, first, second); });
            if constexpr (std::size(Cell::stages) == 2) {
                share.wait();
                const auto operand = [](const Row<T>& row) { return static_cast<const T*>(row.second_operand); };
                const auto use = [&](const Row<T>& row, Vec<T> sum, Span at) {
                    Cell::second_stage(cell, row, sum, at);
                };
                run_stage(weights.stages[1], operand, for_each_vector<T>(use), NoSecondHalf{});
            }
        });
    }
    if (!spec.projected) return;
    share.wait();
    product(
        weights.projection, [](const Row<T>& row) { return static_cast<const T*>(row.candidate); },
        [](const Row<T>& row, Vec<T> sum, Span at) { store_h(row, sum, at); });
}

// Whole rows that a step needs and that the caller does not keep, for every row of a batch.
template <class T> struct StepBuffers {
    StepBuffers(const Spec& spec, int64_t rows, bool caller_has_gates, bool caller_has_cells)
        : c(caller_has_cells ? 0 : rows * spec.carried()),
          gates(!caller_has_gates && (spec.layer_norm || spec.has_two_stages()) ? rows * spec.slots() * spec.units : 0),
          candidate(spec.projected ? rows * spec.units : 0),
          raw(spec.layer_norm ? rows * spec.gates() * spec.units : 0),
          second_operand(spec.has_two_stages() ? rows * spec.units : 0) {}
    Scratch<T> c, gates, candidate, raw, second_operand;

    void lend(const Spec& spec, int64_t at, Row<T>& row) const {
        if (gates) row.gates = gates.get() + at * spec.slots() * spec.units;
        if (candidate) row.candidate = candidate.get() + at * spec.units;
        if (raw) row.raw = raw.get() + at * spec.gates() * spec.units;
        if (second_operand) row.second_operand = second_operand.get() + at * spec.units;
    }
};

template <class T> class ForwardPass {
public:
    ForwardPass(const PackedWeights<T>& weights, const Forward<T>& call, Split split)
        : weights_(weights), spec_(weights.spec), call_(call), split_(split), schedule_(spec_, call),
          nontemporal_(leaves_caches(weights.spec, call)), buffers_(spec_, call.rows, call.gates, call.cells),
          masked_(call.walk.dropout ? 2 * call.rows * spec_.outputs() : 0) {}

    void run(Team& team, int me) const {
        const Split split{team.size, split_.by_rows};  // the team may be smaller than `split_` says
        const ThreadShare share{&team, me, split.by_rows};
        const Timeline mine = timeline(schedule_.order, split, me, call_.walk.reverse);
        const int64_t rows = mine.rows.size();
        const bool ahead = !spec_.input_projected && mine.steps > 1 && rows < fused_from();
        const int64_t chunk_steps = ahead ? max(1, chunk_rows / max(rows, 1)) : mine.steps;
        // Split by units, every thread writes and reads only its own columns, of its own copy.
        const Scratch<T> u(ahead ? chunk_steps * rows * weights_.u_vectors * width<T> : 0);
        const Scratch<Row<T>> step_rows(rows);
        first_states(mine, share);
        share.wait();
        for (int64_t begin = 0; begin < mine.steps; begin += chunk_steps) {
            const int64_t end = min(begin + chunk_steps, mine.steps);
            if (ahead) input_part(mine, share, begin, end, u.get());
            int64_t used = 0;  // rows of u
            for (int64_t step = begin; step < end; ++step) {
                const int64_t alive = mine.alive(step);
                for (int64_t r = 0; r < alive; ++r) {
                    step_rows[r] = row(mine, r, step);
                    if (ahead) step_rows[r].u = {u.get() + used * weights_.u_vectors * width<T>, r, alive};
                }
                used += alive;
                advance(weights_, step_rows.get(), alive, share, step % 2 == 1, schedule_.zeros.get());
                share.wait();
            }
        }
        last_states(mine, share);
        if (nontemporal_) fence_nontemporal();
    }

private:
    static constexpr int64_t chunk_rows = 192;

    // With this many rows or more, each step multiplies its own input part. If the weights do not fit the second cache, both ways
    // cost traffic beyond it: the weights of x at each step, or the input parts that were computed ahead.
    int64_t fused_from() const {
        constexpr int64_t few = 3 * TILE_ROWS, many = 96;
        return weights_.bytes() <= l2_bytes() / 4 * 3 ? few : min(many, max(few, spec_.inputs / 4));
    }

    // Whether the gates are larger than the last cache, consist of whole vectors, and are not read again by the step itself.
    static bool leaves_caches(const Spec& spec, const Forward<T>& call) {
        constexpr int64_t plenty = int64_t{32} << 20;
        return call.gates && !spec.layer_norm && !spec.has_two_stages() && spec.units % width<T> == 0 &&
               reinterpret_cast<uintptr_t>(call.gates) % VECTOR_BYTES == 0 &&
               call.steps * call.rows * spec.slots() * spec.units * static_cast<int64_t>(sizeof(T)) > plenty;
    }

    Row<T> row(const Timeline& mine, int64_t r, int64_t step) const {
        Row<T> row{schedule_.at(mine, r, step)};
        const int64_t b = row.row, P = spec_.outputs(), W = spec_.carried();
        buffers_.lend(spec_, b, row);
        row.out = call_.output.at(row.time, b);
        if (call_.gates)
            row.gates = call_.gates + row.place * spec_.slots() * spec_.units, row.nontemporal = nontemporal_;
        row.operand = row.h;
        if (masked_) {
            if (!row.fresh) row.operand = masked_.get() + ((step % 2) * call_.rows + b) * P;
            row.next = masked_.get() + (((step + 1) % 2) * call_.rows + b) * P;
        }
        if (W) row.c_next = call_.cells ? call_.cells + row.place * W : buffers_.c.get() + b * W;
        if (W && !call_.cells && !row.fresh) row.c = row.c_next;
        return row;
    }

    void first_states(const Timeline& mine, const ThreadShare& share) const {
        const Range rows = share.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            const int64_t b = mine.rows[r].row, W = spec_.carried(), P = spec_.outputs();
            if (buffers_.c) copy(call_.state[1] + b * W, W, buffers_.c.get() + b * W);
            if (masked_)
                for (int64_t unit = 0; unit < P; ++unit)
                    masked_[b * P + unit] = call_.state[0][b * P + unit] * call_.walk.dropout[b * P + unit];
        }
    }

    void last_states(const Timeline& mine, const ThreadShare& share) const {
        const Range rows = share.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            const auto& entry = mine.rows[r];
            const int64_t b = entry.row, W = spec_.carried(), P = spec_.outputs(),
                          place = mine.place(entry, entry.length - 1);
            copy(static_cast<const T*>(call_.output.at(place, b)), P, call_.final[0] + b * P);
            if (W)
                copy(call_.cells ? call_.cells + call_.walk.place(place, b, call_.rows) * W : buffers_.c.get() + b * W,
                    W, call_.final[1] + b * W);
            for (int64_t step = entry.length; step < call_.steps && !call_.walk.starts; ++step)
                fill(call_.output.at(step, b), P, T(0));
        }
    }

    // With few rows a step would read its panels for little work. So one product computes the input part of several steps.
    void input_part(const Timeline& mine, const ThreadShare& share, int64_t begin, int64_t end, T* u) const {
        struct Input {
            const T* x;
            InputPart<T> u;
        };
        int64_t rows = 0;
        for (int64_t step = begin; step < end; ++step) rows += mine.alive(step);
        const Scratch<Input> inputs(rows);
        const CellWeights<T> cell = weights_.cell_weights();
        int64_t used = 0;
        for (int64_t step = begin; step < end; ++step) {
            const int64_t alive = mine.alive(step);
            for (int64_t r = 0; r < alive; ++r)
                inputs[used + r] = {call_.x.at(mine.place(mine.rows[r], step), mine.rows[r].row),
                    {u + used * weights_.u_vectors * width<T>, r, alive}};
            used += alive;
        }
        for (int s = 0; s < weights_.stage_count; ++s) {
            const Stage<T>& stage = weights_.stages[s];
            for_each_block(
                stage.from_x, stage.blocks, share.of(stage.blocks), false, inputs.get(), rows,
                [](const Input& input) { return input.x; }, static_cast<const T*>(nullptr), 0,
                [&](const Block& block, const Input*, int n, Sums<T>* sums) {
                    start_from_bias(stage, cell, block, n, sums);
                },
                [&](const Input& input, const Block& block, const Sums<T>& sums) {
                    T* to = input.u.at(stage.u_offset + block.offset, block.columns);
                    for (int c = 0; c < block.columns; ++c) store(to + c * width<T>, sums[c]);
                });
        }
    }

    const PackedWeights<T>& weights_;
    const Spec& spec_;
    const Forward<T>& call_;
    const Split split_;
    const RowSchedule<T, Forward<T>> schedule_;
    const bool nontemporal_;
    const StepBuffers<T> buffers_;
    const Scratch<T> masked_;  // h times its dropout factors, for odd and for even steps [2, B, P]
};

template <class T> void forward(const PackedWeights<T>& weights, const Forward<T>& call, int threads) {
    const Spec& spec = weights.spec;
    const Split how = split(spec, call.steps, call.rows, weights.bytes(), threads);
    announce_output(call.output, call.steps, call.rows * spec.outputs());
    const ForwardPass<T> pass(weights, call, how);
    in_parallel(how.threads, [&](Team& team, int me) {
        const ProductSession products;
        pass.run(team, me);
    });
}

// One step with weights of 8 or 16 bits.
inline void step_reduced(const PackedWeights<float>& weights, const Row<float>* rows, int64_t count) {
    const Spec& spec = weights.spec;
    const CellWeights<float> cell = weights.cell_weights();
    const Stage<float>& stage = weights.stages[0];
    ByteRow x(spec.inputs), h(spec.outputs());
    const bool backwards = weights.turn();
    for (int64_t r = 0; r < count; ++r) {
        const Row<float>& row = rows[r];
        if (weights.precision == Precision::int8) x.set(row.x, spec.inputs), h.set(row.operand, spec.outputs());
        const auto product = [&](const Block& block, Sums<float>* sums) {
            start_from_bias(stage, cell, block, 1, sums);
            weights.reduced_x.add(block, row.x, x, *sums);
            weights.reduced_h.add(block, row.operand, h, *sums + stage.recurrent_column);
        };
        with_cell(spec, [&]<class Cell>() {
            with_halves<Cell>(cell, [&](const auto& first, const auto& second) {
                for_each_block_of_row<float>(
                    stage.blocks, {0, stage.blocks.size()}, backwards, row, product, first, second);
            });
        });
    }
}

// One step. `final` may alias `state`.
template <class T> void step(const PackedWeights<T>& weights, int64_t rows, const T* x, const T* const state[2],
    T* const final[2], int threads) {
    const Spec& spec = weights.spec;
    const int64_t P = spec.outputs(), W = spec.carried();
    const StepBuffers<T> buffers(spec, rows, false, true);
    SmallScratch<T, 512> before(rows * P);  // `final` may overwrite h while it is still needed
    copy(state[0], rows * P, before.get());
    SmallScratch<Row<T>, 1> all(rows);
    for (int64_t r = 0; r < rows; ++r) {
        Row<T> row;
        buffers.lend(spec, r, row);
        row.x = x + r * spec.inputs;
        row.h = row.operand = before.get() + r * P;
        row.out = final[0] + r * P;
        if (W) row.c = state[1] + r * W, row.c_next = final[1] + r * W;
        all.get()[r] = row;
    }
    if constexpr (sizeof(T) == sizeof(float))
        if (weights.precision != Precision::full) return step_reduced(weights, all.get(), rows);
    const Split how = split(spec, 1, rows, weights.bytes(), threads);
    const bool backwards = weights.turn();
    in_parallel(how.threads, [&](Team& team, int me) {
        const ProductSession products;
        const Range mine = how.by_rows ? Range{rows * me / team.size, rows * (me + 1) / team.size} : Range{0, rows};
        advance(weights, all.get() + mine.begin, mine.end - mine.begin, ThreadShare{&team, me, how.by_rows}, backwards,
            static_cast<const T*>(nullptr));
    });
}

}  // namespace seriatim::SERIATIM_TARGET
