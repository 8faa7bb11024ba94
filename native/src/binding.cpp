// The module seriatim.kernels._native. native/README.md is its contract.
//
// Calls of the recurrence take addresses: the caller (seriatim/kernels/call_arrays.py) has checked dtypes, shapes and strides. Here the
// presence and the alignment of each address are checked, and every number.
#include <algorithm>
#include <numeric>
#include <tuple>

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
        .activation = named<Activation>("activation", activation,
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

void run_draw(uint64_t seed, uint32_t below, const Written& to) {
    auto* flags = static_cast<bool*>(dense("to", to, nb::dtype<bool>(), shape_of(to)));
    const nb::gil_scoped_release released;
    draw(seed, below, static_cast<int64_t>(to.size()), flags);
}

// Zoneout of one state: an address, the strides from step to step and from row to row, and whether it holds booleans.
using ZoneoutAddress = std::tuple<Address, int64_t, int64_t, bool>;
// lengths [B], reset [T, B], dropout [B, P], and zoneout of h and c.
using Masks = std::tuple<Address, Address, Address, ZoneoutAddress, ZoneoutAddress>;

// How a call traverses time. `sizes` are the numbers of rows of the steps if the rows are packed, and empty otherwise.
class CallWalk {
public:
    CallWalk(Type type, int64_t steps, int64_t rows, const std::vector<int64_t>& sizes, bool reverse,
        const std::optional<Masks>& masks)
        : walk{.reverse = reverse} {
        if (!sizes.empty()) set_packed(sizes, steps, rows);
        if (!masks) return;
        if (!sizes.empty()) refuse("walk", "masks with packed rows", "None");
        const auto [lengths, reset, dropout, zoneout_h, zoneout_c] = *masks;
        check_address("lengths", at(lengths), nb::dtype<int64_t>(), false);
        check_address("dropout", at(dropout), type, false);
        walk.lengths = static_cast<const int64_t*>(at(lengths));
        for (int64_t row = 0; walk.lengths && row < rows; ++row)
            if (walk.lengths[row] < 1 || walk.lengths[row] > steps)
                refuse("lengths", std::to_string(walk.lengths[row]), "1 to " + std::to_string(steps));
        walk.reset = static_cast<const bool*>(at(reset));
        walk.dropout = at(dropout);
        const ZoneoutAddress states[] = {zoneout_h, zoneout_c};
        for (int state : {0, 1}) {
            const auto [data, by_step, by_row, is_bool] = states[state];
            if (is_bool) walk.drawn[state] = {static_cast<const bool*>(at(data)), by_step, by_row};
            else check_address("zoneout", at(data), type, false), walk.zoneout[state] = {at(data), by_step, by_row};
        }
    }
    template <class Value> Sequence<Value> sequence(Value* data, int64_t by_step, int64_t by_row) const {
        return {data, by_step, by_row, walk.starts};
    }
    Walk<void> walk;

private:
    void set_packed(const std::vector<int64_t>& sizes, int64_t steps, int64_t rows) {
        if (static_cast<int64_t>(sizes.size()) != steps || sizes[0] != rows)
            refuse("sizes", std::to_string(sizes.size()) + " from " + std::to_string(sizes[0]),
                std::to_string(steps) + " from " + std::to_string(rows));
        if (!std::is_sorted(sizes.rbegin(), sizes.rend()) || sizes.back() < 1)
            refuse("sizes", words(sizes), "1 or more, and never more than before");
        std::exclusive_scan(sizes.begin(), sizes.end(), std::back_inserter(starts_), int64_t{0});
        for (int64_t row = 0, step = steps; row < rows; ++row) {
            while (sizes[step - 1] <= row) --step;
            lengths_.push_back(step);
        }
        walk.starts = starts_.data(), walk.lengths = lengths_.data();
    }
    std::vector<int64_t> starts_, lengths_;
};

void run_forward(const PackedWeights& packed, int64_t steps, int64_t rows, const std::vector<int64_t>& sizes, Address x,
    int64_t by_step, int64_t by_row, Address h, Address c, bool reverse, Address output, Address h_n, Address c_n,
    Address gates, Address cells, const std::optional<Masks>& masks, int threads) {
    check_size(steps, rows, threads);
    const CallWalk walk(packed.type, steps, rows, sizes, reverse, masks);
    const int64_t width = packed.spec.outputs();
    const Forward<void> call{.steps = steps,
        .rows = rows,
        .x = walk.sequence<const void>(at(x), by_step, by_row),
        .state = {at(h), at(c)},
        .walk = walk.walk,
        .output = walk.sequence(at(output), rows * width, width),
        .final = {at(h_n), at(c_n)},
        .gates = at(gates),
        .cells = at(cells)};
    run(packed, call, threads);
}

void run_backward(const Spec& spec, bool is_float64, const std::vector<Address>& weights, int64_t steps, int64_t rows,
    const std::vector<int64_t>& sizes, Address x, int64_t by_step, int64_t by_row, Address h, Address c, bool reverse,
    Address output, Address gates, Address cells, Address grad_output, int64_t grad_by_step, int64_t grad_by_row,
    Address grad_h_n, Address grad_c_n, Address grad_cells, Address grad_x, Address grad_h, Address grad_c,
    const std::vector<Address>& grad_weights, const std::optional<Masks>& masks, int threads) {
    check_size(steps, rows, threads);
    const Type type = is_float64 ? nb::dtype<double>() : nb::dtype<float>();
    const CallWalk walk(type, steps, rows, sizes, reverse, masks);
    const int64_t width = spec.outputs(), inputs = spec.inputs;
    const Backward<void> call{
        .steps = steps,
        .rows = rows,
        .weights = ten<const void>("weights", spec, type, weights, true),
        .x = walk.sequence<const void>(at(x), by_step, by_row),
        .state = {at(h), at(c)},
        .walk = walk.walk,
        .output = walk.sequence<const void>(at(output), rows * width, width),
        .gates = at(gates),
        .cells = at(cells),
        .grad_output = walk.sequence<const void>(at(grad_output), grad_by_step, grad_by_row),
        .grad_final = {at(grad_h_n), at(grad_c_n)},
        .grad_cells = at(grad_cells),
        .grad_x = walk.sequence(at(grad_x), rows * inputs, inputs),
        .grad_state = {at(grad_h), at(grad_c)},
        .grad_weights = ten<void>("grad_weights", spec, type, grad_weights, false),
    };
    run(target(), spec, type, call, threads);
}

void run_step(
    const PackedWeights& packed, int64_t rows, Address x, Address h, Address c, Address h_n, Address c_n, int threads) {
    const void* const before[] = {at(h), at(c)};
    void* const after[] = {at(h_n), at(c_n)};
    run(packed, rows, at(x), before, after, threads);
}

// Single steps back. The weights' gradients of all steps are computed together.
class StepsBack {
public:
    StepsBack(const PackedForBack& back, const std::vector<Address>& grad_weights, int threads)
        : back_(back), threads_(checked_threads(threads)) {
        const Spec& spec = back.spec;
        if (spec.projected || spec.peephole || spec.layer_norm)
            refuse("back", "another cell's weights", "those of a cell without projection, peepholes and layer norm");
        const auto wanted = ten<void>("grad_weights", spec, back.type, grad_weights, false);
        with_kernels(back.target, spec, back.type, [&]<class T>(const Kernels<T>& kernels) {
            steps_ = std::shared_ptr<StepGradients<T>>(
                kernels.gather(spec, std::bit_cast<Weights<T>>(wanted), threads), kernels.discard_gathered);
        });
    }
    bool step(int64_t rows, Address x, Address h, Address c, Address h_n, Address gates, Address c_n, Address grad_h_n,
        Address grad_c_n, Address grad_x, Address grad_h, Address grad_c) const {
        check_size(1, rows, threads_);
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
        with_mine([&]<class T>(
                      const Kernels<T>& kernels, StepGradients<T>& steps) { made = kernels.make_room(steps, rows); });
        run(back_.target, spec, back_.type, call, threads_);
        return made;
    }
    void finish() const {
        with_mine([]<class T>(const Kernels<T>& kernels, StepGradients<T>& steps) { kernels.finish(steps); });
    }

private:
    template <class Work> void with_mine(const Work& work) const {
        const nb::gil_scoped_release released;
        with_kernels(back_.target, back_.spec, back_.type,
            [&]<class T>(const Kernels<T>& kernels) { work(kernels, *static_cast<StepGradients<T>*>(steps_.get())); });
    }
    const PackedForBack& back_;
    const int threads_;
    std::shared_ptr<void> steps_;
};

// Single steps that update a state in place.
class Stream {
public:
    Stream(const PackedWeights& packed, const Several<Written>& state)
        : packed_(packed), arrays_(state), rows_(state.empty() || !state[0] ? 0 : shape_of(*state[0])[0]) {
        const Spec& spec = packed.spec;
        const auto count = static_cast<size_t>(spec.states());
        if (state.size() != count) refuse("state", std::to_string(state.size()) + " arrays", std::to_string(count));
        for (size_t index = 0; index < count; ++index) {
            if (!state[index]) refuse("state", "None", "an array");
            state_[index] = dense("state", state[index], packed.type, {rows_, index ? spec.carried() : spec.outputs()});
        }
    }
    // Reads x through Python's buffer protocol: nanobind needs longer to make an array.
    void step(nb::handle x) const {
        Py_buffer view;
        if (PyObject_GetBuffer(x.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) throw nb::python_error();
        const std::unique_ptr<Py_buffer, decltype(&PyBuffer_Release)> buffer(&view, PyBuffer_Release);
        const int64_t inputs = packed_.spec.inputs;
        const char type = packed_.type == nb::dtype<float>() ? 'f' : 'd';
        if (view.ndim != 2 || view.shape[0] != rows_ || view.shape[1] != inputs)
            refuse("x", "another shape", words(Shape{rows_, inputs}));
        if (view.format[0] != type || view.format[1]) refuse("x", view.format, words(packed_.type));
        const auto* from = static_cast<const char*>(view.buf);
        std::vector<char> copy;  // of x, if it overlaps a state, which the step overwrites
        for (const auto& state : arrays_)
            if (const auto* to = static_cast<const char*>(state->data());
                to < from + view.len && from < to + state->nbytes())
                copy.assign(from, from + view.len);
        run(packed_, rows_, copy.empty() ? from : copy.data(), state_, state_, 1);
    }

private:
    const PackedWeights& packed_;
    const Several<Written> arrays_;  // keeps their memory alive
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
    module.def("forward", run_forward);
    module.def("backward", run_backward);
    module.def("step", run_step);
    module.def("draw", run_draw, "seed"_a, "below"_a, "to"_a);
    bind_scan(module);
    bind_fingerprint(module);
}
