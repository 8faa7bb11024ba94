// The module seriatim.kernels._native: arrays in, arrays out. Everything is checked here; native/README.md is the contract.
#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <variant>

#include "arrays.h"
#include "binding.h"
#include "draws.h"
#include "threads.h"
#include "watch.h"

namespace seriatim {
namespace {

struct Cell {
    Cell(const std::string& kind, int64_t inputs, int64_t units, int64_t projected, const std::string& activation,
         bool bias, bool reset_after, bool peephole, bool layer_norm, bool given, bool halves) {
        spec.kind = named<Kind>("kind", kind,
                                {{"rnn", Kind::rnn}, {"lstm", Kind::lstm}, {"gru", Kind::gru}, {"slstm", Kind::slstm}});
        spec.phi =
            named<Phi>("activation", activation, {{"tanh", Phi::tanh}, {"relu", Phi::relu}, {"sigmoid", Phi::sigmoid}});
        spec.inputs = inputs, spec.units = units, spec.projected = projected;
        spec.bias = bias, spec.reset_after = reset_after || spec.kind != Kind::gru;
        spec.peephole = peephole, spec.layer_norm = layer_norm, spec.given = given, spec.halves = halves;
        if (inputs < 0 || inputs > limit) refuse("inputs", std::to_string(inputs), "0 or more");
        if (units < 1 || units > limit) refuse("units", std::to_string(units), "1 or more");
        if (projected < 0 || projected > limit) refuse("projected", std::to_string(projected), "0 or more");
        if (given && inputs != spec.gates() * units)
            refuse("inputs", std::to_string(inputs), "gates × units when given");
        if (projected && spec.kind == Kind::gru) refuse("projected", std::to_string(projected), "0 for a GRU");
        if (peephole && spec.kind != Kind::lstm) refuse("peephole", "True", "False: it is an LSTM's");
        if (layer_norm && spec.kind == Kind::slstm) refuse("layer_norm", "True", "False for an sLSTM");
        if (layer_norm && !given) refuse("given", "False", "True with layer_norm");
        if (layer_norm && !spec.reset_after) refuse("layer_norm", "True", "False with reset_after=False");
    }
    static constexpr int64_t limit = int64_t{1} << 30;
    Spec spec;
};

// One of the ten weights: [rows, columns], or [rows] where columns are -1.
struct Extent {
    const char* name;
    bool there;
    int64_t rows, columns = -1;
};

std::array<Extent, 10> extents(const Spec& spec) {
    const int64_t H = spec.units, P = spec.outputs(), rows = spec.gates() * H;
    const bool own_input = !spec.given, norm = spec.layer_norm, lstm_norm = norm && spec.kind == Kind::lstm;
    return {{{"w_ih", own_input, rows, spec.inputs},
             {"w_hh", true, rows, P},
             {"b_ih", own_input && spec.bias, rows},
             {"b_hh", spec.bias, rows},
             {"w_hr", spec.projected > 0, P, H},
             {"w_ch", spec.peephole, 3, H},
             {"g_ih", false, rows},
             {"g_hh", norm, rows},
             {"g_c", lstm_norm, H},
             {"b_c", lstm_norm, H}}};
}

// The ten in order, from arrays or from addresses (0 for None): read(name, entry, extent) tells where an entry stands.
template <class Value, class Entry, class Read>
Weights<Value> ten(const char* argument, const Spec& spec, const std::vector<Entry>& list, bool needed,
                   const Read& read) {
    if (list.size() != 10) refuse(argument, std::to_string(list.size()) + " arrays", "10");
    Weights<Value> w;
    Value** const to[] = {&w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh, &w.w_hr, &w.w_ch, &w.g_ih, &w.g_hh, &w.g_c, &w.b_c};
    const auto wanted = extents(spec);
    for (size_t at = 0; at < 10; ++at) {
        const Extent& one = wanted[at];
        const auto name = [&] { return std::string(argument) + "." + one.name; };
        if (!one.there && list[at]) refuse(name(), "an array", "None for this cell");
        if (one.there && one.columns && !list[at] && needed) refuse(name(), "None", "an array");
        if (list[at]) *to[at] = read(name, list[at], one);
    }
    return w;
}

template <class T, class Array>
auto weights_of(const char* argument, const Spec& spec, const Several<Array>& list, bool needed) {
    using Value = std::conditional_t<std::is_same_v<Array, Given>, const T, T>;
    return ten<Value>(argument, spec, list, needed, [](const auto& name, const Maybe<Array>& array, const Extent& one) {
        return dense<T>(name(), array, one.columns < 0 ? Shape{one.rows} : Shape{one.rows, one.columns});
    });
}

// What computes `spec` in T on this target.
template <class T>
const Kernels<T>& kernels_for(const Spec& spec, const Target& target) {
    if (!spec.halves) return kernels_of<T>(target);
    if constexpr (std::is_same_v<T, float>)
        if (target.halves) return target.halves();
    refuse("cell", "halves",
           std::string("none, but for float32 on a target that has them, which is not ") + target.name);
}

// Calls work(kernels, weights) for the type of the weights.
template <class Work>
void with_weights(const Target& target, const Spec& spec, const Several<Given>& list, const Work& work) {
    if (list.size() != 10) refuse("weights", std::to_string(list.size()) + " arrays", "10");
    if (!list[1]) refuse("weights.w_hh", "None", "an array");
    by_type("weights.w_hh", *list[1], [&](auto type) {
        using T = decltype(type);
        work(kernels_for<T>(spec, target), weights_of<T>("weights", spec, list, true));
    });
}

class PackedWeights {
public:
    PackedWeights(const Cell& cell, const Several<Given>& weights, int threads, const std::string& precision)
        : spec_(cell.spec),
          target_(target()),
          precision_(
              named<Precision>("precision", precision,
                               {{"full", Precision::full}, {"bf16", Precision::bf16}, {"int8", Precision::int8}})) {
        checked_threads(threads);
        with_weights(target_, spec_, weights, [&]<class T>(const Kernels<T>& kernels, const Weights<const T>& all) {
            const bool one_stage =
                !spec_.halves && !spec_.given && !spec_.projected && !spec_.layer_norm && spec_.reset_after;
            if (precision_ != Precision::full && !(std::is_same_v<T, float> && one_stage))
                refuse("precision", precision,
                       "full, but for float32 without projection, layer norm, a reset before the product and halves");
            const nb::gil_scoped_release released;
            packed_ = std::shared_ptr<Packed<T>>(kernels.pack(spec_, all, precision_, threads), kernels.discard);
        });
    }

    // work(kernels, packed) when `array` has the weights' type.
    template <class Array, class Work>
    void with(const std::string& argument, const Array& array, const Work& work) const {
        by_type(argument, array, [&](auto type) {
            using T = decltype(type);
            const auto* packed = std::get_if<std::shared_ptr<Packed<T>>>(&packed_);
            if (!packed) refuse(argument, type_name<T>(), std::string("the weights' type"));
            work(kernels_for<T>(spec_, target_), **packed);
        });
    }
    template <class Work>
    void with(const Work& work) const {
        std::visit(
            [&]<class T>(const std::shared_ptr<Packed<T>>& packed) { work(kernels_for<T>(spec_, target_), *packed); },
            packed_);
    }
    const Spec& spec() const { return spec_; }
    Precision precision() const { return precision_; }

private:
    const Spec spec_;
    const Target& target_;
    const Precision precision_;
    std::variant<std::shared_ptr<Packed<float>>, std::shared_ptr<Packed<double>>> packed_;
};

template <class T>
struct Held {
    Weights<const T> weights;
    std::shared_ptr<PackedBack<T>> packed;
};

// The weights as the way back reads them, for single steps that share them. The caller keeps the arrays alive.
class PackedForBack {
public:
    PackedForBack(const Cell& cell, const Several<Given>& weights, int threads) : spec_(cell.spec), target_(target()) {
        checked_threads(threads);
        with_weights(target_, spec_, weights, [&]<class T>(const Kernels<T>& kernels, const Weights<const T>& all) {
            const nb::gil_scoped_release released;
            held_ = Held<T>{all, {kernels.pack_back(spec_, all, threads), kernels.discard_back}};
        });
    }

    // work(kernels, weights, packed).
    template <class Work>
    void with(const Work& work) const {
        std::visit(
            [&]<class T>(const Held<T>& held) { work(kernels_for<T>(spec_, target_), held.weights, *held.packed); },
            held_);
    }
    const Spec& spec() const { return spec_; }

private:
    const Spec spec_;
    const Target& target_;
    std::variant<Held<float>, Held<double>> held_;
};

// What every call is held to in the end, whether it came as arrays or as addresses.
void check_walk(int64_t steps, int64_t rows) {
    if (steps < 1 || rows < 0) refuse("x", words({steps, rows}), "at least one step");
}

template <class Pointer>
void check_states(const char* argument, const Spec& spec, const Pointer (&list)[2], bool needed) {
    check_address(argument, list[0], needed);
    check_address(argument, list[1], needed && spec.states() == 2);
    if (list[1] && spec.states() == 1) refuse(argument, "2 arrays", "1");
}

template <class T>
void run(const PackedWeights& packed, const Kernels<T>& kernels, const Packed<T>& weights, const Forward<T>& call,
         int threads) {
    const Spec& spec = packed.spec();
    if (packed.precision() != Precision::full) refuse("packed", "weights for steps alone", "precision full");
    checked_threads(threads);
    check_walk(call.steps, call.rows);
    if (!call.rows) return;
    check_address("x", call.x.data, spec.inputs > 0);
    check_states("state", spec, call.state, true);
    check_address("output", call.output.data);
    check_states("final", spec, call.final, true);
    check_address("gates", call.gates, false);
    check_address("cells", call.cells, false);
    if (call.cells && !spec.carried()) refuse("cells", "an array", "None: there is no c");
    const nb::gil_scoped_release released;
    kernels.forward(weights, call, threads);
}

template <class T>
void run(const Spec& spec, const Kernels<T>& kernels, const Backward<T>& call, int threads) {
    checked_threads(threads);
    check_walk(call.steps, call.rows);
    if (call.rows) {
        check_address("x", call.x.data, !spec.given && spec.inputs > 0);
        check_states("state", spec, call.state, true);
        check_address("output", call.output.data);
        const bool h_says_all = spec.kind == Kind::rnn && !spec.projected && !spec.layer_norm && !call.walk.zoneout[0];
        check_address("gates", call.gates, !h_says_all);
        check_address("cells", call.cells, spec.carried());
        check_address("grad_output", call.grad_output.data, false);
        check_states("grad_final", spec, call.grad_final, false);
        check_address("grad_cells", call.grad_cells, false);
        if (call.grad_cells && !spec.carried()) refuse("grad_cells", "an array", "None: there is no c");
        check_address("grad_x", call.grad_x.data, false);
        check_states("grad_state", spec, call.grad_state, false);
    }
    const nb::gil_scoped_release released;
    kernels.backward(spec, call, threads);
}

template <class T>
void run(const PackedWeights& packed, const Kernels<T>& kernels, const Packed<T>& weights, int64_t rows, const T* x,
         const T* const (&before)[2], T* const (&after)[2], int threads) {
    checked_threads(threads);
    check_walk(1, rows);
    if (!rows) return;
    check_address("x", x, packed.spec().inputs > 0);
    check_states("state", packed.spec(), before, true);
    check_states("final", packed.spec(), after, true);
    const nb::gil_scoped_release released;
    kernels.step(weights, rows, x, before, after, threads);
}

// Steps and rows of x, and everything about the walk.
template <class T>
struct Reading {
    int64_t steps, rows;
    Walk<T> walk;
    Reading(const Spec& spec, const Given& x, const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset,
            const Maybe<Given>& dropout, const Several<Given>& zoneout) {
        if (x.ndim() != 3) refuse("x", words(shape_of(x)), "[T, B, I]");
        steps = static_cast<int64_t>(x.shape(0)), rows = static_cast<int64_t>(x.shape(1));
        if (steps < 1) refuse("x", words(shape_of(x)), "at least one step");
        walk.reverse = reverse;
        walk.lengths = lengths_of(lengths, steps, rows);
        walk.reset = dense<bool>("reset", reset, {steps, rows}, false);
        walk.dropout = dense<T>("dropout", dropout, {rows, spec.outputs()}, false);
        if (zoneout.empty()) return;
        for (size_t state = 0; state < static_cast<size_t>(spec.states()); ++state) {
            const Maybe<Given>& share = one("zoneout", zoneout, state, spec.states());
            const Shape wanted{steps, rows, state ? spec.carried() : spec.outputs()};
            if (share && share->dtype() == nb::dtype<bool>())
                walk.drawn[state] = sequence<bool>("zoneout", share, wanted, false, true);
            else walk.zoneout[state] = sequence<T>("zoneout", share, wanted, false, true);
        }
    }
};

template <class T, class Array, class Pointer>
void states(const std::string& argument, const Spec& spec, int64_t rows, const Several<Array>& list, Pointer (&to)[2],
            bool needed) {
    for (size_t state = 0; state < static_cast<size_t>(spec.states()); ++state)
        to[state] = dense<T>(argument, one(argument, list, state, spec.states()),
                             {rows, state ? spec.carried() : spec.outputs()}, needed);
}

void run_forward(const Cell& cell, const PackedWeights& packed, const Given& x, const Several<Given>& state,
                 const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Maybe<Given>& dropout,
                 const Several<Given>& zoneout, const Written& output, const Several<Written>& final,
                 const Maybe<Written>& gates, const Maybe<Written>& cells, int threads) {
    const Spec& spec = cell.spec;
    if (cell.spec != packed.spec()) refuse("packed", "another cell's weights", "this cell's");
    packed.with("x", x, [&]<class T>(const Kernels<T>& kernels, const Packed<T>& weights) {
        const Reading<T> reading(spec, x, lengths, reverse, reset, dropout, zoneout);
        Forward<T> call;
        call.steps = reading.steps, call.rows = reading.rows, call.walk = reading.walk;
        call.x = sequence<T>("x", Maybe<Given>(x), {call.steps, call.rows, spec.inputs});
        states<T>("state", spec, call.rows, state, call.state, true);
        call.output = sequence<T>("output", Maybe<Written>(output), {call.steps, call.rows, spec.outputs()});
        states<T>("final", spec, call.rows, final, call.final, true);
        call.gates = dense<T>("gates", gates, {call.steps, call.rows, spec.slots(), spec.units}, false);
        call.cells = dense<T>("cells", cells, {call.steps, call.rows, spec.carried()}, false);
        run(packed, kernels, weights, call, threads);
    });
}

void run_backward(const Cell& cell, const Several<Given>& weights, const Given& x, const Several<Given>& state,
                  const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Maybe<Given>& dropout,
                  const Several<Given>& zoneout, const Given& output, const Maybe<Given>& gates,
                  const Maybe<Given>& cells, const Maybe<Given>& grad_output, const Several<Given>& grad_final,
                  const Maybe<Given>& grad_cells, const Maybe<Written>& grad_x, const Several<Written>& grad_state,
                  const Several<Written>& grad_weights, int threads) {
    const Spec& spec = cell.spec;
    by_type("x", x, [&](auto type) {
        using T = decltype(type);
        const Reading<T> reading(spec, x, lengths, reverse, reset, dropout, zoneout);
        Backward<T> call;
        call.steps = reading.steps, call.rows = reading.rows, call.walk = reading.walk;
        call.weights = weights_of<T>("weights", spec, weights, true);
        call.x = sequence<T>("x", Maybe<Given>(x), {call.steps, call.rows, spec.inputs});
        states<T>("state", spec, call.rows, state, call.state, true);
        call.output = sequence<T>("output", Maybe<Given>(output), {call.steps, call.rows, spec.outputs()});
        call.gates = dense<T>("gates", gates, {call.steps, call.rows, spec.slots(), spec.units}, false);
        call.cells = dense<T>("cells", cells, {call.steps, call.rows, spec.carried()}, false);
        call.grad_output = sequence<T>("grad_output", grad_output, {call.steps, call.rows, spec.outputs()}, false);
        states<T>("grad_final", spec, call.rows, grad_final, call.grad_final, false);
        call.grad_cells = dense<T>("grad_cells", grad_cells, {call.steps, call.rows, spec.carried()}, false);
        call.grad_x = sequence<T>("grad_x", grad_x, {call.steps, call.rows, spec.inputs}, false);
        states<T>("grad_state", spec, call.rows, grad_state, call.grad_state, false);
        call.grad_weights = weights_of<T>("grad_weights", spec, grad_weights, false);
        run(spec, kernels_for<T>(spec, target()), call, threads);
    });
}

void run_step(const Cell& cell, const PackedWeights& packed, const Given& x, const Several<Given>& state,
              const Several<Written>& final, int threads) {
    const Spec& spec = cell.spec;
    packed.with("x", x, [&]<class T>(const Kernels<T>& kernels, const Packed<T>& weights) {
        if (x.ndim() != 2) refuse("x", words(shape_of(x)), "[B, I]");
        const auto rows = static_cast<int64_t>(x.shape(0));
        const T* from = dense<T>("x", Maybe<Given>(x), {rows, spec.inputs});
        const T* before[2] = {};
        T* after[2] = {};
        states<T>("state", spec, rows, state, before, true);
        states<T>("final", spec, rows, final, after, true);
        run(packed, kernels, weights, rows, from, before, after, threads);
    });
}

// The same by address, 0 for None, without a walk: for a caller who has checked types, shapes and strides, and whose
// time is too short for arrays.
using Address = uintptr_t;

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

// How many rows have each step, falling: where a step's rows begin in packed data, and how long each row is.
struct PackedRows {
    PackedRows(const std::vector<int64_t>& sizes, int64_t steps, int64_t rows) {
        if (sizes.empty()) return;
        if (static_cast<int64_t>(sizes.size()) != steps || sizes[0] != rows)
            refuse("sizes", std::to_string(sizes.size()) + " from " + std::to_string(sizes[0]),
                   std::to_string(steps) + " from " + std::to_string(rows));
        int64_t start = 0;
        for (int64_t step = 0; step < steps; ++step) {
            if (sizes[step] < 1 || (step && sizes[step] > sizes[step - 1]))
                refuse("sizes", std::to_string(sizes[step]), "1 or more, and never more than before");
            starts.push_back(start);
            start += sizes[step];
        }
        for (int64_t row = 0, step = steps; row < rows; ++row) {
            while (sizes[step - 1] <= row) --step;
            lengths.push_back(step);
        }
    }
    template <class T>
    void lay(Walk<T>& walk) const {
        if (!starts.empty()) walk.starts = starts.data(), walk.lengths = lengths.data();
    }
    const int64_t* of_steps() const { return starts.empty() ? nullptr : starts.data(); }
    std::vector<int64_t> starts, lengths;
};

// With `sizes`, everything that has a row for each step is packed.
void forward_at(const PackedWeights& packed, int64_t steps, int64_t rows, const std::vector<int64_t>& sizes, Address x,
                int64_t by_step, int64_t by_row, Address h, Address c, bool reverse, Address output, Address h_n,
                Address c_n, Address gates, Address cells, int threads) {
    check_walk(steps, rows);
    const PackedRows together(sizes, steps, rows);
    packed.with([&]<class T>(const Kernels<T>& kernels, const Packed<T>& weights) {
        Forward<T> call;
        call.steps = steps, call.rows = rows, call.walk.reverse = reverse;
        together.lay(call.walk);
        call.x = {at<const T>(x), by_step, by_row, together.of_steps()};
        call.state[0] = at<const T>(h), call.state[1] = at<const T>(c);
        const int64_t width = packed.spec().outputs();
        call.output = {at<T>(output), rows * width, width, together.of_steps()};
        call.final[0] = at<T>(h_n), call.final[1] = at<T>(c_n);
        call.gates = at<T>(gates), call.cells = at<T>(cells);
        run(packed, kernels, weights, call, threads);
    });
}

template <class T>
Weights<T> weights_at(const char* argument, const Spec& spec, const std::vector<Address>& list, bool needed) {
    return ten<T>(argument, spec, list, needed, [&](const auto&, Address address, const Extent&) {
        check_address(argument, at<T>(address));
        return at<T>(address);
    });
}

void backward_at(const Cell& cell, bool wide, const std::vector<Address>& weights, int64_t steps, int64_t rows,
                 const std::vector<int64_t>& sizes, Address x, int64_t by_step, int64_t by_row, Address h, Address c,
                 bool reverse, Address output, Address gates, Address cells, Address grad_output, int64_t grad_by_step,
                 int64_t grad_by_row, Address grad_h_n, Address grad_c_n, Address grad_x, Address grad_h,
                 Address grad_c, const std::vector<Address>& grad_weights, int threads) {
    check_walk(steps, rows);
    const PackedRows together(sizes, steps, rows);
    const auto typed = [&](auto type) {
        using T = decltype(type);
        const Spec& spec = cell.spec;
        Backward<T> call;
        call.steps = steps, call.rows = rows, call.walk.reverse = reverse;
        together.lay(call.walk);
        call.weights = weights_at<const T>("weights", spec, weights, true);
        call.x = {at<const T>(x), by_step, by_row, together.of_steps()};
        call.state[0] = at<const T>(h), call.state[1] = at<const T>(c);
        call.output = {at<const T>(output), rows * spec.outputs(), spec.outputs(), together.of_steps()};
        call.gates = at<const T>(gates), call.cells = at<const T>(cells);
        call.grad_output = {at<const T>(grad_output), grad_by_step, grad_by_row, together.of_steps()};
        call.grad_final[0] = at<const T>(grad_h_n), call.grad_final[1] = at<const T>(grad_c_n);
        call.grad_x = {at<T>(grad_x), rows * spec.inputs, spec.inputs, together.of_steps()};
        call.grad_state[0] = at<T>(grad_h), call.grad_state[1] = at<T>(grad_c);
        call.grad_weights = weights_at<T>("grad_weights", spec, grad_weights, false);
        run(spec, kernels_for<T>(spec, target()), call, threads);
    };
    wide ? typed(double{}) : typed(float{});
}

void step_at(const PackedWeights& packed, int64_t rows, Address x, Address h, Address c, Address h_n, Address c_n,
             int threads) {
    packed.with([&]<class T>(const Kernels<T>& kernels, const Packed<T>& weights) {
        const T* const before[2] = {at<const T>(h), at<const T>(c)};
        T* const after[2] = {at<T>(h_n), at<T>(c_n)};
        run(packed, kernels, weights, rows, at<const T>(x), before, after, threads);
    });
}

void step_back_at(const PackedForBack& back, int64_t rows, Address h, Address c, Address h_n, Address gates,
                  Address c_n, Address grad_h_n, Address grad_c_n, Address grad_u, Address grad_h, Address grad_c,
                  int threads) {
    const Spec& spec = back.spec();
    if (!spec.given) refuse("back", "weights for an input", "those of a cell with its input part given");
    back.with([&]<class T>(const Kernels<T>& kernels, const Weights<const T>& weights, const PackedBack<T>& packed) {
        Backward<T> call;
        call.steps = 1, call.rows = rows;
        call.weights = weights, call.packed = &packed;
        call.state[0] = at<const T>(h), call.state[1] = at<const T>(c);
        call.output = {at<const T>(h_n), 0, spec.outputs()};
        call.gates = at<const T>(gates), call.cells = at<const T>(c_n);
        call.grad_final[0] = at<const T>(grad_h_n), call.grad_final[1] = at<const T>(grad_c_n);
        call.grad_x = {at<T>(grad_u), 0, spec.inputs};
        call.grad_state[0] = at<T>(grad_h), call.grad_state[1] = at<T>(grad_c);
        run(spec, kernels, call, threads);
    });
}

void run_draw(uint64_t seed, uint32_t below, const Written& to) {
    bool* flags = dense<bool>("to", Maybe<Written>(to), shape_of(to));
    const nb::gil_scoped_release released;
    draw(seed, below, static_cast<int64_t>(to.size()), flags);
}

// A step again and again on the same arrays: nothing is looked at between calls.
class Stream {
public:
    Stream(const PackedWeights& packed, const Written& x, const Several<Written>& state) : packed_(packed), arrays_{x} {
        const Spec& spec = packed.spec();
        for (const auto& one : state)
            if (one) arrays_.push_back(*one);
        packed.with("x", x, [&]<class T>(const Kernels<T>& kernels, const Packed<T>& weights) {
            if (x.ndim() != 2) refuse("x", words(shape_of(x)), "[B, I]");
            const auto rows = static_cast<int64_t>(x.shape(0));
            const T* from = dense<T>("x", Maybe<Written>(x), {rows, spec.inputs});
            T* states_of[2] = {};
            states<T>("state", spec, rows, state, states_of, true);
            step_ = [=, &kernels, &weights] {
                const T* const before[2] = {states_of[0], states_of[1]};
                T* const after[2] = {states_of[0], states_of[1]};
                if (rows) kernels.step(weights, rows, from, before, after, 1);
            };
        });
    }
    void step() const { step_(); }

private:
    const PackedWeights& packed_;
    std::vector<Written> arrays_;  // kept alive
    std::function<void()> step_;
};

}  // namespace
}  // namespace seriatim

NB_MODULE(_native, module) {
    using namespace seriatim;
    nb::set_leak_warnings(false);  // Python clears modules at exit, and not what those hold who hold these
    module.doc() = "The recurrence: forward, backward and one step, for the instruction set of this processor.";
    module.def("targets", [] {
        std::vector<std::string> names;
        for (const Target* one : targets()) names.push_back(one->name);
        return names;
    });
    module.def("target", [] { return std::string(target().name); });
    module.def("has_halves", [] { return target().halves != nullptr; });
    module.def("amx", amx_state);
    module.def("pool", [] { return std::string(pool_name()); });
    nb::class_<Cell>(module, "Cell")
        .def(nb::init<const std::string&, int64_t, int64_t, int64_t, const std::string&, bool, bool, bool, bool, bool,
                      bool>(),
             "kind"_a, "inputs"_a, "units"_a, "projected"_a, "activation"_a, "bias"_a, "reset_after"_a, "peephole"_a,
             "layer_norm"_a, "given"_a, "halves"_a = false)
        .def_prop_ro("slots", [](const Cell& cell) { return cell.spec.slots(); });
    nb::class_<PackedWeights>(module, "Packed")
        .def(nb::init<const Cell&, const Several<Given>&, int, const std::string&>(), "cell"_a, "weights"_a,
             "threads"_a, "precision"_a = "full");
    nb::class_<Watch>(module, "Watch")
        .def(
            "__init__",
            [](Watch* to, const std::vector<std::pair<Address, int64_t>>& arrays, int threads) {
                std::vector<Stretch> stretches;
                for (const auto& [address, bytes] : arrays) stretches.push_back({at<const char>(address), bytes});
                const nb::gil_scoped_release released;
                new (to) Watch(stretches, checked_threads(threads));
            },
            "arrays"_a, "threads"_a)
        .def("whole", &Watch::whole, "threads"_a, nb::call_guard<nb::gil_scoped_release>())
        .def("some", &Watch::some);
    nb::class_<PackedForBack>(module, "PackedBack")
        .def(nb::init<const Cell&, const Several<Given>&, int>(), "cell"_a, "weights"_a, "threads"_a);
    module.def("forward", run_forward, "cell"_a, "packed"_a, "x"_a, "state"_a, "lengths"_a.none(), "reverse"_a,
               "reset"_a.none(), "dropout"_a.none(), "zoneout"_a, "output"_a, "final"_a, "gates"_a.none(),
               "cells"_a.none(), "threads"_a);
    module.def("backward", run_backward, "cell"_a, "weights"_a, "x"_a, "state"_a, "lengths"_a.none(), "reverse"_a,
               "reset"_a.none(), "dropout"_a.none(), "zoneout"_a, "output"_a, "gates"_a.none(), "cells"_a.none(),
               "grad_output"_a.none(), "grad_final"_a, "grad_cells"_a.none(), "grad_x"_a.none(), "grad_state"_a,
               "grad_weights"_a, "threads"_a);
    nb::class_<Stream>(module, "Stream")
        .def(nb::init<const PackedWeights&, const Written&, const Several<Written>&>(), nb::keep_alive<1, 2>(),
             "packed"_a, "x"_a, "state"_a)
        .def("step", &Stream::step, nb::call_guard<nb::gil_scoped_release>());
    module.def("forward_at", forward_at);
    module.def("backward_at", backward_at);
    module.def("step_at", step_at);
    module.def("step_back_at", step_back_at);
    module.def("draw", run_draw, "seed"_a, "below"_a, "to"_a);
    bind_scan(module);
    module.def("step", run_step, "cell"_a, "packed"_a, "x"_a, "state"_a, "final"_a, "threads"_a = 1);
}
