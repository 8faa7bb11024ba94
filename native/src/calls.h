// Calls of the engine's kernels: packed weights, the checks of every call, and the choice of the element type.
#pragma once

#include <memory>

#include "binding.h"

namespace seriatim {

// All ten weights in order, or their gradients. Gradients may be absent.
template <class Value>
Weights<Value> ten_weights(const char* argument, const Spec& spec, Type type, const Addresses& list, bool needed) {
    check_count(argument, list.size(), 10);
    const bool norm = spec.layer_norm, own_input = !spec.input_projected,
               normalises_c = norm && spec.cell->normalises_c;
    Weights<Value> w;
    const struct {
        const char* name;
        Value** to;
        bool is_there, is_empty = false;
    } weights[] = {{"w_ih", &w.w_ih, own_input, !spec.inputs}, {"w_hh", &w.w_hh, true},
        {"b_ih", &w.b_ih, own_input && spec.bias}, {"b_hh", &w.b_hh, spec.bias}, {"w_hr", &w.w_hr, spec.projected > 0},
        {"w_ch", &w.w_ch, spec.peephole}, {"g_ih", &w.g_ih, false}, {"g_hh", &w.g_hh, norm},
        {"g_c", &w.g_c, normalises_c}, {"b_c", &w.b_c, normalises_c}};
    for (size_t index = 0; index < list.size(); ++index) {
        const auto& [name, to, is_there, is_empty] = weights[index];
        const void* data = *to = at(list[index]);
        const bool is_wrong = data ? !is_there || reinterpret_cast<uintptr_t>(data) & (type.bytes() - 1)
                                   : is_there && !is_empty && needed;
        if (!is_wrong) continue;
        const std::string full_name = std::string(argument) + "." + name;
        if (data && !is_there) refuse(full_name, "an array", "None for this cell");
        type.check(full_name.c_str(), data, true);
    }
    return w;
}

// Calls work(kernels) with the kernels for `spec` in `type`.
template <class Work> void with_kernels(const Target& target, const Spec& spec, Type type, const Work& work) {
    if (!spec.bf16) return type.with_kernels(target, work);
    if (!target.bf16 || type.is_float64)
        refuse(
            "cell", "bf16", std::string("bf16 only with float32 on a target that has it, which is not ") + target.name);
    work(target.bf16());
}

// Weights in the order in which a target reads them, and the originals, which belong to the caller.
struct Packing {
    Packing(const Spec& spec, bool is_float64, const Addresses& list, int threads)
        : spec(spec), type{is_float64}, weights(ten_weights<const void>("weights", spec, type, list, true)) {
        check_threads(threads);
    }
    const Spec spec;
    const Target& target = seriatim::target();
    const Type type;
    const Weights<const void> weights;
    std::shared_ptr<void> packed;
};

struct PackedWeights : Packing {
    PackedWeights(const Spec& spec, bool is_float64, const Addresses& list, int threads, const std::string& how)
        : Packing(spec, is_float64, list, threads),
          precision(named<Precision>(
              "precision", how, {{"full", Precision::full}, {"bf16", Precision::bf16}, {"int8", Precision::int8}})) {
        const bool one_stage =
            !spec.bf16 && !spec.input_projected && !spec.projected && !spec.layer_norm && !spec.has_two_stages();
        if (precision != Precision::full && (is_float64 || !one_stage))
            refuse("precision", how,
                "full, but for float32 without projection, layer norm, a reset before the product and bf16");
        with_kernels(target, spec, type, [&]<class T>(const Kernels<T>& kernels) {
            const nb::gil_scoped_release released;
            packed = std::shared_ptr<Packed<T>>(
                kernels.pack(spec, std::bit_cast<Weights<const T>>(weights), precision, threads), kernels.discard);
        });
    }
    const Precision precision;
};

// The same for the backward pass of single steps. The caller keeps the originals alive.
struct PackedForBack : Packing {
    PackedForBack(const Spec& spec, bool is_float64, const Addresses& list, int threads)
        : Packing(spec, is_float64, list, threads) {
        with_kernels(target, spec, type, [&]<class T>(const Kernels<T>& kernels) {
            const nb::gil_scoped_release released;
            packed = std::shared_ptr<PackedBackward<T>>(
                kernels.pack_backward(spec, std::bit_cast<Weights<const T>>(weights), threads),
                kernels.discard_backward);
        });
    }
};

inline void check_sizes(int64_t steps, int64_t rows, int threads) {
    check_threads(threads);
    if (steps < 1 || rows < 0) refuse("x", std::to_string(steps) + ", " + std::to_string(rows), "at least one step");
}

// Checks that the arrays which a cell needs are there and aligned, and that no others are.
struct Checks {
    const Spec& spec;
    Type type;
    void array(const char* argument, const void* data, bool needed) const { type.check(argument, data, needed); }
    void states(const char* argument, const void* const* list, bool needed) const {
        array(argument, list[0], needed), array(argument, list[1], needed && spec.states() == 2);
        if (list[1] && spec.states() == 1) refuse(argument, "2 arrays", "1");
    }
    void cells(const char* argument, const void* data, bool needed) const {
        array(argument, data, needed && spec.carried());
        if (data && !spec.carried()) refuse(argument, "an array", "None: there is no c");
    }
};

inline void run(const PackedWeights& packed, const Forward<void>& call, int threads) {
    const Checks check{packed.spec, packed.type};
    if (packed.precision != Precision::full) refuse("packed", "weights for steps alone", "precision full");
    if (!call.rows) return;
    check.array("x", call.x.data, packed.spec.inputs > 0);
    check.states("state", call.state, true);
    check.array("output", call.output.data, true);
    check.states("final", call.final, true);
    check.array("gates", call.gates, false);
    check.cells("cells", call.cells, false);
    const nb::gil_scoped_release released;
    with_kernels(packed.target, packed.spec, packed.type, [&]<class T>(const Kernels<T>& kernels) {
        kernels.forward(*static_cast<const Packed<T>*>(packed.packed.get()), std::bit_cast<Forward<T>>(call), threads);
    });
}

inline void run(const Target& target, const Spec& spec, Type type, const Backward<void>& call, int threads) {
    const Checks check{spec, type};
    if (call.rows) {
        const bool output_is_enough =
            spec.cell->output_is_enough && !spec.projected && !spec.layer_norm && !call.walk.zoneout[0];
        check.array("x", call.x.data, !spec.input_projected && spec.inputs > 0);
        check.states("state", call.state, true);
        check.array("output", call.output.data, true);
        check.array("gates", call.gates, !output_is_enough);
        check.cells("cells", call.cells, true);
        check.array("grad_output", call.grad_output.data, false);
        check.states("grad_final", call.grad_final, false);
        check.cells("grad_cells", call.grad_cells, false);
        check.array("grad_x", call.grad_x.data, false);
        check.states("grad_state", call.grad_state, false);
    }
    const nb::gil_scoped_release released;
    with_kernels(target, spec, type,
        [&]<class T>(const Kernels<T>& kernels) { kernels.backward(spec, std::bit_cast<Backward<T>>(call), threads); });
}

// One step: x [B, I]; `final` may be `state`.
inline void run(const PackedWeights& packed, int64_t rows, const void* x, void* const (&state)[2],
    void* const (&final)[2], int threads) {
    const Checks check{packed.spec, packed.type};
    check_sizes(1, rows, threads);
    if (!rows) return;
    check.array("x", x, packed.spec.inputs > 0);
    check.states("state", state, true);
    check.states("final", final, true);
    const nb::gil_scoped_release released;
    with_kernels(packed.target, packed.spec, packed.type, [&]<class T>(const Kernels<T>& kernels) {
        const T* const before[] = {static_cast<const T*>(state[0]), static_cast<const T*>(state[1])};
        T* const after[] = {static_cast<T*>(final[0]), static_cast<T*>(final[1])};
        kernels.step(*static_cast<const Packed<T>*>(packed.packed.get()), rows, static_cast<const T*>(x), before, after,
            threads);
    });
}

}  // namespace seriatim
