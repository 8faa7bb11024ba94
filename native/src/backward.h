// Backward in time (Werbos 1990). A step multiplies the gates' gradient of the step after by W_hh and goes through the
// cell; the gates' gradients of a chunk of steps, while they are in the cache, then make those of the weights and of x.
#pragma once

#include "forward.h"
#include "gradients.h"
#include "steps.h"

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
          course_(spec, call),
          weights_(weights),
          past_in_h_(spec.kind == Kind::gru || call.walk.zoneout[0] || call.walk.drawn[0]),
          whole_h_(spec.layer_norm || spec.projected),
          past_h_(past_in_h_ ? call.rows * spec.outputs() : 0),
          past_c_(call.rows * spec.carried()),
          sums_(spec, call.grad_weights, call.rows, split.threads),
          gather_(reinterpret_cast<StepSums<T>*>(call.gather)),
          groups_(new Group[split.threads]) {}
    ~BackwardPass() { delete[] groups_; }
    BackwardPass(const BackwardPass&) = delete;

    void run(Team& team, int me) const {
        const Split split{team.size, split_.by_rows};
        const Part part{&team, me, split.by_rows};
        const Timeline mine = timeline(course_.order, split, me, call_.walk.reverse);
        const int64_t rows = mine.rows.size(), steps = course_.order.size() ? course_.order[0].length : 0,
                      chunk = steps_of_chunk(steps);
        Group& group = groups_[split.by_rows ? me : 0];
        if (split.by_rows || me == 0) group.make(*this, chunk * rows, rows);
        team.barrier();

        List<BackRow<T>> done(chunk * rows);  // the rows of a chunk, for the weights' gradients
        Lease<const T*> later(rows);
        for (int64_t r = 0; r < rows; ++r) later[r] = course_.zeros.get();
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
                    cut[r] = it.fresh;
                    later[r] = it.fresh ? course_.zeros.get() : it.grad_sums;
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
            stride = pass.sums_.stride();
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

    BackRow<T> row(const Timeline& mine, int64_t r, int64_t step, const T* later, bool cut, const Group& group,
                   int buffer, int64_t at) const {
        BackRow<T> row{course_.at(mine, r, step)};
        const int64_t b = row.row, H = spec_.units, P = spec_.outputs(), W = spec_.carried();
        const bool last = step + 1 == mine.rows[r].length;
        row.gates = call_.gates ? call_.gates + row.place * spec_.slots() * H : call_.output.at(row.time, b);
        row.later = later;
        row.grad_output = call_.grad_output.at(row.time, b);
        row.grad_cells = moved(call_.grad_cells, row.place * W);
        row.into_h = last ? moved(call_.grad_final[0], b * P) : cut ? nullptr : moved(past_h_.get(), b * P);
        row.into_c = last ? moved(call_.grad_final[1], b * W) : cut ? nullptr : moved(past_c_.get(), b * W);
        row.past_h = row.fresh ? nullptr : moved(past_h_.get(), b * P);
        row.past_c = row.fresh ? nullptr : moved(past_c_.get(), b * W);
        row.grad_sums = row.grad_gates =
            gather_ ? gather_->place(b) : group.grad_gates[buffer].get() + at * group.stride;
        if (group.raw) row.grad_gates = group.raw.get() + r * 4 * H;
        row.grad_h = moved(group.grad_h.get(), at * P);
        row.grad_m = moved(group.grad_m.get(), at * H);
        row.m = moved(group.m.get(), at * H);
        row.grad_x = call_.grad_x.at(row.time, b);
        return row;
    }

    // A product with the weights, from zero: `each(row, sum, span)` for every row and vector of its columns.
    template <class Operand, class Each>
    void multiply(const Panels<T>& panels, const Blocks& blocks, const BackRow<T>* rows, int64_t count,
                  const Part& part, bool backwards, const Operand& operand, const Each& each) const {
        sweep(panels, blocks, part.of(blocks), backwards, rows, count, operand, course_.zeros.get(), 0, from_zero<T>,
              every<T>(each));
    }
    static const T* later(const BackRow<T>& row) { return row.later; }

    // One step back for `count` rows.
    void go_back(const BackRow<T>* rows, int64_t count, const Part& part, bool backwards, const Own& own) const {
        const Shared<T> cell{
            spec_, nullptr, 0, call_.weights.w_ch, call_.weights.g_hh, call_.weights.g_c, call_.weights.b_c};
        const auto products = [&](const Panels<T>& panels, const Blocks& blocks, const auto& operand,
                                  const auto& each) {
            multiply(panels, blocks, rows, count, part, backwards, operand, each);
        };
        by_kind(spec_.kind, [&]<Kind K>() {
            products(weights_.recurrent, weights_.of_h, later, [&](const BackRow<T>& row, Vec<T> sum, Span at) {
                const Vec<T> dh = gradient_of_h(row, sum, at);
                if (row.grad_h) store(row.grad_h + at.first, dh, at.count);
                else cell_backward<K>(cell, row, dh, at, own.sums.peephole);
            });
        });
        if (weights_.candidate) {
            part.wait();
            const auto of_n = [this](const BackRow<T>& row) {
                return static_cast<const T*>(row.grad_gates + 2 * spec_.units);
            };
            products(weights_.candidate, weights_.of_h, of_n,
                     [&](const BackRow<T>& row, Vec<T> sum, Span at) { gru_reset_backward(row, sum, at); });
        }
        if (spec_.projected) {
            part.wait();
            const auto projected = [](const BackRow<T>& row) { return static_cast<const T*>(row.grad_h); };
            by_kind(spec_.kind, [&]<Kind K>() {
                products(weights_.projection, weights_.of_units, projected,
                         [&](const BackRow<T>& row, Vec<T> sum, Span at) {
                             if (row.grad_m) store(row.grad_m + at.first, sum, at.count);
                             else cell_backward<K>(cell, row, sum, at, own.sums.peephole);
                         });
            });
        }
        if (!spec_.layer_norm) return;
        part.wait();
        const Range mine = part.of(count);
        by_kind(spec_.kind, [&]<Kind K>() {
            for (int64_t r = mine.begin; r < mine.end; ++r) normalised_backward<K>(cell, rows[r], own);
        });
    }

    // A whole row of a layer-normalised cell.
    template <Kind K>
    void normalised_backward(const Shared<T>& cell, const BackRow<T>& row, const Own& own) const {
        const int64_t H = spec_.units, G = spec_.gates();
        const T* grad_m = spec_.projected ? row.grad_m : row.grad_h;
        if (spec_.kind == Kind::lstm) normed_cell_backward(cell, row, grad_m, own);
        for (int64_t first = 0; first < H; first += width<T>) {
            const Span at{first, least(width<T>, H - first)};
            cell_backward<K>(cell, row, load(grad_m + first, at.count), at, own.sums.peephole, &own.normed);
        }
        const T* da = row.grad_gates;
        if (row.grad_x) {
            copy(da, G * H, row.grad_x);
            if (spec_.kind == Kind::gru) copy(da + 3 * H, H, row.grad_x + 2 * H);
        }
        const T* normed = row.gates + spec_.kept() * H;
        const T scale = normed[G * H];
        const auto gained = [&](Span at) {
            return load(da + at.first, at.count) * load(cell.g_hh + at.first, at.count);
        };
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
        const auto gradients = [](const BackRow<T>* row) { return static_cast<const T*>(row->grad_gates); };
        const BackRow<T>* const* mine = rows.begin() + begin;
        const int64_t count = end - begin;
        const Left of_n(apart ? count : 0, H, [&](int64_t r) { return gradients(mine[r]) + 3 * H; });
        const auto tail = [&](const Block& block, const BackRow<T>* const* tile, int n, Sums<T>* sums) {
            from_zero<T>(block, tile, n, sums);
            const T* operands[TILE_ROWS] = {};
            for (int r = 0; apart && r < n; ++r) operands[r] = of_n[tile - mine + r];
            if (apart) weights_.input_of_n.add(block, operands, n, sums);
        };
        sweep(weights_.input, weights_.of_x, Range{0, weights_.of_x.size()}, false, mine, count, gradients,
              static_cast<const T*>(nullptr), 0, tail, every<T>([](const BackRow<T>* row, Vec<T> sum, Span at) {
                  store(row->grad_x + at.first, sum, at.count);
              }));
    }

    void first_states(const Timeline& mine, const Part& part, const T* const* later, const bool* cut) const {
        const int64_t rows = mine.rows.size(), W = spec_.carried(), P = spec_.outputs();
        if (call_.grad_state[0]) {
            const Lease<BackRow<T>> last(rows);
            for (int64_t r = 0; r < rows; ++r) {
                BackRow<T> row;
                const int64_t b = mine.rows[r].row;
                row.later = later[r];
                row.factors = moved(call_.walk.dropout, b * P);
                row.into_h = cut[r] ? nullptr : moved(past_h_.get(), b * P);
                row.grad_h = call_.grad_state[0] + b * P;
                last[r] = row;
            }
            multiply(weights_.recurrent, weights_.of_h, last.get(), rows, part, false, BackwardPass::later,
                     [](const BackRow<T>& row, Vec<T> sum, Span at) {
                         store(row.grad_h + at.first, gradient_of_h(row, sum, at), at.count);
                     });
        }
        if (!call_.grad_state[1]) return;
        const Range of_rows = part.of(rows);
        for (int64_t r = of_rows.begin; r < of_rows.end; ++r) {
            const int64_t b = mine.rows[r].row;
            copy(cut[r] ? course_.zeros.get() : past_c_.get() + b * W, W, call_.grad_state[1] + b * W);
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
    const Course<T, Backward<T>> course_;
    const BackWeights<T>& weights_;
    const bool past_in_h_;  // whether a gradient passes from h to the h before beside the products
    const bool whole_h_;    // whether a product or a norm needs whole rows of h's gradient
    const Lease<T> past_h_, past_c_;
    mutable WeightSums<T> sums_;
    const StepSums<T>* const gather_;
    Group* const groups_;
};

template <class T>
void backward(const Spec& spec, const Backward<T>& call, int threads) {
    const int64_t bytes = sizeof(T) / values_of_word * spec.gates() * spec.units * spec.outputs();
    const Split how = split(spec, call.steps, call.rows, bytes, threads);
    expect_all(call.grad_x, call.steps, call.rows * spec.inputs);
    const auto go_back = [&](const BackWeights<T>& weights) {
        const BackwardPass<T> pass(spec, call, how, weights);
        in_parallel(how.threads, [&](Team& team, int me) {
            const Products products;
            pass.run(team, me);
        });
    };
    if (call.packed) go_back(reinterpret_cast<const BackWeights<T>&>(*call.packed));
    else go_back(BackWeights<T>(spec, call.weights, call.grad_x && !spec.given, how.threads));
    if (call.gather) reinterpret_cast<StepSums<T>*>(call.gather)->add(call);
}

}  // namespace seriatim::SERIATIM_TARGET
