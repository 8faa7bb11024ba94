// Calls of the engine's kernels with pointers to void: packed weights, the checks of every call, and the choice of the element type.
#pragma once

#include <array>
#include <bit>
#include <memory>

#include "arrays.h"

namespace seriatim {

// The address of an array's memory, 0 for None.
using Address = uintptr_t;

inline void* at(Address address) { return reinterpret_cast<void*>(address); }

// One of the ten weights: [rows, columns], or [rows] if columns is -1.
struct Extent {
    const char* name;
    bool there;
    int64_t rows, columns = -1;
    std::string of(const char* argument) const { return std::string(argument) + "." + name; }
};

inline std::array<Extent, 10> extents(const Spec& spec) {
    const int64_t H = spec.units, P = spec.outputs(), rows = spec.gates() * H;
    const bool own_input = !spec.input_projected, norm = spec.layer_norm,
               normalises_c = norm && spec.cell->normalises_c;
    return {{{"w_ih", own_input, rows, spec.inputs}, {"w_hh", true, rows, P}, {"b_ih", own_input && spec.bias, rows},
        {"b_hh", spec.bias, rows}, {"w_hr", spec.projected > 0, P, H}, {"w_ch", spec.peephole, spec.cell->peepholes, H},
        {"g_ih", false, rows}, {"g_hh", norm, rows}, {"g_c", normalises_c, H}, {"b_c", normalises_c, H}}};
}

template <class Array>
Pointer<Array> weight(const char* argument, const Maybe<Array>& array, Type type, const Extent& one) {
    return dense(one.of(argument), array, type, one.columns < 0 ? Shape{one.rows} : Shape{one.rows, one.columns});
}
inline void* weight(const char* argument, Address address, Type type, const Extent&) {
    check_address(argument, at(address), type);
    return at(address);
}

// All ten weights in order.
template <class Value, class Entry>
Weights<Value> ten(const char* argument, const Spec& spec, Type type, const std::vector<Entry>& list, bool needed) {
    if (list.size() != 10) refuse(argument, std::to_string(list.size()) + " arrays", "10");
    Weights<Value> w;
    Value** const to[] = {&w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh, &w.w_hr, &w.w_ch, &w.g_ih, &w.g_hh, &w.g_c, &w.b_c};
    const auto wanted = extents(spec);
    for (size_t at = 0; at < 10; ++at) {
        const Extent& one = wanted[at];
        if (!one.there && list[at]) refuse(one.of(argument), "an array", "None for this cell");
        if (one.there && one.columns && !list[at] && needed) refuse(one.of(argument), "None", "an array");
        if (list[at]) *to[at] = weight(argument, list[at], type, one);
    }
    return w;
}

// Calls work(kernels) with the kernels for `spec` in `type`.
template <class Work> void with_kernels(const Target& target, const Spec& spec, Type type, const Work& work) {
    if (!spec.bf16) return with_kernels(target, type, work);
    if (!target.bf16 || type != nb::dtype<float>())
        refuse(
            "cell", "bf16", std::string("bf16 only with float32 on a target that has it, which is not ") + target.name);
    work(target.bf16());
}

// Weights in the order in which a target reads them, and the originals, which belong to the caller.
struct Packing {
    Packing(const Spec& spec, const Several<Given>& list, int threads)
        : spec(spec), type(type_of(list)), weights(ten<const void>("weights", spec, type, list, true)) {
        checked_threads(threads);
    }
    static Type type_of(const Several<Given>& list) {
        if (list.size() < 2 || !list[1]) refuse("weights.w_hh", "None", "an array");
        return real("weights.w_hh", *list[1]);
    }
    const Spec spec;
    const Target& target = seriatim::target();
    const Type type;
    const Weights<const void> weights;
    std::shared_ptr<void> packed;
};

struct PackedWeights : Packing {
    PackedWeights(const Spec& spec, const Several<Given>& list, int threads, const std::string& how)
        : Packing(spec, list, threads),
          precision(named<Precision>(
              "precision", how, {{"full", Precision::full}, {"bf16", Precision::bf16}, {"int8", Precision::int8}})) {
        const bool one_stage =
            !spec.bf16 && !spec.input_projected && !spec.projected && !spec.layer_norm && !spec.has_two_stages();
        if (precision != Precision::full && !(type == nb::dtype<float>() && one_stage))
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
    PackedForBack(const Spec& spec, const Several<Given>& list, int threads) : Packing(spec, list, threads) {
        with_kernels(target, spec, type, [&]<class T>(const Kernels<T>& kernels) {
            const nb::gil_scoped_release released;
            packed = std::shared_ptr<PackedBackward<T>>(
                kernels.pack_backward(spec, std::bit_cast<Weights<const T>>(weights), threads),
                kernels.discard_backward);
        });
    }
};

inline void check_size(int64_t steps, int64_t rows, int threads) {
    checked_threads(threads);
    if (steps < 1 || rows < 0) refuse("x", words(Shape{steps, rows}), "at least one step");
}

// Checks that the arrays which a cell needs are there and aligned, and that no others are.
struct Checks {
    const Spec& spec;
    Type type;
    void array(const char* argument, const void* data, bool needed) const {
        check_address(argument, data, type, needed);
    }
    void states(const char* argument, const void* const* list, bool needed) const {
        array(argument, list[0], needed);
        array(argument, list[1], needed && spec.states() == 2);
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

inline void run(const PackedWeights& packed, int64_t rows, const void* x, const void* const* state, void* const* final,
    int threads) {
    const Checks check{packed.spec, packed.type};
    check_size(1, rows, threads);
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
