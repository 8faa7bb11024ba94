// The module seriatim.kernels._native: arrays in, arrays out. Everything is checked here; native/README.md is the contract.
#include <algorithm>
#include <numeric>

#include "binding.h"
#include "calls.h"
#include "draws.h"

namespace seriatim {
namespace {

Spec cell(const std::string& name, int64_t inputs, int64_t units, int64_t projected, const std::string& activation,
          bool bias, bool peephole, bool layer_norm, bool input_projected, bool bf16) {
    const CellLayout* layout = find_cell(name);
    if (!layout) {
        std::string known;
        for (const CellLayout& each : cell_layouts()) known += (known.empty() ? "" : ", ") + std::string(each.name);
        refuse("cell", "'" + name + "'", known);
    }
    const Spec spec{
        .cell = layout,
        .activation = named<Activation>(
            "activation", activation,
            {{"tanh", Activation::tanh}, {"relu", Activation::relu}, {"sigmoid", Activation::sigmoid}}),
        .inputs = inputs,
        .units = units,
        .projected = projected,
        .bias = bias,
        .peephole = peephole,
        .layer_norm = layer_norm,
        .input_projected = input_projected,
        .bf16 = bf16,
    };
    const auto check_size = [](const char* argument, int64_t value, int64_t minimum) {
        if (value < minimum || value > int64_t{1} << 30)
            refuse(argument, std::to_string(value), std::to_string(minimum) + " or more");
    };
    const auto check_option = [&](const char* argument, bool is_on, bool is_known) {
        if (is_on && !is_known) refuse(argument, "True", "False for " + name);
    };
    check_size("inputs", inputs, 0);
    check_size("units", units, 1);
    check_size("projected", projected, 0);
    if (input_projected && inputs != spec.gates() * units)
        refuse("inputs", std::to_string(inputs), "gates × units with input_projected");
    if (projected && !layout->has_projection) refuse("projected", std::to_string(projected), "0 for " + name);
    check_option("peephole", peephole, layout->peepholes);
    check_option("layer_norm", layer_norm, layout->has_layer_norm);
    if (layer_norm && !input_projected) refuse("input_projected", "False", "True with layer_norm");
    return spec;
}

template <class Array>
void states(const char* argument, const Spec& spec, Type type, int64_t rows, const Several<Array>& list,
            Pointer<Array> (&to)[2]) {
    const auto count = static_cast<size_t>(spec.states());
    for (size_t state = 0; state < count; ++state)
        to[state] =
            dense(argument, one(argument, list, state, count), type, {rows, state ? spec.carried() : spec.outputs()});
}

// What both directions read.
template <class Call>
Call reading(const Spec& spec, Type type, const Given& x, const Several<Given>& state, const Maybe<Given>& lengths,
             bool reverse, const Maybe<Given>& reset, const Maybe<Given>& dropout, const Several<Given>& zoneout) {
    const Shape shape = shape_of("x", x, 3, "[T, B, I]");
    Call call{.steps = shape[0], .rows = shape[1]};
    call.x = sequence("x", x, type, {call.steps, call.rows, spec.inputs});
    states("state", spec, type, call.rows, state, call.state);
    call.walk.reverse = reverse;
    call.walk.lengths = lengths_of(lengths, call.steps, call.rows);
    call.walk.reset = dense<bool>("reset", reset, {call.steps, call.rows});
    call.walk.dropout = dense("dropout", dropout, type, {call.rows, spec.outputs()});
    const size_t kept = zoneout.empty() ? 0 : spec.states();
    for (size_t which = 0; which < kept; ++which) {
        const Maybe<Given>& share = one("zoneout", zoneout, which, kept);
        const Shape wanted{call.steps, call.rows, which ? spec.carried() : spec.outputs()};
        if (share && share->dtype() == nb::dtype<bool>()) {
            const auto flags = sequence("zoneout", *share, nb::dtype<bool>(), wanted, true);
            call.walk.drawn[which] = {static_cast<const bool*>(flags.data), flags.by_step, flags.by_row};
        } else {
            call.walk.zoneout[which] = sequence("zoneout", share, type, wanted, true);
        }
    }
    return call;
}

void run_forward(const Spec& spec, const PackedWeights& packed, const Given& x, const Several<Given>& state,
                 const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Maybe<Given>& dropout,
                 const Several<Given>& zoneout, const Written& output, const Several<Written>& final,
                 const Maybe<Written>& gates, const Maybe<Written>& cells, int threads) {
    if (spec != packed.spec) refuse("packed", "another cell's weights", "this cell's");
    const Type type = packed.type;
    auto call = reading<Forward<void>>(spec, type, x, state, lengths, reverse, reset, dropout, zoneout);
    call.output = sequence("output", output, type, {call.steps, call.rows, spec.outputs()});
    states("final", spec, type, call.rows, final, call.final);
    call.gates = dense("gates", gates, type, {call.steps, call.rows, spec.slots(), spec.units});
    call.cells = dense("cells", cells, type, {call.steps, call.rows, spec.carried()});
    run(packed, call, threads);
}

void run_backward(const Spec& spec, const Several<Given>& weights, const Given& x, const Several<Given>& state,
                  const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Maybe<Given>& dropout,
                  const Several<Given>& zoneout, const Given& output, const Maybe<Given>& gates,
                  const Maybe<Given>& cells, const Maybe<Given>& grad_output, const Several<Given>& grad_final,
                  const Maybe<Given>& grad_cells, const Maybe<Written>& grad_x, const Several<Written>& grad_state,
                  const Several<Written>& grad_weights, int threads) {
    const Type type = real("x", x);
    auto call = reading<Backward<void>>(spec, type, x, state, lengths, reverse, reset, dropout, zoneout);
    const Shape outputs{call.steps, call.rows, spec.outputs()}, of_cells{call.steps, call.rows, spec.carried()};
    call.weights = ten<const void>("weights", spec, type, weights, true);
    call.output = sequence("output", output, type, outputs);
    call.gates = dense("gates", gates, type, {call.steps, call.rows, spec.slots(), spec.units});
    call.cells = dense("cells", cells, type, of_cells);
    call.grad_output = sequence("grad_output", grad_output, type, outputs);
    states("grad_final", spec, type, call.rows, grad_final, call.grad_final);
    call.grad_cells = dense("grad_cells", grad_cells, type, of_cells);
    call.grad_x = sequence("grad_x", grad_x, type, {call.steps, call.rows, spec.inputs});
    states("grad_state", spec, type, call.rows, grad_state, call.grad_state);
    call.grad_weights = ten<void>("grad_weights", spec, type, grad_weights, false);
    run(target(), spec, type, call, threads);
}

void run_draw(uint64_t seed, uint32_t below, const Written& to) {
    auto* flags = static_cast<bool*>(dense("to", to, nb::dtype<bool>(), shape_of(to)));
    const nb::gil_scoped_release released;
    draw(seed, below, static_cast<int64_t>(to.size()), flags);
}

void run_step(const Spec& spec, const PackedWeights& packed, const Given& x, const Several<Given>& state,
              const Several<Written>& final) {
    if (spec != packed.spec) refuse("packed", "another cell's weights", "this cell's");
    const int64_t rows = shape_of("x", x, 2, "[B, I]")[0];
    const void* before[2] = {};
    void* after[2] = {};
    states("state", spec, packed.type, rows, state, before);
    states("final", spec, packed.type, rows, final, after);
    run(packed, rows, dense("x", x, packed.type, {rows, spec.inputs}), before, after, 1);
}

// How many rows have each step, falling: where a step's rows begin in packed data, and how long each row is. Empty for padded
// data.
struct PackedRows {
    PackedRows(const std::vector<int64_t>& sizes, int64_t steps, int64_t rows) {
        if (sizes.empty()) return;
        if (static_cast<int64_t>(sizes.size()) != steps || sizes[0] != rows)
            refuse("sizes", std::to_string(sizes.size()) + " from " + std::to_string(sizes[0]),
                   std::to_string(steps) + " from " + std::to_string(rows));
        if (!std::is_sorted(sizes.rbegin(), sizes.rend()) || sizes.back() < 1)
            refuse("sizes", words(sizes), "1 or more, and never more than before");
        std::exclusive_scan(sizes.begin(), sizes.end(), std::back_inserter(starts), int64_t{0});
        for (int64_t row = 0, step = steps; row < rows; ++row) {
            while (sizes[step - 1] <= row) --step;
            lengths.push_back(step);
        }
    }
    Walk<void> walk(bool reverse) const {
        return {.lengths = starts.empty() ? nullptr : lengths.data(), .starts = of_steps(), .reverse = reverse};
    }
    template <class Value>
    Sequence<Value> sequence(Value* data, int64_t by_step, int64_t by_row) const {
        return {data, by_step, by_row, of_steps()};
    }

private:
    const int64_t* of_steps() const { return starts.empty() ? nullptr : starts.data(); }
    std::vector<int64_t> starts, lengths;
};

void forward_at(const PackedWeights& packed, int64_t steps, int64_t rows, const std::vector<int64_t>& sizes, Address x,
                int64_t by_step, int64_t by_row, Address h, Address c, bool reverse, Address output, Address h_n,
                Address c_n, Address gates, Address cells, int threads) {
    const PackedRows together(sizes, steps, rows);
    const int64_t width = packed.spec.outputs();
    const Forward<void> call{.steps = steps,
                             .rows = rows,
                             .x = together.sequence<const void>(at(x), by_step, by_row),
                             .state = {at(h), at(c)},
                             .walk = together.walk(reverse),
                             .output = together.sequence(at(output), rows * width, width),
                             .final = {at(h_n), at(c_n)},
                             .gates = at(gates),
                             .cells = at(cells)};
    run(packed, call, threads);
}

void backward_at(const Spec& spec, bool wide, const std::vector<Address>& weights, int64_t steps, int64_t rows,
                 const std::vector<int64_t>& sizes, Address x, int64_t by_step, int64_t by_row, Address h, Address c,
                 bool reverse, Address output, Address gates, Address cells, Address grad_output, int64_t grad_by_step,
                 int64_t grad_by_row, Address grad_h_n, Address grad_c_n, Address grad_x, Address grad_h,
                 Address grad_c, const std::vector<Address>& grad_weights, int threads) {
    const PackedRows together(sizes, steps, rows);
    const Type type = wide ? nb::dtype<double>() : nb::dtype<float>();
    const int64_t width = spec.outputs(), inputs = spec.inputs;
    const Backward<void> call{
        .steps = steps,
        .rows = rows,
        .weights = ten<const void>("weights", spec, type, weights, true),
        .x = together.sequence<const void>(at(x), by_step, by_row),
        .state = {at(h), at(c)},
        .walk = together.walk(reverse),
        .output = together.sequence<const void>(at(output), rows * width, width),
        .gates = at(gates),
        .cells = at(cells),
        .grad_output = together.sequence<const void>(at(grad_output), grad_by_step, grad_by_row),
        .grad_final = {at(grad_h_n), at(grad_c_n)},
        .grad_x = together.sequence(at(grad_x), rows * inputs, inputs),
        .grad_state = {at(grad_h), at(grad_c)},
        .grad_weights = ten<void>("grad_weights", spec, type, grad_weights, false),
    };
    run(target(), spec, type, call, threads);
}

void step_at(const PackedWeights& packed, int64_t rows, Address x, Address h, Address c, Address h_n, Address c_n,
             int threads) {
    const void* const before[] = {at(h), at(c)};
    void* const after[] = {at(h_n), at(c_n)};
    run(packed, rows, at(x), before, after, threads);
}

// Single steps back, by address, whose weights' gradients are made together.
class StepsBack {
public:
    StepsBack(const PackedForBack& back, const std::vector<Address>& grad_weights, int threads)
        : back_(back),
          threads_(checked_threads(threads)) {
        const Spec& spec = back.spec;
        if (spec.projected || spec.peephole || spec.layer_norm)
            refuse("back", "another cell's weights", "those of one without projection, peepholes and layer norm");
        const auto wanted = ten<void>("grad_weights", spec, back.type, grad_weights, false);
        with_kernels(back.target, spec, back.type, [&]<class T>(const Kernels<T>& kernels) {
            steps_ = std::shared_ptr<StepGradients<T>>(kernels.gather(spec, std::bit_cast<Weights<T>>(wanted), threads),
                                                       kernels.discard_gathered);
        });
    }
    bool step(int64_t rows, Address x, Address h, Address c, Address h_n, Address gates, Address c_n, Address grad_h_n,
              Address grad_c_n, Address grad_x, Address grad_h, Address grad_c) const {
        const Spec& spec = back_.spec;
        const Backward<void> call{.steps = 1,
                                  .rows = rows,
                                  .weights = back_.weights,
                                  .packed = static_cast<const PackedBackward<void>*>(back_.packed.get()),
                                  .x = {at(x), 0, spec.inputs},
                                  .state = {at(h), at(c)},
                                  .output = {at(h_n), 0, spec.outputs()},
                                  .gates = at(gates),
                                  .cells = at(c_n),
                                  .grad_final = {at(grad_h_n), at(grad_c_n)},
                                  .grad_x = {at(grad_x), 0, spec.inputs},
                                  .grad_state = {at(grad_h), at(grad_c)},
                                  .gather = static_cast<StepGradients<void>*>(steps_.get())};
        bool made = false;
        with_mine([&]<class T>(const Kernels<T>& kernels, StepGradients<T>& steps) {
            made = kernels.make_room(steps, rows);
        });
        run(back_.target, spec, back_.type, call, threads_);
        return made;
    }
    void finish() const {
        with_mine([]<class T>(const Kernels<T>& kernels, StepGradients<T>& steps) { kernels.finish(steps); });
    }

private:
    template <class Work>
    void with_mine(const Work& work) const {
        const nb::gil_scoped_release released;
        with_kernels(back_.target, back_.spec, back_.type, [&]<class T>(const Kernels<T>& kernels) {
            work(kernels, *static_cast<StepGradients<T>*>(steps_.get()));
        });
    }
    const PackedForBack& back_;
    const int threads_;
    std::shared_ptr<void> steps_;
};

// A step again and again on the same state.
class Stream {
public:
    Stream(const PackedWeights& packed, const Several<Written>& state)
        : packed_(packed),
          arrays_(state),
          rows_(state.empty() || !state[0] ? 0 : shape_of(*state[0])[0]) {
        for (const auto& one : state)
            if (!one) refuse("state", "None", "an array");
        states("state", packed.spec, packed.type, rows_, state, state_);
    }
    // x is read as a buffer of Python's: an array of nanobind's takes longer to make.
    void step(nb::handle x) const {
        Py_buffer view;
        if (PyObject_GetBuffer(x.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) throw nb::python_error();
        const std::unique_ptr<Py_buffer, decltype(&PyBuffer_Release)> held(&view, PyBuffer_Release);
        const int64_t inputs = packed_.spec.inputs;
        const char type = packed_.type == nb::dtype<float>() ? 'f' : 'd';
        if (view.ndim != 2 || view.shape[0] != rows_ || view.shape[1] != inputs)
            refuse("x", "another shape", words(Shape{rows_, inputs}));
        if (view.format[0] != type || view.format[1]) refuse("x", view.format, words(packed_.type));
        const auto* from = static_cast<const char*>(view.buf);
        std::vector<char> apart;  // of what the step overwrites while it reads x
        for (const auto& state : arrays_)
            if (const auto* to = static_cast<const char*>(state->data());
                to < from + view.len && from < to + state->nbytes())
                apart.assign(from, from + view.len);
        run(packed_, rows_, apart.empty() ? from : apart.data(), state_, state_, 1);
    }

private:
    const PackedWeights& packed_;
    const Several<Written> arrays_;  // kept alive
    const int64_t rows_;
    void* state_[2] = {};
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
    module.def("has_bf16", [] { return target().bf16 != nullptr; });
    module.def("amx", amx_state);
    nb::class_<Spec>(module, "Cell")
        .def(nb::new_(&cell), "name"_a, "inputs"_a, "units"_a, "projected"_a, "activation"_a, "bias"_a, "peephole"_a,
             "layer_norm"_a, "input_projected"_a, "bf16"_a = false)
        .def_prop_ro("slots", &Spec::slots);
    nb::class_<PackedWeights>(module, "Packed")
        .def(nb::init<const Spec&, const Several<Given>&, int, const std::string&>(), "cell"_a, "weights"_a,
             "threads"_a, "precision"_a = "full");
    nb::class_<PackedForBack>(module, "PackedBack")
        .def(nb::init<const Spec&, const Several<Given>&, int>(), "cell"_a, "weights"_a, "threads"_a);
    nb::class_<StepsBack>(module, "StepsBack")
        .def(nb::init<const PackedForBack&, const std::vector<Address>&, int>(), nb::keep_alive<1, 2>(), "back"_a,
             "grad_weights"_a, "threads"_a)
        .def("step", &StepsBack::step)
        .def("finish", &StepsBack::finish);
    nb::class_<Stream>(module, "Stream")
        .def(nb::init<const PackedWeights&, const Several<Written>&>(), nb::keep_alive<1, 2>(), "packed"_a, "state"_a)
        .def("step", &Stream::step, "x"_a);
    module.def("forward", run_forward, "cell"_a, "packed"_a, "x"_a, "state"_a, "lengths"_a.none(), "reverse"_a,
               "reset"_a.none(), "dropout"_a.none(), "zoneout"_a, "output"_a, "final"_a, "gates"_a.none(),
               "cells"_a.none(), "threads"_a);
    module.def("backward", run_backward, "cell"_a, "weights"_a, "x"_a, "state"_a, "lengths"_a.none(), "reverse"_a,
               "reset"_a.none(), "dropout"_a.none(), "zoneout"_a, "output"_a, "gates"_a.none(), "cells"_a.none(),
               "grad_output"_a.none(), "grad_final"_a, "grad_cells"_a.none(), "grad_x"_a.none(), "grad_state"_a,
               "grad_weights"_a, "threads"_a);
    module.def("step", run_step);
    module.def("draw", run_draw, "seed"_a, "below"_a, "to"_a);
    module.def("forward_at", forward_at);
    module.def("backward_at", backward_at);
    module.def("step_at", step_at);
    bind_scan(module);
    bind_fingerprint(module);
}
