// Forward in time. What a step computes is in cells.h, what it multiplies in packed.h; the scan here knows no gates.
#pragma once

#include "packed.h"
#include "statistics.h"
#include "sweep.h"

namespace seriatim::SERIATIM_TARGET {

// What the sums of a block's rows begin with: the biases of its columns (1).
template <class T>
void begin_as_bias(const Stage<T>& stage, const Shared<T>& cell, const Block& block, int count, Sums<T>* sums) {
    for (int c = 0; c < tile_columns; ++c) {
        Vec<T> bias{};
        if (!stage.plain) bias = cell.bias_at(c, block.first);
        else if (c < block.columns) bias = cell.bias_at(stage.gates[0], block.first + c * width<T>);
        for (int r = 0; r < count; ++r) sums[r][c] = bias;
    }
}

// And the input part where it is there already: given, or made beforehand, then with the bias.
template <class T>
void begin(const Stage<T>& stage, const Shared<T>& cell, const Block& block, const Row<T>* rows, int count,
           Sums<T>* sums) {
    begin_as_bias(stage, cell, block, count, sums);
    for (int r = 0; r < count; ++r) {
        if (rows[r].u) {
            const T* u = rows[r].u.at(stage.u_offset + block.offset, block.columns);
            for (int c = 0; c < block.columns; ++c) sums[r][c] = load(u + c * width<T>);
        } else if (cell.spec.given) {
            for (int c = 0; c < block.columns; ++c) {
                const int64_t unit = block.first + (stage.plain ? c * width<T> : 0);
                const int gate = stage.gates[stage.plain ? 0 : c];
                sums[r][c] += load(rows[r].x + gate * cell.spec.units + unit, block.first + block.units - unit);
            }
        }
    }
}

// Normalises a row's recurrent part and goes on as the cell does (Ba 2016).
template <Kind K, class T>
void normalised(const Shared<T>& cell, const Row<T>& row) {
    const Spec& spec = cell.spec;
    const int64_t H = spec.units, G = spec.gates();
    const auto [mean, scale] = statistics(static_cast<const T*>(row.raw), G * H);
    T* kept = row.gates + spec.kept() * H;
    kept[G * H] = scale;
    for (int64_t first = 0; first < H; first += width<T>) {
        const Span at{first, least(width<T>, H - first)};
        Vec<T> sums[4] = {};
        for (int64_t g = 0; g < G; ++g) {
            const Vec<T> v = (load(row.raw + g * H + first, at.count) - mean) * scale;
            store(kept + g * H + first, v, at.count);
            const Vec<T> part = v * load(cell.g_hh + g * H + first, at.count),
                         u = load(row.x + g * H + first, at.count);
            if (K != Kind::gru) sums[g] = u + part;
            else if (g < 2) sums[g + 1] = u + part;
            else sums[0] = u, sums[3] = part;
        }
        for (int c = 0; c < (K == Kind::rnn ? 1 : 4); ++c) sums[c] += cell.bias_at(c, first);  // (1)
        if constexpr (K == Kind::rnn) rnn(cell, row, sums, at);
        else gates_of<K>(cell, row, sums, at);
        if constexpr (K == Kind::gru) {
            squash_one<squashed_of<K>, T>(&sums, 1);
            output_of<K>(cell, row, sums, at);
        }
    }
    if (K != Kind::lstm) return;
    const T* c = row.raw;
    const auto [c_mean, c_scale] = statistics(c, H);
    for (int64_t first = 0; first < H; first += width<T>) {
        const Span at{first, least(width<T>, H - first)};
        const Vec<T> normed = (load(c + first, at.count) - c_mean) * c_scale;
        const Vec<T> a = normed * load(cell.g_c + first, at.count) + load(cell.b_c + first, at.count);
        emit(row, load(row.gates + 3 * H + first, at.count) * tanh<T>(a), at);  // (4)
    }
}

// use(each, then) with what a cell of one stage does to the sums of a row and a block.
template <class T, class Use>
void with_cell(const Shared<T>& cell, const Use& use) {
    by_kind(cell.spec.kind, [&]<Kind K>() {
        if constexpr (K == Kind::rnn)
            use([&](const Row<T>& row, const Block& block,
                    Sums<T>& sums) { rnn(cell, row, sums, {block.first, block.units}); },
                Nothing{});
        else
            use([&](const Row<T>& row, const Block& block,
                    Sums<T>& sums) { gates_of<K>(cell, row, sums, {block.first, block.units}); },
                after_tanh<squashed_of<K>>([&](const Row<T>& row, const Block& block, Sums<T>& sums) {
                    output_of<K>(cell, row, sums, {block.first, block.units});
                }));
    });
}

// One step of `count` rows.
template <class T>
void advance(const PackedWeights<T>& weights, const Row<T>* rows, int64_t count, const Part& part, bool backwards,
             const T* zeros) {
    const Spec& spec = weights.spec;
    const Shared<T> cell = weights.shared();
    const auto h_before = [](const Row<T>& row) { return row.operand; };
    const bool multiplied = !spec.given && count && !rows[0].u;  // x, here and now
    const Left inputs(multiplied ? count : 0, spec.inputs, [&](int64_t r) { return rows[r].x; });
    const auto stage = [&](const Stage<T>& stage, const auto& operand, const auto& each, const auto& then) {
        const auto input = [&](const Block& block, const Row<T>* first, int n, Sums<T>* sums) {
            begin(stage, cell, block, first, n, sums);
            const T* of_x[TILE_ROWS];
            for (int r = 0; multiplied && r < n; ++r) of_x[r] = inputs[first - rows + r];
            if (multiplied) stage.from_x.add(block, of_x, n, sums);
        };
        sweep(stage.from_h, stage.blocks, part.of(stage.blocks), backwards, rows, count, operand, zeros, stage.h_at,
              input, each, then);
    };
    const Stage<T>& first = weights.stages[0];
    if (spec.layer_norm) {
        sweep(first.from_h, first.blocks, part.of(first.blocks), backwards, rows, count, h_before, zeros, 0,
              from_zero<T>,
              every<T>([](const Row<T>& row, Vec<T> sum, Span at) { store(row.raw + at.first, sum, at.count); }));
        part.wait();
        const Range mine = part.of(count);
        by_kind(spec.kind, [&]<Kind K>() {
            for (int64_t r = mine.begin; r < mine.end; ++r) normalised<K>(cell, rows[r]);
        });
    } else if (weights.stage_count == 2) {
        const auto reset = [&](const Row<T>& row, const Block& block, const Sums<T>& sums) {
            gru_reset(cell, row, sums, {block.first, block.units});
        };
        stage(first, h_before, reset, Nothing{});
        part.wait();
        const auto reset_h = [](const Row<T>& row) { return static_cast<const T*>(row.reset_h); };
        const auto candidate = [&](const Row<T>& row, Vec<T> sum, Span at) { gru_candidate(cell, row, sum, at); };
        stage(weights.stages[1], reset_h, every<T>(candidate), Nothing{});
    } else {
        with_cell(cell, [&](const auto& each, const auto& then) { stage(first, h_before, each, then); });
    }
    if (!spec.projected) return;
    part.wait();
    const auto& projection = weights.projection;
    sweep(
        projection.from_h, projection.blocks, part.of(projection.blocks), backwards, rows, count,
        [](const Row<T>& row) { return static_cast<const T*>(row.candidate); }, zeros, 0, from_zero<T>,
        every<T>([](const Row<T>& row, Vec<T> sum, Span at) { finish(row, sum, at); }));
}

// Whole rows that a step needs beside what the caller keeps, for every row of a batch.
template <class T>
struct Scratch {
    Scratch(const Spec& spec, int64_t rows, bool gates_kept, bool cells_kept)
        : c(cells_kept ? 0 : rows * spec.carried()),
          gates(!gates_kept && (spec.layer_norm || !spec.reset_after) ? rows * spec.slots() * spec.units : 0),
          candidate(spec.projected ? rows * spec.units : 0),
          raw(spec.layer_norm ? rows * spec.gates() * spec.units : 0),
          reset_h(spec.reset_after ? 0 : rows * spec.units) {}
    Lease<T> c, gates, candidate, raw, reset_h;

    void lend(const Spec& spec, int64_t at, Row<T>& row) const {
        if (gates) row.gates = gates.get() + at * spec.slots() * spec.units;
        if (candidate) row.candidate = candidate.get() + at * spec.units;
        if (raw) row.raw = raw.get() + at * spec.gates() * spec.units;
        if (reset_h) row.reset_h = reset_h.get() + at * spec.units;
    }
};

template <class T>
class ForwardPass {
public:
    ForwardPass(const PackedWeights<T>& weights, const Forward<T>& call, Split split)
        : weights_(weights),
          spec_(weights.spec),
          call_(call),
          split_(split),
          course_(spec_, call),
          far_(leaves_caches(weights.spec, call)),
          scratch_(spec_, call.rows, call.gates, call.cells),
          masked_(call.walk.dropout ? 2 * call.rows * spec_.outputs() : 0) {}

    void run(Team& team, int me) const {
        const Split split{team.size, split_.by_rows};  // the team may be smaller than was asked for
        const Part part{&team, me, split.by_rows};
        const Timeline mine = timeline(course_.order, split, me, call_.walk.reverse);
        const int64_t rows = mine.rows.size();
        const bool ahead = !spec_.given && mine.steps > 1 && rows < fused_from();
        const int64_t chunk_steps = ahead ? most(1, chunk_rows / most(rows, 1)) : mine.steps;
        // Split by units, every thread writes and reads its own columns of its own copy.
        const Lease<T> u(ahead ? chunk_steps * rows * weights_.u_vectors * width<T> : 0);
        const Lease<Row<T>> step_rows(rows);
        first_states(mine, part);
        part.wait();
        for (int64_t begin = 0; begin < mine.steps; begin += chunk_steps) {
            const int64_t end = least(begin + chunk_steps, mine.steps);
            if (ahead) input_part(mine, part, begin, end, u.get());
            int64_t behind = 0;  // rows of u that were used
            for (int64_t step = begin; step < end; ++step) {
                const int64_t alive = mine.alive(step);
                for (int64_t r = 0; r < alive; ++r) {
                    step_rows[r] = row(mine, r, step);
                    if (ahead) step_rows[r].u = {u.get() + behind * weights_.u_vectors * width<T>, r, alive};
                }
                behind += alive;
                advance(weights_, step_rows.get(), alive, part, step % 2 == 1, course_.zeros.get());
                part.wait();
            }
        }
        last_states(mine, part);
        if (far_) stores_past_done();
    }

private:
    static constexpr int64_t chunk_rows = 192;

    // From so many rows on the input part is multiplied step by step. Where the second cache does not hold the weights, either way
    // costs traffic beyond it: of the weights of x at each step, or of what was made beforehand.
    int64_t fused_from() const {
        constexpr int64_t few = 3 * TILE_ROWS, many = 96;
        return weights_.bytes() <= l2_bytes() / 4 * 3 ? few : least(many, most(few, spec_.inputs / 4));
    }

    // Gates that are more than the last cache holds, of whole vectors, and not read again by the step itself.
    static bool leaves_caches(const Spec& spec, const Forward<T>& call) {
        constexpr int64_t plenty = int64_t{32} << 20;
        return call.gates && !spec.layer_norm && spec.reset_after && spec.units % width<T> == 0 &&
               reinterpret_cast<uintptr_t>(call.gates) % VECTOR_BYTES == 0 &&
               call.steps * call.rows * spec.slots() * spec.units * static_cast<int64_t>(sizeof(T)) > plenty;
    }

    Row<T> row(const Timeline& mine, int64_t r, int64_t step) const {
        Row<T> row{course_.at(mine, r, step)};
        const int64_t b = row.row, P = spec_.outputs(), W = spec_.carried();
        scratch_.lend(spec_, b, row);
        row.out = call_.output.at(row.time, b);
        if (call_.gates) row.gates = call_.gates + row.place * spec_.slots() * spec_.units, row.far = far_;
        row.operand = row.h;
        if (masked_) {
            if (!row.fresh) row.operand = masked_.get() + ((step % 2) * call_.rows + b) * P;
            row.next = masked_.get() + (((step + 1) % 2) * call_.rows + b) * P;
        }
        if (W) row.c_next = call_.cells ? call_.cells + row.place * W : scratch_.c.get() + b * W;
        if (W && !call_.cells && !row.fresh) row.c = row.c_next;
        return row;
    }

    void first_states(const Timeline& mine, const Part& part) const {
        const Range rows = part.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            const int64_t b = mine.rows[r].row, W = spec_.carried(), P = spec_.outputs();
            if (scratch_.c) copy(call_.state[1] + b * W, W, scratch_.c.get() + b * W);
            if (masked_)
                for (int64_t unit = 0; unit < P; ++unit)
                    masked_[b * P + unit] = call_.state[0][b * P + unit] * call_.walk.dropout[b * P + unit];
        }
    }

    void last_states(const Timeline& mine, const Part& part) const {
        const Range rows = part.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            const auto& entry = mine.rows[r];
            const int64_t b = entry.row, W = spec_.carried(), P = spec_.outputs(),
                          place = mine.place(entry, entry.length - 1);
            copy(static_cast<const T*>(call_.output.at(place, b)), P, call_.final[0] + b * P);
            if (W)
                copy(call_.cells ? call_.cells + call_.walk.place(place, b, call_.rows) * W : scratch_.c.get() + b * W,
                     W, call_.final[1] + b * W);
            for (int64_t step = entry.length; step < call_.steps && !call_.walk.starts; ++step)
                fill(call_.output.at(step, b), P, T(0));
        }
    }

    // With few rows a step reads its panels for little work, so the input part of several steps is one product.
    void input_part(const Timeline& mine, const Part& part, int64_t begin, int64_t end, T* u) const {
        struct Input {
            const T* x;
            InputPart<T> u;
        };
        int64_t rows = 0;
        for (int64_t step = begin; step < end; ++step) rows += mine.alive(step);
        const Lease<Input> inputs(rows);
        const Shared<T> cell = weights_.shared();
        int64_t behind = 0;
        for (int64_t step = begin; step < end; ++step) {
            const int64_t alive = mine.alive(step);
            for (int64_t r = 0; r < alive; ++r)
                inputs[behind + r] = {call_.x.at(mine.place(mine.rows[r], step), mine.rows[r].row),
                                      {u + behind * weights_.u_vectors * width<T>, r, alive}};
            behind += alive;
        }
        for (int s = 0; s < weights_.stage_count; ++s) {
            const Stage<T>& stage = weights_.stages[s];
            sweep(
                stage.from_x, stage.blocks, part.of(stage.blocks), false, inputs.get(), rows,
                [](const Input& input) { return input.x; }, static_cast<const T*>(nullptr), 0,
                [&](const Block& block, const Input*, int n, Sums<T>* sums) {
                    begin_as_bias(stage, cell, block, n, sums);
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
    const Course<T, Forward<T>> course_;
    const bool far_;
    const Scratch<T> scratch_;
    const Lease<T> masked_;  // h times its factors, for odd and for even steps [2, B, P]
};

template <class T>
void forward(const PackedWeights<T>& weights, const Forward<T>& call, int threads) {
    const Spec& spec = weights.spec;
    const Split how = split(spec, call.steps, call.rows, weights.bytes(), threads);
    expect_all(call.output, call.steps, call.rows * spec.outputs());
    const ForwardPass<T> pass(weights, call, how);
    in_parallel(how.threads, [&](Team& team, int me) {
        const Products products;
        pass.run(team, me);
    });
}

// The same for weights of 8 or 16 bits.
inline void step_reduced(const PackedWeights<float>& weights, const Row<float>* rows, int64_t count) {
    const Spec& spec = weights.spec;
    const Shared<float> cell = weights.shared();
    const Stage<float>& stage = weights.stages[0];
    ByteRow x(spec.inputs), h(spec.outputs());
    const bool backwards = weights.turn();
    for (int64_t r = 0; r < count; ++r) {
        const Row<float>& row = rows[r];
        if (weights.precision == Precision::int8) x.set(row.x, spec.inputs), h.set(row.operand, spec.outputs());
        const auto product = [&](const Block& block, Sums<float>* sums) {
            begin_as_bias(stage, cell, block, 1, sums);
            weights.reduced_x.add(block, row.x, x, *sums);
            weights.reduced_h.add(block, row.operand, h, *sums + stage.h_at);
        };
        with_cell(cell, [&](const auto& each, const auto& then) {
            sweep_row<float>(stage.blocks, {0, stage.blocks.size()}, backwards, row, product, each, then);
        });
    }
}

// One step. `final` may be `state`. A single row, and what is done before a team has come, stay on the calling thread.
template <class T>
void step(const PackedWeights<T>& weights, int64_t rows, const T* x, const T* const state[2], T* const final[2],
          int threads) {
    const Spec& spec = weights.spec;
    const int64_t P = spec.outputs(), W = spec.carried();
    const Scratch<T> scratch(spec, rows, false, true);
    Brief<T, 512> before(rows * P);  // `final` may overwrite h while it is still needed
    copy(state[0], rows * P, before.get());
    Brief<Row<T>, 1> all(rows);
    for (int64_t r = 0; r < rows; ++r) {
        Row<T> row;
        scratch.lend(spec, r, row);
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
        const Products products;
        const Range mine = how.by_rows ? Range{rows * me / team.size, rows * (me + 1) / team.size} : Range{0, rows};
        advance(weights, all.get() + mine.begin, mine.end - mine.begin, Part{&team, me, how.by_rows}, backwards,
                static_cast<const T*>(nullptr));
    });
}

}  // namespace seriatim::SERIATIM_TARGET
