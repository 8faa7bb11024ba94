// Backward in time (Werbos 1990). A step multiplies the gates' gradient of the next step by W_hh and goes back through the cell.
// While the gates' gradients of a chunk of steps are in the cache, they give the gradients of the weights and of x.
#pragma once

#include "forward.h"
#include "step_gradients.h"

namespace seriatim::SERIATIM_TARGET {

// The weights as the backward pass reads them: the products sum over gates.
template <class T> struct BackwardWeights {
    BackwardWeights(const Spec& spec, const Weights<const T>& weights, bool wants_x, int threads);

    Blocks of_h, of_units, of_x;   // columns: P, H, I
    Panels<T> recurrent;           // the rows of W_hh whose gates multiply h itself
    Panels<T> second_stage;        // its other rows
    Panels<T> projection;          // W_hr
    Panels<T> input, split_input;  // the rows of W_ih whose gates share their gradient with W_hh, and its other rows
};

template <class T>
BackwardWeights<T>::BackwardWeights(const Spec& spec, const Weights<const T>& weights, bool wants_x, int threads)
    : of_h(plain_blocks<T>(spec.outputs())), of_units(plain_blocks<T>(spec.units)),
      of_x(plain_blocks<T>(wants_x ? spec.inputs : 0)) {
    const int64_t H = spec.units, P = spec.outputs(), all = spec.gates() * H;
    const int64_t direct = spec.cell->direct_gates * H, shared = spec.cell->shared_gates * H;
    recurrent = Panels<T>(of_h, direct);
    if (direct < all) second_stage = Panels<T>(of_h, all - direct);
    if (spec.projected) projection = Panels<T>(of_units, P);
    if (wants_x) input = Panels<T>(of_x, shared);
    if (wants_x && shared < all) split_input = Panels<T>(of_x, all - shared);
    in_parallel(threads, [&](Team& team, int me) {
        const auto pack = [&](const Panels<T>& panels, const Blocks& blocks, const T* from, int64_t row) {
            if (!panels) return;
            panels.pack_columns(
                blocks, from, row, {panels.words * me / team.size, panels.words * (me + 1) / team.size});
        };
        pack(recurrent, of_h, weights.w_hh, P);
        pack(second_stage, of_h, weights.w_hh + direct * P, P);
        pack(projection, of_units, weights.w_hr, H);
        pack(input, of_x, weights.w_ih, spec.inputs);
        pack(split_input, of_x, weights.w_ih + shared * spec.inputs, spec.inputs);
    });
}

template <class T> class BackwardPass {
public:
    BackwardPass(const Spec& spec, const Backward<T>& call, Split split, const BackwardWeights<T>& weights)
        : spec_(spec), call_(call), split_(split), schedule_(spec, call), weights_(weights),
          has_direct_path_(spec.cell->has_direct_path || call.walk.zoneout[0] || call.walk.drawn[0]),
          needs_whole_h_(spec.layer_norm || spec.projected), past_h_(has_direct_path_ ? call.rows * spec.outputs() : 0),
          past_c_(call.rows * spec.carried()), sums_(spec, call.grad_weights, call.rows, split.threads),
          gather_(reinterpret_cast<StepGradientSums<T>*>(call.gather)), groups_(new Group[split.threads]) {}
    ~BackwardPass() { delete[] groups_; }
    BackwardPass(const BackwardPass&) = delete;

    void run(Team& team, int me) const {
        const Split split{team.size, split_.by_rows};
        const ThreadShare share{&team, me, split.by_rows};
        const Timeline mine = timeline(schedule_.order, split, me, call_.walk.reverse);
        const int64_t rows = mine.rows.size(), steps = schedule_.order.size() ? schedule_.order[0].length : 0,
                      chunk = steps_of_chunk(steps);
        Group& group = groups_[split.by_rows ? me : 0];
        if (split.by_rows || me == 0) group.make(*this, chunk * rows, rows);
        team.barrier();

        List<BackwardRow<T>> done(chunk * rows);  // the rows of a chunk, for the weights' gradients
        Scratch<const T*> later(rows);
        for (int64_t r = 0; r < rows; ++r) later[r] = schedule_.zeros.get();
        Scratch<bool> cut(rows, true);
        const ThreadMemory memory(*this, sums_.of_thread(me));
        int buffer = 0;
        for (int64_t end = steps; end > 0; end = max(0, end - chunk), buffer ^= 1) {
            done.clear();
            for (int64_t step = end - 1; step >= max(0, end - chunk); --step) {
                const int64_t first = done.size(), alive = mine.alive(step);
                for (int64_t r = 0; r < alive; ++r)
                    done.add(row(mine, r, step, later[r], cut[r], group, buffer, done.size()));
                step_back(done.begin() + first, alive, share, step % 2 == 1, memory);
                for (int64_t r = 0; r < alive; ++r) {
                    const BackwardRow<T>& it = done[first + r];
                    cut[r] = it.fresh;
                    later[r] = it.fresh ? schedule_.zeros.get() : it.grad_sums;
                }
                share.wait();
            }
            gather(team, me, share, done, group);
        }
        first_states(mine, share, later.get(), cut.get());
        clear_padding(mine, share);
        team.barrier();
        sums_.write(team, me);
    }

private:
    static constexpr int64_t chunk_rows = WeightSums<T>::chunk_rows;

    // A chunk has about chunk_rows rows, and all chunks have nearly the same length.
    int64_t steps_of_chunk(int64_t steps) const {
        const int64_t longest = max(1, chunk_rows / max(call_.rows, 1)),
                      chunks = max(1, (steps + longest - 1) / longest);
        return max(1, (steps + chunks - 1) / chunks);
    }

    // Gradients of every row of a chunk. There are two buffers, since the first step of a chunk reads what the last step of the chunk
    // before wrote. Split by units, all threads write into one group.
    struct Group {
        int64_t stride = 0;
        Scratch<T> grad_gates[2], grad_h, grad_m, m, raw;
        const List<BackwardRow<T>>* rows = nullptr;
        void make(const BackwardPass& pass, int64_t chunk, int64_t rows) {
            const Spec& spec = pass.spec_;
            stride = pass.sums_.stride();
            for (auto& buffer : grad_gates) buffer = Scratch<T>(chunk * stride);
            if (pass.needs_whole_h_) grad_h = Scratch<T>(chunk * spec.outputs());
            if (spec.projected) m = Scratch<T>(chunk * spec.units);
            if (spec.projected && spec.layer_norm) grad_m = Scratch<T>(chunk * spec.units);
            if (spec.layer_norm) raw = Scratch<T>(rows * 4 * spec.units);
        }
    };

    // A thread's own memory: its share of the plain sums, and one row of a normalised c.
    struct ThreadMemory {
        ThreadMemory(const BackwardPass& pass, const ThreadSums<T>& sums)
            : sums(sums), row(pass.spec_.layer_norm ? 2 * pass.spec_.units : 0),
              normalised{row.get(), row.get() + (row ? pass.spec_.units : 0)} {}
        const ThreadSums<T> sums;
        const Scratch<T> row;
        const NormalisedC<T> normalised;
    };

    BackwardRow<T> row(const Timeline& mine, int64_t r, int64_t step, const T* later, bool cut, const Group& group,
        int buffer, int64_t at) const {
        BackwardRow<T> row{schedule_.at(mine, r, step)};
        const int64_t b = row.row, H = spec_.units, P = spec_.outputs(), W = spec_.carried();
        const bool last = step + 1 == mine.rows[r].length;
        row.gates = call_.gates ? call_.gates + row.place * spec_.slots() * H : call_.output.at(row.time, b);
        row.later = later;
        row.grad_output = call_.grad_output.at(row.time, b);
        row.grad_cells = offset(call_.grad_cells, row.place * W);
        row.into_h = last ? offset(call_.grad_final[0], b * P) : cut ? nullptr : offset(past_h_.get(), b * P);
        row.into_c = last ? offset(call_.grad_final[1], b * W) : cut ? nullptr : offset(past_c_.get(), b * W);
        row.past_h = row.fresh ? nullptr : offset(past_h_.get(), b * P);
        row.past_c = row.fresh ? nullptr : offset(past_c_.get(), b * W);
        row.grad_sums = row.grad_gates =
            gather_ ? gather_->place(b) : group.grad_gates[buffer].get() + at * group.stride;
        if (group.raw) row.grad_gates = group.raw.get() + r * 4 * H;
        row.grad_h = offset(group.grad_h.get(), at * P);
        row.grad_m = offset(group.grad_m.get(), at * H);
        row.m = offset(group.m.get(), at * H);
        row.grad_x = call_.grad_x.at(row.time, b);
        return row;
    }

    // A product with the weights: `use(row, sum, span)` for every row and vector of its columns.
    template <class Operand, class Use> void multiply(const Panels<T>& panels, const Blocks& blocks,
        const BackwardRow<T>* rows, int64_t count, const ThreadShare& share, bool backwards, const Operand& operand,
        const Use& use) const {
        for_each_block(panels, blocks, share.of(blocks), backwards, rows, count, operand, schedule_.zeros.get(), 0,
            from_zero<T>, for_each_vector<T>(use));
    }
    static const T* later(const BackwardRow<T>& row) { return row.later; }

    // One step back for `count` rows.
    void step_back(const BackwardRow<T>* rows, int64_t count, const ThreadShare& share, bool backwards,
        const ThreadMemory& memory) const {
        const CellWeights<T> cell{
            spec_, nullptr, 0, call_.weights.w_ch, call_.weights.g_hh, call_.weights.g_c, call_.weights.b_c};
        const auto product = [&](const Panels<T>& panels, const Blocks& blocks, const auto& operand, const auto& use) {
            multiply(panels, blocks, rows, count, share, backwards, operand, use);
        };
        with_cell(spec_, [&]<class Cell>() {
            product(weights_.recurrent, weights_.of_h, later, [&](const BackwardRow<T>& row, Vec<T> sum, Span at) {
                const Vec<T> dh = gradient_of_h(row, sum, at);
                if (row.grad_h) store(row.grad_h + at.first, dh, at.count);
                else Cell::backward(cell, row, dh, at, memory.sums, static_cast<const NormalisedC<T>*>(nullptr));
            });
            if constexpr (std::size(Cell::stages) == 2) {
                share.wait();
                const auto operand = [this](const BackwardRow<T>& row) {
                    return static_cast<const T*>(row.grad_gates + Cell::layout.direct_gates * spec_.units);
                };
                product(weights_.second_stage, weights_.of_h, operand,
                    [&](const BackwardRow<T>& row, Vec<T> sum, Span at) { Cell::second_stage_backward(row, sum, at); });
            }
            if constexpr (Cell::layout.has_projection)
                if (spec_.projected) {
                    share.wait();
                    const auto operand = [](const BackwardRow<T>& row) { return static_cast<const T*>(row.grad_h); };
                    product(weights_.projection, weights_.of_units, operand,
                        [&](const BackwardRow<T>& row, Vec<T> sum, Span at) {
                            if (row.grad_m) store(row.grad_m + at.first, sum, at.count);
                            else
                                Cell::backward(
                                    cell, row, sum, at, memory.sums, static_cast<const NormalisedC<T>*>(nullptr));
                        });
                }
            if constexpr (Cell::layout.has_layer_norm)
                if (spec_.layer_norm) {
                    share.wait();
                    const Range mine = share.of(count);
                    for (int64_t r = mine.begin; r < mine.end; ++r) normalised_step_back<Cell>(cell, rows[r], memory);
                }
        });
    }

    // A whole row of a layer-normalised cell.
    template <class Cell>
    void normalised_step_back(const CellWeights<T>& cell, const BackwardRow<T>& row, const ThreadMemory& memory) const {
        const int64_t H = spec_.units, all = spec_.gates() * H;
        const T* grad_m = spec_.projected ? row.grad_m : row.grad_h;
        if constexpr (Cell::layout.normalises_c)
            normalised_c_backward<Cell>(cell, row, grad_m, memory.sums, memory.normalised);
        for (int64_t first = 0; first < H; first += width<T>) {
            const Span at{first, min(width<T>, H - first)};
            Cell::backward(cell, row, load(grad_m + first, at.count), at, memory.sums, &memory.normalised);
        }
        const T* da = row.grad_gates;
        if (row.grad_x) copy_input_gradient(row);
        const T* normalised = row.gates + spec_.cell->saved * H;
        const T scale = normalised[all];
        const auto gained = [&](Span at) {
            return load(da + at.first, at.count) * load(cell.g_hh + at.first, at.count);
        };
        const T mean = total<T>(all, gained) / all;
        const T along =
            total<T>(all, [&](Span at) { return gained(at) * load(normalised + at.first, at.count); }) / all;
        for (int64_t first = 0; first < all; first += width<T>) {
            const Span at{first, min(width<T>, all - first)};
            const Vec<T> d = load(da + first, at.count), v = load(normalised + first, at.count);
            add_to(memory.sums.g_hh + first, d * v, at.count);
            add_to(memory.sums.b_hh + first, d, at.count);
            store(row.grad_sums + first, scale * (gained(at) - mean - v * along), at.count);
        }
    }

    // With `input_projected`: the gates' gradient as the input part sees it.
    void copy_input_gradient(const BackwardRow<T>& row) const {
        const int64_t H = spec_.units, all = spec_.gates() * H, shared = spec_.cell->shared_gates * H;
        copy(row.grad_gates, shared, row.grad_x);
        copy(row.grad_gates + (shared < all ? all : shared), all - shared, row.grad_x + shared);
    }

    // The gradients of the weights and of x, from the gates' gradients of one chunk.
    void gather(Team& team, int me, const ThreadShare& share, const List<BackwardRow<T>>& done, Group& group) const {
        const int groups = share.by_rows ? team.size : 1;  // split by units, all threads have the same rows
        if (me < groups) group.rows = &done;
        team.barrier();
        int64_t count = 0;
        for (int m = 0; m < groups; ++m) count += groups_[m].rows->size();
        List<const BackwardRow<T>*> rows(count);
        for (int m = 0; m < groups; ++m)
            for (const auto& row : *groups_[m].rows) rows.add(&row);
        if (call_.grad_x && !spec_.layer_norm)
            input_gradients(rows, count * me / team.size, count * (me + 1) / team.size);
        sums_.add(team, me, rows);
    }

    void input_gradients(const List<const BackwardRow<T>*>& rows, int64_t begin, int64_t end) const {
        if (spec_.input_projected) {
            for (int64_t p = begin; p < end; ++p) copy_input_gradient(*rows[p]);
            return;
        }
        const int64_t H = spec_.units, G = spec_.gates();
        const bool splits = spec_.splits_gradients();
        const auto gradients = [](const BackwardRow<T>* row) { return static_cast<const T*>(row->grad_gates); };
        const BackwardRow<T>* const* mine = rows.begin() + begin;
        const int64_t count = end - begin;
        const LeftRows split(splits ? count : 0, H, [&](int64_t r) { return gradients(mine[r]) + G * H; });
        const auto start = [&](const Block& block, const BackwardRow<T>* const* tile, int n, Sums<T>* sums) {
            from_zero<T>(block, tile, n, sums);
            const T* operands[TILE_ROWS] = {};
            for (int r = 0; splits && r < n; ++r) operands[r] = split[tile - mine + r];
            if (splits) weights_.split_input.add(block, operands, n, sums);
        };
        for_each_block(weights_.input, weights_.of_x, Range{0, weights_.of_x.size()}, false, mine, count, gradients,
            static_cast<const T*>(nullptr), 0, start,
            for_each_vector<T>(
                [](const BackwardRow<T>* row, Vec<T> sum, Span at) { store(row->grad_x + at.first, sum, at.count); }));
    }

    void first_states(const Timeline& mine, const ThreadShare& share, const T* const* later, const bool* cut) const {
        const int64_t rows = mine.rows.size(), W = spec_.carried(), P = spec_.outputs();
        if (call_.grad_state[0]) {
            const Scratch<BackwardRow<T>> last(rows);
            for (int64_t r = 0; r < rows; ++r) {
                BackwardRow<T> row;
                const int64_t b = mine.rows[r].row;
                row.later = later[r];
                row.factors = offset(call_.walk.dropout, b * P);
                row.into_h = cut[r] ? nullptr : offset(past_h_.get(), b * P);
                row.grad_h = call_.grad_state[0] + b * P;
                last[r] = row;
            }
            multiply(weights_.recurrent, weights_.of_h, last.get(), rows, share, false, BackwardPass::later,
                [](const BackwardRow<T>& row, Vec<T> sum, Span at) {
                    store(row.grad_h + at.first, gradient_of_h(row, sum, at), at.count);
                });
        }
        if (!call_.grad_state[1]) return;
        const Range of_rows = share.of(rows);
        for (int64_t r = of_rows.begin; r < of_rows.end; ++r) {
            const int64_t b = mine.rows[r].row;
            copy(cut[r] ? schedule_.zeros.get() : past_c_.get() + b * W, W, call_.grad_state[1] + b * W);
        }
    }

    void clear_padding(const Timeline& mine, const ThreadShare& share) const {
        if (!call_.grad_x || call_.walk.starts) return;
        const Range rows = share.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r)
            for (int64_t step = mine.rows[r].length; step < call_.steps; ++step)
                fill(call_.grad_x.at(step, mine.rows[r].row), spec_.inputs, T(0));
    }

    const Spec& spec_;
    const Backward<T>& call_;
    const Split split_;
    const RowSchedule<T, Backward<T>> schedule_;
    const BackwardWeights<T>& weights_;
    const bool has_direct_path_;  // whether a gradient passes from h to the old h past the products
    const bool needs_whole_h_;    // whether a product or a norm needs whole rows of h's gradient
    const Scratch<T> past_h_, past_c_;
    mutable WeightSums<T> sums_;
    const StepGradientSums<T>* const gather_;
    Group* const groups_;
};

template <class T> void backward(const Spec& spec, const Backward<T>& call, int threads) {
    const int64_t bytes = sizeof(T) / values_of_word * spec.gates() * spec.units * spec.outputs();
    const Split how = split(spec, call.steps, call.rows, bytes, threads);
    announce_output(call.grad_x, call.steps, call.rows * spec.inputs);
    const auto run = [&](const BackwardWeights<T>& weights) {
        const BackwardPass<T> pass(spec, call, how, weights);
        in_parallel(how.threads, [&](Team& team, int me) {
            const ProductSession products;
            pass.run(team, me);
        });
    };
    if (call.packed) run(reinterpret_cast<const BackwardWeights<T>&>(*call.packed));
    else run(BackwardWeights<T>(spec, call.weights, call.grad_x && !spec.input_projected, how.threads));
    if (call.gather) reinterpret_cast<StepGradientSums<T>*>(call.gather)->add(call);
}

}  // namespace seriatim::SERIATIM_TARGET
