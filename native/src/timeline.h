// Which rows have a step when, where they stand, and how a call's work is split.
#pragma once

#include "engine.h"
#include "lease.h"
#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

// The rows of one thread, longest first, so that those with a step s are the first `alive` of them.
struct Timeline {
    struct Entry {
        int64_t row, length;
    };
    List<Entry> rows;
    int64_t steps = 0;  // of the longest
    bool reverse = false;

    int64_t alive(int64_t step) const {
        int64_t count = rows.size();
        while (count > 0 && rows[count - 1].length <= step) --count;
        return count;
    }
    // Where the row's step s stands in the input.
    int64_t place(const Entry& entry, int64_t step) const { return reverse ? entry.length - 1 - step : step; }
};

// How a call is split: by rows, where every thread reads all weights and none waits; by units, where each reads its own part
// of the weights and all wait for each other at every stage; or not at all.
struct Split {
    int threads = 1;
    bool by_rows = true;
};

inline Split split(const Spec& spec, int64_t steps, int64_t rows, int64_t bytes_of_weights, int threads) {
    const int64_t work =
        2 * rows * spec.gates() * spec.units * (spec.outputs() + (spec.given ? 0 : spec.inputs));  // of a step
    constexpr int64_t worth_a_team = 1'000'000;
    if (threads <= 1 || rows * steps <= 1 || steps * work < worth_a_team) return {};
    if (rows >= 4 * threads && bytes_of_weights <= l2_bytes()) return {threads, true};
    // A barrier at each step costs more than reading all weights does where there is a row for each.
    if (work >= (rows < threads ? 150'000 : 600'000)) return {threads, false};
    return {rows < threads ? 1 : threads, true};
}

// All rows, longest first; equal ones in the order of the batch.
inline List<Timeline::Entry> sorted(const int64_t* lengths, int64_t rows, int64_t steps) {
    List<Timeline::Entry> entries(rows);
    if (!lengths) {
        for (int64_t row = 0; row < rows; ++row) entries.add({row, steps});
        return entries;
    }
    Lease<int64_t> starts(steps + 2, 0);  // a counting sort
    for (int64_t row = 0; row < rows; ++row) ++starts[steps - lengths[row] + 1];
    for (int64_t at = 1; at <= steps; ++at) starts[at] += starts[at - 1];
    for (int64_t row = 0; row < rows; ++row) entries[starts[steps - lengths[row]]++] = {row, lengths[row]};
    for (int64_t row = 0; row < rows; ++row) entries.add(entries[row]);
    return entries;
}

// The rows of thread `me`: all, or its part when split by rows: a run of neighbours, or every n-th where lengths differ.
inline Timeline timeline(const List<Timeline::Entry>& all, const Split& split, int me, bool reverse) {
    Timeline mine;
    mine.reverse = reverse;
    mine.rows = List<Timeline::Entry>(all.size());
    const int64_t count = all.size();
    const bool equal = count == 0 || all[0].length == all[count - 1].length;
    for (int64_t at = 0; at < count; ++at) {
        const int64_t owner = equal ? at * split.threads / count : at % split.threads;
        if (!split.by_rows || owner == me) mine.rows.add(all[at]);
    }
    mine.steps = mine.rows.size() ? mine.rows[0].length : 0;
    return mine;
}

// One vector of a row: `count` units from `first` on.
struct Span {
    int64_t first, count;
};

// How much of the old state a row keeps by zoneout, if there is any.
template <class T>
struct Kept {
    const T* share = nullptr;
    const bool* drawn = nullptr;
    explicit operator bool() const { return share || drawn; }
    Vec<T> at(Span at) const {
        return drawn ? load_flags<T>(drawn + at.first, at.count) : load(share + at.first, at.count);
    }
};

// One row at one step, as the ways forward and back see it alike. Null where the walk or the spec has no such thing.
template <class T>
struct Here {
    int64_t row = 0, time = 0;  // of the input
    int64_t place = 0;          // among all rows of all steps
    bool fresh = false;         // whether the state before was set to zero
    const T* x = nullptr;       // [I]; when given, the gates' input part [G·H]
    const T* h = nullptr;       // the state before
    const T* c = nullptr;       // what was carried beside it [W]; null where the call does not keep it
    Kept<T> keep_h, keep_c;
    const T* factors = nullptr;  // recurrent dropout's, on h
};

// Tells the system that all of it will be written, if it stands in one piece of `of_step` values a step.
template <class T>
inline void expect_all(const Sequence<T>& to, int64_t steps, int64_t of_step) {
    if (to && !to.starts && to.by_step == of_step) expect(to.data, static_cast<size_t>(steps * of_step) * sizeof(T));
}

// `from`, moved on, if there is anything.
template <class T>
inline T* moved(T* from, int64_t count) {
    return from ? from + count : nullptr;
}

// A call's rows, forward or backward, in the order of the scan's own steps.
template <class T, class Call>
struct Course {
    Course(const Spec& spec, const Call& call)
        : spec(spec),
          call(call),
          order(sorted(call.walk.lengths, call.rows, call.steps)),
          zeros(most(4 * spec.units, spec.outputs()) + width<T>, T(0)) {}

    Here<T> at(const Timeline& mine, int64_t r, int64_t step) const {
        const Walk<T>& walk = call.walk;
        const auto& entry = mine.rows[r];
        const int64_t b = entry.row, P = spec.outputs(), W = spec.carried();
        const int64_t time = mine.place(entry, step), before = step ? mine.place(entry, step - 1) : 0;
        Here<T> here;
        here.row = b, here.time = time, here.place = walk.place(time, b, call.rows);
        here.fresh = walk.reset && walk.reset[here.place];
        here.x = call.x.at(time, b);
        here.h = here.fresh ? zeros.get() : step ? call.output.at(before, b) : first_h(b);
        if (W)
            here.c = here.fresh ? zeros.get()
                     : step     ? moved(call.cells, walk.place(before, b, call.rows) * W)
                                : call.state[1] + b * W;
        here.keep_h = {walk.zoneout[0].at(time, b), walk.drawn[0].at(time, b)};
        here.keep_c = {walk.zoneout[1].at(time, b), walk.drawn[1].at(time, b)};
        here.factors = moved(walk.dropout, b * P);
        return here;
    }

    const Spec& spec;
    const Call& call;
    const List<Timeline::Entry> order;
    const Lease<T> zeros;  // as many as any row has values

private:
    // A first state of zeros, which is the usual one, is no work.
    const T* first_h(int64_t b) const {
        const int64_t P = spec.outputs();
        const T* h = call.state[0] + b * P;
        for (int64_t unit = 0; unit < P; ++unit)
            if (h[unit] != T(0)) return h;
        return zeros.get();
    }
};

}  // namespace seriatim::SERIATIM_TARGET
