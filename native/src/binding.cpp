// The module seriatim.kernels._native. native/README.md is its contract.
//
// binding.h says what is checked here.
#include <algorithm>
#include <numeric>
#include <tuple>

#include "calls.h"
#include "draws.h"

namespace seriatim {
namespace {

Spec cell(const std::string& name, int64_t inputs, int64_t units, int64_t projected, const std::string& activation,
    bool bias, bool peephole, bool layer_norm, bool input_projected, bool bf16) {
    const CellLayout* layout = find_cell(name);
    if (!layout) {
        std::vector<std::string> known;
        for (const CellLayout& cell : cell_layouts()) known.push_back(cell.name);
        refuse("cell", "'" + name + "'", listed(known));
    }
    const auto phi = named<Activation>("activation", activation,
        {{"tanh", Activation::tanh}, {"relu", Activation::relu}, {"sigmoid", Activation::sigmoid}});
    const Spec spec{layout, phi, inputs, units, projected, bias, peephole, layer_norm, input_projected, bf16};
    const auto check_size = [](const char* argument, int64_t value, int64_t minimum) {
        if (value < minimum || value > int64_t{1} << 30) refuse(argument, value, std::to_string(minimum) + " or more");
    };
    const auto check_option = [&](const char* argument, bool is_on, bool is_known) {
        if (is_on && !is_known) refuse(argument, "True", "False for " + name);
    };
    check_size("inputs", inputs, 0), check_size("units", units, 1), check_size("projected", projected, 0);
    if (input_projected && inputs != spec.gates() * units)
        refuse("inputs", inputs, "gates × units with input_projected");
    if (projected && !layout->has_projection) refuse("projected", projected, "0 for " + name);
    check_option("peephole", peephole, layout->peepholes);
    check_option("layer_norm", layer_norm, layout->has_layer_norm);
    if (layer_norm && !input_projected) refuse("input_projected", "False", "True with layer_norm");
    return spec;
}

void run_draw(uint64_t seed, uint32_t below, Address to, int64_t count) {
    check_address("to", at(to), 1, count > 0);
    const nb::gil_scoped_release released;
    draw(seed, below, count, static_cast<bool*>(at(to)));
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
        walk.lengths = static_cast<const int64_t*>(at(lengths));
        check_address("lengths", walk.lengths, sizeof(int64_t), false);
        check_lengths(walk.lengths, rows, steps);
        type.check("dropout", at(dropout), false);
        walk.reset = static_cast<const bool*>(at(reset));
        walk.dropout = at(dropout);
        const ZoneoutAddress states[] = {zoneout_h, zoneout_c};
        for (int state : {0, 1}) {
            const auto [data, by_step, by_row, is_bool] = states[state];
            if (is_bool) walk.drawn[state] = {static_cast<const bool*>(at(data)), by_step, by_row};
            else type.check("zoneout", at(data), false), walk.zoneout[state] = {at(data), by_step, by_row};
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
            refuse("sizes", "a step with no row, or with more than the step before", "1 or more, and never more");
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
    check_sizes(steps, rows, threads);
    const CallWalk walk(packed.type, steps, rows, sizes, reverse, masks);
    const int64_t width = packed.spec.outputs();
    run(packed,
        {steps, rows, walk.sequence<const void>(at(x), by_step, by_row), {at(h), at(c)}, walk.walk,
            walk.sequence(at(output), rows * width, width), {at(h_n), at(c_n)}, at(gates), at(cells)},
        threads);
}

void run_backward(const Spec& spec, bool is_float64, const Addresses& weights, int64_t steps, int64_t rows,
    const std::vector<int64_t>& sizes, Address x, int64_t by_step, int64_t by_row, Address h, Address c, bool reverse,
    Address output, Address gates, Address cells, Address grad_output, int64_t grad_by_step, int64_t grad_by_row,
    Address grad_h_n, Address grad_c_n, Address grad_cells, Address grad_x, Address grad_h, Address grad_c,
    const Addresses& grad_weights, const std::optional<Masks>& masks, int threads) {
    check_sizes(steps, rows, threads);
    const Type type{is_float64};
    const CallWalk walk(type, steps, rows, sizes, reverse, masks);
    const int64_t width = spec.outputs(), inputs = spec.inputs;
    const auto read = ten_weights<const void>("weights", spec, type, weights, true);
    const auto written = ten_weights<void>("grad_weights", spec, type, grad_weights, false);
    run(target(), spec, type,
        {steps, rows, read, nullptr, walk.sequence<const void>(at(x), by_step, by_row), {at(h), at(c)}, walk.walk,
            walk.sequence<const void>(at(output), rows * width, width), at(gates), at(cells),
            walk.sequence<const void>(at(grad_output), grad_by_step, grad_by_row), {at(grad_h_n), at(grad_c_n)},
            at(grad_cells), walk.sequence(at(grad_x), rows * inputs, inputs), {at(grad_h), at(grad_c)}, written},
        threads);
}

void run_step(
    const PackedWeights& packed, int64_t rows, Address x, Address h, Address c, Address h_n, Address c_n, int threads) {
    run(packed, rows, at(x), {at(h), at(c)}, {at(h_n), at(c_n)}, threads);
}

// Single steps back. The weights' gradients of all steps are computed together.
class StepsBack {
public:
    StepsBack(const PackedForBack& back, const Addresses& grad_weights, int threads) : back_(back), threads_(threads) {
        check_threads(threads);
        const Spec& spec = back.spec;
        if (spec.projected || spec.peephole || spec.layer_norm)
            refuse("back", "another cell's weights", "those of a cell without projection, peepholes and layer norm");
        const auto written = ten_weights<void>("grad_weights", spec, back.type, grad_weights, false);
        with_kernels(back.target, spec, back.type, [&]<class T>(const Kernels<T>& kernels) {
            steps_ = std::shared_ptr<StepGradients<T>>(
                kernels.gather(spec, std::bit_cast<Weights<T>>(written), threads), kernels.discard_gathered);
        });
    }
    bool step(int64_t rows, Address x, Address h, Address c, Address h_n, Address gates, Address c_n, Address grad_h_n,
        Address grad_c_n, Address grad_x, Address grad_h, Address grad_c) const {
        check_sizes(1, rows, threads_);
        const Spec& spec = back_.spec;
        const auto* packed = static_cast<const PackedBackward<void>*>(back_.packed.get());
        auto* steps = static_cast<StepGradients<void>*>(steps_.get());
        bool is_reduced = false;
        with_steps([&]<class T>(const Kernels<T>& kernels, StepGradients<T>& steps) {
            is_reduced = kernels.make_room(steps, rows);
        });
        run(back_.target, spec, back_.type,
            {1, rows, back_.weights, packed, {at(x), 0, spec.inputs}, {at(h), at(c)}, {}, {at(h_n), 0, spec.outputs()},
                at(gates), at(c_n), {}, {at(grad_h_n), at(grad_c_n)}, nullptr, {at(grad_x), 0, spec.inputs},
                {at(grad_h), at(grad_c)}, {}, steps},
            threads_);
        return is_reduced;
    }
    void finish() const {
        with_steps([]<class T>(const Kernels<T>& kernels, StepGradients<T>& steps) { kernels.finish(steps); });
    }

private:
    template <class Work> void with_steps(const Work& work) const {
        const nb::gil_scoped_release released;
        with_kernels(back_.target, back_.spec, back_.type,
            [&]<class T>(const Kernels<T>& kernels) { work(kernels, *static_cast<StepGradients<T>*>(steps_.get())); });
    }
    const PackedForBack& back_;
    const int threads_;
    std::shared_ptr<void> steps_;
};

// Single steps that update a state in place. Its memory belongs to the caller.
class Stream {
public:
    Stream(const PackedWeights& packed, int64_t rows, Address h, Address c)
        : packed_(packed), rows_(rows), state_{at(h), at(c)} {
        check_sizes(1, rows, 1);
        Checks{packed.spec, packed.type}.states("state", state_, true);
    }
    // Reads x through Python's buffer protocol: its address would take longer to get.
    void step(nb::handle x) const {
        Py_buffer view;
        if (PyObject_GetBuffer(x.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) throw nb::python_error();
        const std::unique_ptr<Py_buffer, decltype(&PyBuffer_Release)> buffer(&view, PyBuffer_Release);
        const Spec& spec = packed_.spec;
        if (view.ndim != 2 || view.shape[0] != rows_ || view.shape[1] != spec.inputs)
            refuse("x", "another shape", std::to_string(rows_) + ", " + std::to_string(spec.inputs));
        if (view.format[0] != (packed_.type.is_float64 ? 'd' : 'f') || view.format[1])
            refuse("x", view.format, packed_.type.is_float64 ? "float64" : "float32");
        const auto* from = static_cast<const char*>(view.buf);
        std::vector<char> copy;  // of x, if it overlaps a state, which the step overwrites
        for (int state : {0, 1}) {
            const auto* to = static_cast<const char*>(state_[state]);
            const int64_t bytes = rows_ * (state ? spec.carried() : spec.outputs()) * packed_.type.bytes();
            if (to < from + view.len && from < to + bytes) copy.assign(from, from + view.len);
        }
        run(packed_, rows_, copy.empty() ? from : copy.data(), state_, state_, 1);
    }

private:
    const PackedWeights& packed_;
    const int64_t rows_;
    void* const state_[2];
};

}  // namespace
}  // namespace seriatim

NB_MODULE(_native, module) {
    using namespace seriatim;
    nb::set_leak_warnings(false);  // at exit Python clears modules, but not all objects that refer to them
    module.doc() = "The recurrence: forward, backward and one step, for the instruction set of this processor.";
    module.def("targets", [] {
        std::vector<std::string> names;
        for (const Target* target : targets()) names.push_back(target->name);
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
        .def(nb::init<const Spec&, bool, const Addresses&, int, const std::string&>(), "cell"_a, "is_float64"_a,
            "weights"_a, "threads"_a, "precision"_a = "full");
    nb::class_<PackedForBack>(module, "PackedBack")
        .def(nb::init<const Spec&, bool, const Addresses&, int>(), "cell"_a, "is_float64"_a, "weights"_a, "threads"_a);
    nb::class_<StepsBack>(module, "StepsBack")
        .def(nb::init<const PackedForBack&, const Addresses&, int>(), nb::keep_alive<1, 2>(), "back"_a,
            "grad_weights"_a, "threads"_a)
        .def("step", &StepsBack::step)
        .def("finish", &StepsBack::finish);
    nb::class_<Stream>(module, "Stream")
        .def(nb::init<const PackedWeights&, int64_t, Address, Address>(), nb::keep_alive<1, 2>(), "packed"_a, "rows"_a,
            "h"_a, "c"_a)
        .def("step", &Stream::step, "x"_a);
    module.def("forward", run_forward);
    module.def("backward", run_backward);
    module.def("step", run_step);
    module.def("draw", run_draw, "seed"_a, "below"_a, "to"_a, "count"_a);
    bind_scan(module);
    bind_fingerprint(module);
}
