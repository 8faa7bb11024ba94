// Backward in time (Werbos 1990). A step multiplies the gates' gradient of the step after by W_hh and goes through the
// cell; the gates' gradients of a chunk of steps, while they are in the cache, then make those of the weights and of x.
#pragma once

#include "forward.h"
#include "gradients.h"

namespace seriatim::SERIATIM_TARGET {

// The weights as the way back reads them: depth runs over gates.
template <class T>
struct BackWeights {
    BackWeights(const Spec& spec, const Weights<const T>& weights, bool wants_x, int threads);

    Blocks of_h, of_units, of_x;  // columns: P, H, I
    Panels<T> recurrent;          // W_hh, of a GRU that resets first the rows of r and z
    Panels<T> candidate;          // the rows of n, of such a GRU
    Panels<T> projection;         // W_hr
    Panels<T> input, input_of_n;  // W_ih; of a GRU that resets after the product the rows of n stand apart
};

template <class T>
BackWeights<T>::BackWeights(const Spec& spec, const Weights<const T>& weights, bool wants_x, int threads)
    : of_h(plain_blocks<T>(spec.outputs())),
      of_units(plain_blocks<T>(spec.units)),
      of_x(plain_blocks<T>(wants_x ? spec.inputs : 0)) {
    const int64_t H = spec.units, P = spec.outputs();
    const bool resets_first = !spec.reset_after;
    recurrent = Panels<T>(of_h, (resets_first ? 2 : spec.gates()) * H);
    if (resets_first) candidate = Panels<T>(of_h, H);
    if (spec.projected) projection = Panels<T>(of_units, P);
    const bool apart = spec.kind == Kind::gru && spec.reset_after;
    if (wants_x) input = Panels<T>(of_x, (apart ? 2 : spec.gates()) * H);
    if (wants_x && apart) input_of_n = Panels<T>(of_x, H);
    const auto pack = [&](Team& team, int me) {
        const auto columns = [&](const Panels<T>& panels, const Blocks& blocks, const T* from, int64_t row) {
            if (!panels) return;
            panels.pack_columns(blocks, from, row,
                                {panels.words * me / team.size, panels.words * (me + 1) / team.size});
        };
        columns(recurrent, of_h, weights.w_hh, P);
        columns(candidate, of_h, weights.w_hh + 2 * H * P, P);
        columns(projection, of_units, weights.w_hr, H);
        columns(input, of_x, weights.w_ih, spec.inputs);
        columns(input_of_n, of_x, weights.w_ih + 2 * H * spec.inputs, spec.inputs);
    };
    in_parallel(threads, pack);
}

template <class T>
class BackwardPass {
public:
    BackwardPass(const Spec& spec, const Backward<T>& call, Split split, const BackWeights<T>& weights)
        : spec_(spec),
          call_(call),
          split_(split),
          order_(sorted(call.walk.lengths, call.rows, call.steps)),
          weights_(weights),
          past_in_h_(spec.kind == Kind::gru || call.walk.zoneout[0]),
          whole_h_(spec.layer_norm || spec.projected),
          zeros_(most(4 * spec.units, spec.outputs()) + width<T>, T(0)),
          past_h_(past_in_h_ ? call.rows * spec.outputs() : 0),
          past_c_(call.rows * spec.carried()),
          sums_(columns_of_grad(spec), spec, call, split.threads),
          g_hh_(call.weights.g_hh),
          groups_(new Group[split.threads]) {}
    ~BackwardPass() { delete[] groups_; }
    BackwardPass(const BackwardPass&) = delete;

    void run(Team& team, int me) const {
        const Split split{team.size, split_.by_rows};
        const Part part{&team, me, split.by_rows};
        const Timeline mine = timeline(order_, split, me, call_.walk.reverse);
        const int64_t rows = mine.rows.size(), steps = order_.size() ? order_[0].length : 0,
                      chunk = steps_of_chunk(steps);
        Group& group = groups_[split.by_rows ? me : 0];
        if (split.by_rows || me == 0) group.make(*this, chunk * rows, rows);
        team.barrier();

        List<BackRow<T>> done(chunk * rows);  // the rows of a chunk, for the weights' gradients
        Lease<const T*> later(rows);
        for (int64_t r = 0; r < rows; ++r) later[r] = zeros_.get();
        Lease<bool> cut(rows, true);
        const Own own(*this, sums_.own(me));
        int buffer = 0;
        for (int64_t end = steps; end > 0; end = most(0, end - chunk), buffer ^= 1) {
            done.clear();
            for (int64_t step = end - 1; step >= most(0, end - chunk); --step) {
                const int64_t first = done.size(), alive = mine.alive(step);
                for (int64_t r = 0; r < alive; ++r)
                    done.add(row(mine, r, step, later[r], cut[r], group, buffer, done.size()));
                go_back(done.begin() + first, alive, part, step % 2 == 1, own);
                for (int64_t r = 0; r < alive; ++r) {
                    const BackRow<T>& it = done[first + r];
                    cut[r] = fresh(mine, r, step);
                    later[r] = cut[r] ? zeros_.get() : it.grad_sums;
                }
                part.wait();
            }
            gather(team, me, part, done, group);
        }
        first_states(mine, part, later.get(), cut.get());
        clear_padding(mine, part);
        team.barrier();
        sums_.write(team, me);
    }

private:
    static constexpr int64_t chunk_rows = WeightSums<T>::chunk_rows;

    // About chunk_rows rows, and chunks of nearly the same length.
    int64_t steps_of_chunk(int64_t steps) const {
        const int64_t longest = most(1, chunk_rows / most(call_.rows, 1)),
                      chunks = most(1, (steps + longest - 1) / longest);
        return most(1, (steps + chunks - 1) / chunks);
    }

    // Gradients of every row of a chunk, twice: the step after the first of a chunk lies in the chunk before. Split by units,
    // all threads write into one.
    struct Group {
        int64_t stride = 0;
        Lease<T> grad_gates[2], grad_h, grad_m, m, raw;
        const List<BackRow<T>>* rows = nullptr;
        void make(const BackwardPass& pass, int64_t chunk, int64_t rows) {
            const Spec& spec = pass.spec_;
            stride = pass.sums_.columns() +
                     width<T>;  // not a power of two: the rows of one column would share a few cache sets
            for (auto& buffer : grad_gates) buffer = Lease<T>(chunk * stride);
            if (pass.whole_h_) grad_h = Lease<T>(chunk * spec.outputs());
            if (spec.projected) m = Lease<T>(chunk * spec.units);
            if (spec.projected && spec.layer_norm) grad_m = Lease<T>(chunk * spec.units);
            if (spec.layer_norm) raw = Lease<T>(rows * 4 * spec.units);
        }
    };

    // A thread's own room: for one row of a norm, and its part of the gradients that are not products.
    struct Own {
        Own(const BackwardPass& pass, const typename WeightSums<T>::Own& sums)
            : sums(sums),
              room(pass.spec_.layer_norm ? 2 * pass.spec_.units : 0) {
            normed = {room.get(), room.get() + (room ? pass.spec_.units : 0)};
        }
        typename WeightSums<T>::Own sums;
        Lease<T> room;
        NormedCell<T> normed;
    };

    static int64_t columns_of_grad(const Spec& spec) {
        return (spec.kind == Kind::gru && spec.reset_after && !spec.layer_norm ? 4 : spec.gates()) * spec.units;
    }

    bool fresh(const Timeline& mine, int64_t r, int64_t step) const {
        return call_.walk.reset &&
               call_.walk.reset[call_.walk.place(mine.place(mine.rows[r], step), mine.rows[r].row, call_.rows)];
    }

    BackRow<T> row(const Timeline& mine, int64_t r, int64_t step, const T* later, bool cut, const Group& group,
                   int buffer, int64_t at) const {
        const auto& entry = mine.rows[r];
        const int64_t place = mine.place(entry, step), b = entry.row, H = spec_.units, P = spec_.outputs();
        const Walk<T>& walk = call_.walk;
        const int64_t here = walk.place(place, b, call_.rows);
        const bool last = step + 1 == entry.length, starts_here = fresh(mine, r, step);
        BackRow<T> row;
        row.output = call_.output.at(place, b);
        row.gates = call_.gates ? call_.gates + here * spec_.slots() * H : row.output;
        row.x = call_.x ? call_.x.at(place, b) : nullptr;
        const int64_t before = step ? mine.place(entry, step - 1) : 0;
        row.h = starts_here ? zeros_.get() : step ? call_.output.at(before, b) : call_.state[0] + b * P;
        row.operand = row.h;
        row.factors = walk.dropout ? walk.dropout + b * P : nullptr;
        row.later = later;
        row.grad_output = call_.grad_output ? call_.grad_output.at(place, b) : nullptr;
        if (walk.zoneout[0]) row.keep_h = walk.zoneout[0].at(place, b);
        if (walk.zoneout[1]) row.keep_c = walk.zoneout[1].at(place, b);
        row.into_h = last                 ? (call_.grad_final[0] ? call_.grad_final[0] + b * P : nullptr)
                     : past_in_h_ && !cut ? past_h_.get() + b * P
                                          : nullptr;
        row.past_h = past_in_h_ && !starts_here ? past_h_.get() + b * P : nullptr;
        if (const int64_t W = spec_.carried()) {
            row.c = starts_here ? zeros_.get()
                    : step      ? call_.cells + walk.place(before, b, call_.rows) * W
                                : call_.state[1] + b * W;
            row.grad_cells = call_.grad_cells ? call_.grad_cells + here * W : nullptr;
            row.into_c = last  ? (call_.grad_final[1] ? call_.grad_final[1] + b * W : nullptr)
                         : cut ? nullptr
                               : past_c_.get() + b * W;
            row.past_c = starts_here ? nullptr : past_c_.get() + b * W;
        }
        row.grad_sums = row.grad_gates = group.grad_gates[buffer].get() + at * group.stride;
        if (group.raw) row.grad_gates = group.raw.get() + r * 4 * H;
        if (group.grad_h) row.grad_h = group.grad_h.get() + at * P;
        if (group.grad_m) row.grad_m = group.grad_m.get() + at * H;
        if (group.m) row.m = group.m.get() + at * H;
        row.grad_x = call_.grad_x ? call_.grad_x.at(place, b) : nullptr;
        return row;
    }

    // One step back for `count` rows.
    void go_back(const BackRow<T>* rows, int64_t count, const Part& part, bool backwards, const Own& own) const {
        const Shared<T> cell{spec_, nullptr, 0, call_.weights.w_ch, g_hh_, call_.weights.g_c, call_.weights.b_c};
        const auto through = [](const BackRow<T>& row) { return row.later; };
        const auto products = [&](const Panels<T>& panels, const Blocks& blocks, const auto& operand,
                                  const auto& each) {
            sweep(panels, blocks, part.of(blocks), backwards, rows, count, operand, static_cast<const T*>(zeros_.get()),
                  0, from_zero<T>, [&](const BackRow<T>* tile, int n, const Block& block, const Tile<T>& sums) {
                      every<T>(tile, n, block, sums, each);
                  });
        };
        const auto by_cell = [&](const auto& backward) {
            products(weights_.recurrent, weights_.of_h, through, [&](const BackRow<T>& row, Vec<T> sum, Span at) {
                backward(cell, row, gradient_of_h(row, sum, at), at, own.sums.peephole);
            });
        };
        if (!whole_h_) {
            if (spec_.kind == Kind::rnn) by_cell([](auto&&... all) { rnn_backward<T>(all...); });
            else if (spec_.kind == Kind::lstm) by_cell([](auto&&... all) { lstm_backward<T>(all...); });
            else if (spec_.kind == Kind::slstm) by_cell([](auto&&... all) { slstm_backward<T>(all...); });
            else if (spec_.reset_after) by_cell([](auto&&... all) { gru_backward<T>(all...); });
            else {
                by_cell([](auto&&... all) { gru_candidate_backward<T>(all...); });
                part.wait();
                const auto of_n = [this](const BackRow<T>& row) {
                    return static_cast<const T*>(row.grad_gates + 2 * spec_.units);
                };
                products(weights_.candidate, weights_.of_h, of_n,
                         [&](const BackRow<T>& row, Vec<T> sum, Span at) { gru_reset_backward(cell, row, sum, at); });
            }
            return;
        }
        products(weights_.recurrent, weights_.of_h, through, [&](const BackRow<T>& row, Vec<T> sum, Span at) {
            store(row.grad_h + at.first, gradient_of_h(row, sum, at), at.count);
        });
        part.wait();
        if (spec_.projected) {
            const auto projected = [](const BackRow<T>& row) { return static_cast<const T*>(row.grad_h); };
            products(weights_.projection, weights_.of_units, projected,
                     [&](const BackRow<T>& row, Vec<T> sum, Span at) {
                         if (row.grad_m) store(row.grad_m + at.first, sum, at.count);
                         else if (spec_.kind == Kind::rnn) rnn_backward<T>(cell, row, sum, at, nullptr);
                         else if (spec_.kind == Kind::slstm) slstm_backward<T>(cell, row, sum, at, nullptr);
                         else lstm_backward<T>(cell, row, sum, at, own.sums.peephole);
                     });
            if (spec_.layer_norm) part.wait();
        }
        if (!spec_.layer_norm) return;
        const Range mine = part.of(count);
        for (int64_t r = mine.begin; r < mine.end; ++r) normalised_backward(cell, rows[r], own);
    }

    // A whole row of a layer-normalised cell.
    void normalised_backward(const Shared<T>& cell, const BackRow<T>& row, const Own& own) const {
        const int64_t H = spec_.units, G = spec_.gates();
        const T* grad_m = spec_.projected ? row.grad_m : row.grad_h;
        if (spec_.kind == Kind::lstm) normed_cell_backward(cell, row, grad_m, own);
        for (int64_t first = 0; first < H; first += width<T>) {
            const Span at{first, least(width<T>, H - first)};
            const Vec<T> dm = load(grad_m + first, at.count);
            if (spec_.kind == Kind::rnn) rnn_backward<T>(cell, row, dm, at, nullptr);
            else if (spec_.kind == Kind::gru) gru_backward<T>(cell, row, dm, at, nullptr);
            else lstm_backward<T>(cell, row, dm, at, own.sums.peephole, &own.normed);
        }
        const T* da = row.grad_gates;
        if (row.grad_x) {
            copy(da, G * H, row.grad_x);
            if (spec_.kind == Kind::gru) copy(da + 3 * H, H, row.grad_x + 2 * H);
        }
        const T* normed = row.gates + spec_.kept() * H;
        const T scale = normed[G * H];
        const auto gained = [&](Span at) { return load(da + at.first, at.count) * load(g_hh_ + at.first, at.count); };
        const T mean = total<T>(G * H, gained) / (G * H);
        const T along =
            total<T>(G * H, [&](Span at) { return gained(at) * load(normed + at.first, at.count); }) / (G * H);
        for (int64_t first = 0; first < G * H; first += width<T>) {
            const Span at{first, least(width<T>, G * H - first)};
            const Vec<T> one = load(da + first, at.count), v = load(normed + first, at.count);
            T *gains = own.sums.g_hh + first, *shifts = own.sums.b_hh + first;
            store(gains, load(gains, at.count) + one * v, at.count);
            store(shifts, load(shifts, at.count) + one, at.count);
            store(row.grad_sums + first, scale * (gained(at) - mean - v * along), at.count);
        }
    }

    void normed_cell_backward(const Shared<T>& cell, const BackRow<T>& row, const T* grad_m, const Own& own) const {
        const int64_t H = spec_.units;
        const T *i = row.gates, *f = i + H, *g = f + H, *o = g + H;
        T *c = own.normed.grad, *squashed = own.normed.squashed;
        for (int64_t u = 0; u < H; ++u) c[u] = f[u] * row.c[u] + i[u] * g[u];
        const auto [mean, scale] = statistics(static_cast<const T*>(c), H);
        T over_mean = 0, along = 0;
        for (int64_t first = 0; first < H; first += width<T>) {
            const Span at{first, least(width<T>, H - first)};
            const Vec<T> normed = (load(c + first, at.count) - mean) * scale, gain = load(cell.g_c + first, at.count);
            const Vec<T> s = tanh<T>(normed * gain + load(cell.b_c + first, at.count));
            const Vec<T> dy = load(grad_m + first, at.count) * load(o + first, at.count) * (T(1) - s * s);
            store(squashed + first, s, at.count);
            store(own.sums.g_c + first, load(own.sums.g_c + first, at.count) + dy * normed, at.count);
            store(own.sums.b_c + first, load(own.sums.b_c + first, at.count) + dy, at.count);
            over_mean += sum<T>(dy * gain);
            along += sum<T>(dy * gain * normed);
        }
        over_mean /= H, along /= H;
        for (int64_t u = 0; u < H; ++u) {
            const T normed = (c[u] - mean) * scale, s = squashed[u];
            c[u] = scale * (grad_m[u] * o[u] * (T(1) - s * s) * cell.g_c[u] - over_mean - normed * along);
        }
    }

    // The weights' gradients and x's from the gates' gradients of one chunk.
    void gather(Team& team, int me, const Part& part, const List<BackRow<T>>& done, Group& group) const {
        if (part.by_rows) group.rows = &done;
        team.barrier();
        List<const BackRow<T>*> rows(part.by_rows ? total_rows(team) : done.size());
        if (part.by_rows) {
            for (int m = 0; m < team.size; ++m)
                for (const auto& row : *groups_[m].rows) rows.add(&row);
        } else {
            for (const auto& row : done) rows.add(&row);
        }
        if (call_.grad_x && !spec_.layer_norm)
            input_gradients(rows, rows.size() * me / team.size, rows.size() * (me + 1) / team.size);
        sums_.add(team, me, rows);
    }

    int64_t total_rows(const Team& team) const {
        int64_t total = 0;
        for (int m = 0; m < team.size; ++m) total += groups_[m].rows->size();
        return total;
    }

    // Of a GRU that resets after the product, n's gradient as the input part sees it stands apart.
    void input_gradients(const List<const BackRow<T>*>& rows, int64_t begin, int64_t end) const {
        const int64_t H = spec_.units, G = spec_.gates();
        const bool apart = spec_.kind == Kind::gru && spec_.reset_after;
        if (spec_.given) {
            for (int64_t p = begin; p < end; ++p) {
                copy(rows[p]->grad_gates, G * H, rows[p]->grad_x);
                if (apart) copy(rows[p]->grad_gates + 3 * H, H, rows[p]->grad_x + 2 * H);
            }
            return;
        }
        if (begin >= end) return;
        const Tiles tiles(end - begin);
        const auto gradients = [&](int64_t r) -> const T* { return rows[begin + r]->grad_gates; };
        const Left heads(end - begin, weights_.input.depth, gradients);
        const Left tails(apart ? end - begin : 0, H, [&](int64_t r) { return gradients(r) + 3 * H; });
        for (const Block& block : weights_.of_x)
            for (int64_t t = 0; t < tiles.tiles; ++t) {
                const int64_t first = begin + tiles.begin(t);
                const int count = static_cast<int>(tiles.begin(t + 1) - tiles.begin(t));
                Tile<T> sums = {};
                const auto add = [&](const Panels<T>& panels, const auto& left) {
                    const T* operands[TILE_ROWS];
                    for (int r = 0; r < count; ++r) operands[r] = left[tiles.begin(t) + r];
                    panels.add(block, operands, count, sums);
                };
                add(weights_.input, heads);
                if (apart) add(weights_.input_of_n, tails);
                every<T>(&rows[first], count, block, sums, [](const BackRow<T>* row, Vec<T> sum, Span at) {
                    store(row->grad_x + at.first, sum, at.count);
                });
            }
    }

    void first_states(const Timeline& mine, const Part& part, const T* const* later, const bool* cut) const {
        const int64_t rows = mine.rows.size(), W = spec_.carried(), P = spec_.outputs();
        if (call_.grad_state[0]) {
            const Lease<BackRow<T>> last(rows);
            for (int64_t r = 0; r < rows; ++r) {
                BackRow<T> row;
                const int64_t b = mine.rows[r].row;
                row.later = later[r];
                row.factors = call_.walk.dropout ? call_.walk.dropout + b * P : nullptr;
                row.into_h = past_in_h_ && !cut[r] ? past_h_.get() + b * P : nullptr;
                row.grad_h = call_.grad_state[0] + b * P;
                last[r] = row;
            }
            sweep(
                weights_.recurrent, weights_.of_h, part.of(weights_.of_h), false, last.get(), rows,
                [](const BackRow<T>& row) { return row.later; }, static_cast<const T*>(zeros_.get()), 0, from_zero<T>,
                [](const BackRow<T>* tile, int n, const Block& block, const Tile<T>& sums) {
                    every<T>(tile, n, block, sums, [](const BackRow<T>& row, Vec<T> sum, Span at) {
                        store(row.grad_h + at.first, gradient_of_h(row, sum, at), at.count);
                    });
                });
        }
        if (!call_.grad_state[1]) return;
        const Range of_rows = part.of(rows);
        for (int64_t r = of_rows.begin; r < of_rows.end; ++r) {
            const int64_t b = mine.rows[r].row;
            copy(cut[r] ? zeros_.get() : past_c_.get() + b * W, W, call_.grad_state[1] + b * W);
        }
    }

    void clear_padding(const Timeline& mine, const Part& part) const {
        if (!call_.grad_x || call_.walk.starts) return;
        const Range rows = part.of(mine.rows.size());
        for (int64_t r = rows.begin; r < rows.end; ++r)
            for (int64_t step = mine.rows[r].length; step < call_.steps; ++step)
                fill(call_.grad_x.at(step, mine.rows[r].row), spec_.inputs, T(0));
    }

    const Spec& spec_;
    const Backward<T>& call_;
    const Split split_;
    const List<Timeline::Entry> order_;
    const BackWeights<T>& weights_;
    const bool past_in_h_;  // whether a gradient passes from h to the h before beside the products
    const bool whole_h_;    // whether a product or a norm needs whole rows of h's gradient
    const Lease<T> zeros_, past_h_, past_c_;
    mutable WeightSums<T> sums_;
    const T* g_hh_;
    Group* const groups_;
};

template <class T>
void backward(const Spec& spec, const Backward<T>& call, int threads) {
    const int64_t bytes = sizeof(T) / values_of_word * spec.gates() * spec.units * spec.outputs();
    const Split how = split(spec, call.rows, bytes, threads, l2_bytes());
    const auto go_back = [&](const BackWeights<T>& weights) {
        const BackwardPass<T> pass(spec, call, how, weights);
        in_parallel(how.threads, [&](Team& team, int me) {
            const Products products;
            pass.run(team, me);
        });
    };
    if (call.packed) go_back(reinterpret_cast<const BackWeights<T>&>(*call.packed));
    else go_back(BackWeights<T>(spec, call.weights, call.grad_x && !spec.given, how.threads));
}

}  // namespace seriatim::SERIATIM_TARGET
