// Which rows have a step at which time, where their data are, and how a call is split among threads.
#pragma once

#include "engine.h"
#include "scratch.h"
#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

// The rows of one thread, longest first. So the rows that have a step s are the first `alive(s)` rows.
struct Timeline {
    struct Entry { int64_t row, length; };
    List<Entry> rows;
    int64_t steps = 0;  // of the longest row
    bool reverse = false;

    int64_t alive(int64_t step) const {
        int64_t count = rows.size();
        while (count > 0 && rows[count - 1].length <= step) --count;
        return count;
    }
    // The time in the input at which the row takes its step s.
    int64_t place(const Entry& entry, int64_t step) const { return reverse ? entry.length - 1 - step : step; }
};

// How a call is split. By rows: every thread reads all weights and never waits. By units: every thread reads only its part of the
// weights, and all wait for each other after every stage. Or not at all.
struct Split {
    int threads = 1;
    bool by_rows = true;
};

inline Split split(const Spec& spec, int64_t steps, int64_t rows, int64_t bytes_of_weights, int threads) {
    const int64_t work =
        2 * rows * spec.gates() * spec.units * (spec.outputs() + (spec.input_projected ? 0 : spec.inputs));  // per step
    constexpr int64_t worth_a_team = 1'000'000;
    if (threads <= 1 || rows * steps <= 1 || steps * work < worth_a_team) return {};
    if (rows >= 4 * threads && bytes_of_weights <= l2_bytes()) return {threads, true};
    // If there is a row for every thread, a barrier at each step costs more than reading all weights.
    if (work >= (rows < threads ? 150'000 : 600'000)) return {threads, false};
    return {rows < threads ? 1 : threads, true};
}

// All rows, longest first. Rows of equal length keep the order of the batch.
inline List<Timeline::Entry> sorted(const int64_t* lengths, int64_t rows, int64_t steps) {
    List<Timeline::Entry> entries(rows);
    if (!lengths) {
        for (int64_t row = 0; row < rows; ++row) entries.add({row, steps});
        return entries;
    }
    Scratch<int64_t> starts(steps + 2, 0);  // a counting sort
    for (int64_t row = 0; row < rows; ++row) ++starts[steps - lengths[row] + 1];
    for (int64_t at = 1; at <= steps; ++at) starts[at] += starts[at - 1];
    for (int64_t row = 0; row < rows; ++row) entries[starts[steps - lengths[row]]++] = {row, lengths[row]};
    for (int64_t row = 0; row < rows; ++row) entries.add(entries[row]);
    return entries;
}

// The rows of thread `me`. Split by rows, these are a run of neighbours, or every n-th row if lengths differ; else all rows.
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

// One vector of a row: units `first` to `first` + `count` - 1.
struct Span { int64_t first, count; };

// The share of the old state that remains by zoneout, if the call has zoneout.
template <class T> struct Zoneout {
    const T* share = nullptr;
    const bool* drawn = nullptr;
    explicit operator bool() const { return share || drawn; }
    Vec<T> at(Span at) const {
        return drawn ? load_flags<T>(drawn + at.first, at.count) : load(share + at.first, at.count);
    }
};

// One row at one step: what forward and backward have in common. A pointer is null where the call or the cell has no such array.
template <class T> struct RowStep {
    int64_t row = 0, time = 0;  // in the input
    int64_t place = 0;          // the number among all rows of all steps
    bool fresh = false;         // the old state is zero because of a reset
    const T* x = nullptr;       // [I]; or the input part of the gates [G·H]
    const T* h = nullptr;       // old h [P]
    const T* c = nullptr;       // old states beside h [W]; null if the call has no `cells`
    Zoneout<T> zoneout_h, zoneout_c;
    const T* factors = nullptr;  // of recurrent dropout, on h
};

// Announces to the system that the call will write all of `to`, if that is contiguous with `per_step` values a step.
template <class T> inline void announce_output(const Sequence<T>& to, int64_t steps, int64_t per_step) {
    if (to && !to.starts && to.by_step == per_step)
        announce_write(to.data, static_cast<size_t>(steps * per_step) * sizeof(T));
}

// `from` + `count`, or null.
template <class T> inline T* offset(T* from, int64_t count) { return from ? from + count : nullptr; }

// Makes the row steps of a call, forward or backward.
template <class T, class Call> struct RowSchedule {
    RowSchedule(const Spec& spec, const Call& call)
        : spec(spec), call(call), order(sorted(call.walk.lengths, call.rows, call.steps)),
          zeros(max(4 * spec.units, spec.outputs()) + width<T>, T(0)) {}

    RowStep<T> at(const Timeline& mine, int64_t r, int64_t step) const {
        const Walk<T>& walk = call.walk;
        const auto& entry = mine.rows[r];
        const int64_t b = entry.row, P = spec.outputs(), W = spec.carried();
        const int64_t time = mine.place(entry, step), before = step ? mine.place(entry, step - 1) : 0;
        RowStep<T> here;
        here.row = b, here.time = time, here.place = walk.place(time, b, call.rows);
        here.fresh = walk.reset && walk.reset[here.place];
        here.x = call.x.at(time, b);
        here.h = here.fresh ? zeros.get() : step ? call.output.at(before, b) : first_h(b);
        if (W)
            here.c = here.fresh ? zeros.get()
                     : step     ? offset(call.cells, walk.place(before, b, call.rows) * W)
                                : call.state[1] + b * W;
        here.zoneout_h = {walk.zoneout[0].at(time, b), walk.drawn[0].at(time, b)};
        here.zoneout_c = {walk.zoneout[1].at(time, b), walk.drawn[1].at(time, b)};
        here.factors = offset(walk.dropout, b * P);
        return here;
    }

    const Spec& spec;
    const Call& call;
    const List<Timeline::Entry> order;
    const Scratch<T> zeros;  // as many as the widest row has

private:
    // The usual first state is zero; `zeros` then lets the product be skipped.
    const T* first_h(int64_t b) const {
        const int64_t P = spec.outputs();
        const T* h = call.state[0] + b * P;
        for (int64_t unit = 0; unit < P; ++unit)
            if (h[unit] != T(0)) return h;
        return zeros.get();
    }
};

}  // namespace seriatim::SERIATIM_TARGET
