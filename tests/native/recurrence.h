// The engine's calls on a Problem, with every array of exactly its size and full of NaN where it is to be written.
#pragma once

#include "problem.h"

namespace seriatim::test {

template <class T>
const Kernels<T>& kernels(const Target& target) {
    if constexpr (std::is_same_v<T, float>) return target.single();
    else return target.real();
}

template <class T>
std::vector<T> unwritten(int64_t count) {
    return std::vector<T>(count, T(NAN));
}

// One problem in one precision: what goes in stays as it is, so that calls may run side by side.
template <class T>
struct Recurrence {
    const Problem& p;
    const Arrays<T> inputs;
    const std::vector<T> dropout, zoneout[2], grad_output, grad_final[2], grad_cells;

    struct Forwarded {
        std::vector<T> output, final[2], gates, cells;
    };

    explicit Recurrence(const Problem& p)
        : p(p),
          inputs(as<T>(p.inputs)),
          dropout(as<T>(p.dropout)),
          zoneout{as<T>(p.zoneout[0]), as<T>(p.zoneout[1])},
          grad_output(as<T>(p.grad_output)),
          grad_final{as<T>(p.grad_final[0]), as<T>(p.grad_final[1])},
          grad_cells(as<T>(p.grad_cells)) {}

    using Pack = std::unique_ptr<Packed<T>, void (*)(Packed<T>*)>;

    Pack pack(const Target& target, int threads) const {
        const auto& table = kernels<T>(target);
        return {table.pack(p.one.spec, weights_of<const T>(inputs), Precision::full, threads), table.discard};
    }

    Forwarded forward(const Target& target, const Packed<T>& packed, int threads, bool keep = true) const {
        const Spec& s = p.one.spec;
        const int64_t T_ = p.one.steps, B = p.one.rows, P = s.outputs(), H = s.units;
        const bool lstm = s.kind == Kind::lstm;
        Forwarded result{unwritten<T>(T_ * B * P),
                         {unwritten<T>(B * P), unwritten<T>(lstm ? B * H : 0)},
                         unwritten<T>(keep ? T_ * B * s.slots() * H : 0),
                         unwritten<T>(keep && lstm ? T_ * B * H : 0)};
        Forward<T> call;
        call.steps = T_, call.rows = B;
        call.x = {inputs[X].data(), B * s.inputs, s.inputs};
        call.state[0] = pointer(inputs[H0]), call.state[1] = pointer(inputs[C0]);
        call.walk = walk();
        call.output = {result.output.data(), B * P, P};
        call.final[0] = pointer(result.final[0]), call.final[1] = pointer(result.final[1]);
        call.gates = pointer(result.gates), call.cells = pointer(result.cells);
        kernels<T>(target).forward(packed, call, threads);
        return result;
    }

    // The gradients of everything in `inputs`, with the weights packed for the way back in advance, or by the call.
    Arrays<T> backward(const Target& target, const Forwarded& forwarded, int threads, bool in_advance = false) const {
        const Spec& s = p.one.spec;
        const int64_t B = p.one.rows, P = s.outputs();
        Arrays<T> gradients;
        const auto counts = sizes(p.one);
        for (int name = 0; name < names; ++name) gradients[name] = unwritten<T>(counts[name]);
        Backward<T> call;
        call.steps = p.one.steps, call.rows = B;
        call.weights = weights_of<const T>(inputs);
        call.x = {inputs[X].data(), B * s.inputs, s.inputs};
        call.state[0] = pointer(inputs[H0]), call.state[1] = pointer(inputs[C0]);
        call.walk = walk();
        call.output = {forwarded.output.data(), B * P, P};
        call.gates = pointer(forwarded.gates), call.cells = pointer(forwarded.cells);
        call.grad_output = {grad_output.data(), B * P, P};
        call.grad_final[0] = pointer(grad_final[0]), call.grad_final[1] = pointer(grad_final[1]);
        call.grad_cells = pointer(grad_cells);
        call.grad_x = {gradients[X].data(), B * s.inputs, s.inputs};
        call.grad_state[0] = pointer(gradients[H0]), call.grad_state[1] = pointer(gradients[C0]);
        call.grad_weights = weights_of<T>(gradients);
        using PackedForBack = std::unique_ptr<PackedBack<T>, void (*)(PackedBack<T>*)>;
        const auto& table = kernels<T>(target);
        const PackedForBack packed{in_advance ? table.pack_back(s, call.weights, threads) : nullptr,
                                   table.discard_back};
        call.packed = packed.get();
        table.backward(s, call, threads);
        return gradients;
    }

    // x [B, I] of the first step, from the first state.
    Forwarded step(const Target& target, const Packed<T>& packed, int threads) const {
        const Spec& s = p.one.spec;
        const int64_t B = p.one.rows;
        Forwarded result{{}, {unwritten<T>(B * s.outputs()), unwritten<T>(inputs[C0].size())}, {}, {}};
        const std::vector<T> x(inputs[X].begin(), inputs[X].begin() + B * s.inputs);
        const T* const state[2] = {pointer(inputs[H0]), pointer(inputs[C0])};
        T* const final[2] = {pointer(result.final[0]), pointer(result.final[1])};
        kernels<T>(target).step(packed, B, x.data(), state, final, threads);
        return result;
    }

private:
    Walk<T> walk() const {
        const Case& one = p.one;
        const int64_t B = one.rows, P = one.spec.outputs();
        Walk<T> walk;
        if (one.lengths) walk.lengths = p.lengths.data();
        walk.reverse = one.reverse;
        if (one.reset) walk.reset = p.reset.get();
        walk.dropout = pointer(dropout);
        if (one.zoneout) walk.zoneout[0] = {zoneout[0].data(), B * P, P};
        if (one.zoneout && one.spec.kind == Kind::lstm) walk.zoneout[1] = {zoneout[1].data(), 0, 0};
        return walk;
    }
};

}  // namespace seriatim::test
