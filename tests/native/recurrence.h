// The engine's calls on a Problem. Arrays have exactly their size, and results are NaN before the call. For packed rows, inputs are
// packed here and results are padded again.
#pragma once

#include "problem.h"

namespace seriatim::test {

template <class T> const Kernels<T>& kernels(const Target& target) {
    if constexpr (std::is_same_v<T, float>) return target.single();
    else return target.real();
}

// The kernels that a spec needs.
template <class T> const Kernels<T>& kernels(const Target& target, const Spec& spec) {
    if constexpr (std::is_same_v<T, float>)
        if (spec.bf16) return target.bf16();
    return kernels<T>(target);
}

template <class T> std::vector<T> unwritten(int64_t count) { return std::vector<T>(count, T(NAN)); }

// One problem in one precision. Calls do not change the inputs, so they may run at the same time.
template <class T> struct Recurrence {
    const Problem& p;
    const Arrays<T> inputs;
    const std::vector<T> dropout, zoneout[2], grad_output, grad_final[2], grad_cells;
    std::vector<int64_t> starts;
    std::unique_ptr<bool[]> packed_reset, flags[2];  // flags: of zoneout, if drawn

    struct Forwarded { std::vector<T> output, final[2], gates, cells; };

    explicit Recurrence(const Problem& p)
        : p(p), inputs(as<T>(p.inputs)), dropout(as<T>(p.dropout)), zoneout{as<T>(p.zoneout[0]), as<T>(p.zoneout[1])},
          grad_output(as<T>(p.grad_output)), grad_final{as<T>(p.grad_final[0]), as<T>(p.grad_final[1])},
          grad_cells(as<T>(p.grad_cells)) {
        for (int64_t step = 0, row = 0; step < p.config.steps && p.config.packed; ++step) {
            starts.push_back(row);
            for (int64_t length : p.lengths) row += length > step;
        }
        packed_reset = std::make_unique<bool[]>(p.config.steps * p.config.rows);
        for (int64_t at = 0, to = 0; at < p.config.steps * p.config.rows; ++at)
            if (has_step(at)) packed_reset[to++] = p.reset[at];
        const std::vector<T> shares[] = {packed_rows(zoneout[0]), zoneout[1]};
        for (int state : {0, 1}) {
            flags[state] = std::make_unique<bool[]>(shares[state].size());
            std::copy(shares[state].begin(), shares[state].end(), flags[state].get());
        }
    }

    using Pack = std::unique_ptr<Packed<T>, void (*)(Packed<T>*)>;

    Pack pack(const Target& target, int threads) const {
        const auto& table = kernels<T>(target, p.config.spec);
        return {table.pack(p.config.spec, weights_of<const T>(inputs), Precision::full, threads), table.discard};
    }

    Forwarded forward(const Target& target, const Packed<T>& packed, int threads, bool keep = true) const {
        const Spec& s = p.config.spec;
        const int64_t T_ = p.config.steps, B = p.config.rows, P = s.outputs(), W = s.carried();
        Forwarded result{unwritten<T>(T_ * B * P), {unwritten<T>(B * P), unwritten<T>(B * W)},
            unwritten<T>(keep ? T_ * B * s.slots() * s.units : 0), unwritten<T>(keep ? T_ * B * W : 0)};
        const std::vector<T> x = packed_rows(inputs[X]);
        std::vector<T> output = packed_rows(result.output), gates = packed_rows(result.gates),
                       cells = packed_rows(result.cells);
        const std::vector<T> shares = packed_rows(zoneout[0]);
        Forward<T> call;
        call.steps = T_, call.rows = B;
        call.x = sequence(x.data(), s.inputs);
        call.state[0] = pointer(inputs[H0]), call.state[1] = pointer(inputs[C0]);
        call.walk = walk(shares);
        call.output = sequence(output.data(), P);
        call.final[0] = pointer(result.final[0]), call.final[1] = pointer(result.final[1]);
        call.gates = pointer(gates), call.cells = pointer(cells);
        kernels<T>(target, s).forward(packed, call, threads);
        result.output = padded_rows(output, T(0)), result.gates = padded_rows(gates, T(NAN)),
        result.cells = padded_rows(cells, T(NAN));
        return result;
    }

    // The gradients of all `inputs`. The weights are packed in advance or by the call.
    Arrays<T> backward(const Target& target, const Forwarded& forwarded, int threads, bool in_advance = false) const {
        const Spec& s = p.config.spec;
        const int64_t B = p.config.rows, P = s.outputs();
        Arrays<T> gradients;
        const auto counts = sizes(p.config);
        for (int name = 0; name < names; ++name) gradients[name] = unwritten<T>(counts[name]);
        const std::vector<T> x = packed_rows(inputs[X]), output = packed_rows(forwarded.output),
                             gates = packed_rows(forwarded.gates), cells = packed_rows(forwarded.cells),
                             of_output = packed_rows(grad_output), of_cells = packed_rows(grad_cells),
                             shares = packed_rows(zoneout[0]);
        std::vector<T> of_x = packed_rows(gradients[X]);
        Backward<T> call;
        call.steps = p.config.steps, call.rows = B;
        call.weights = weights_of<const T>(inputs);
        call.x = sequence(x.data(), s.inputs);
        call.state[0] = pointer(inputs[H0]), call.state[1] = pointer(inputs[C0]);
        call.walk = walk(shares);
        call.output = sequence(output.data(), P);
        const bool output_is_enough =
            s.cell->output_is_enough && !s.projected && !s.layer_norm && (!p.config.zoneout || p.config.drawn);
        call.gates = output_is_enough ? nullptr : pointer(gates), call.cells = pointer(cells);
        call.grad_output = sequence(of_output.data(), P);
        call.grad_final[0] = pointer(grad_final[0]), call.grad_final[1] = pointer(grad_final[1]);
        call.grad_cells = pointer(of_cells);
        call.grad_x = sequence(of_x.data(), s.inputs);
        call.grad_state[0] = pointer(gradients[H0]), call.grad_state[1] = pointer(gradients[C0]);
        call.grad_weights = weights_of<T>(gradients);
        using PackedForBack = std::unique_ptr<PackedBackward<T>, void (*)(PackedBackward<T>*)>;
        const auto& table = kernels<T>(target, s);
        const PackedForBack packed{
            in_advance ? table.pack_backward(s, call.weights, threads) : nullptr, table.discard_backward};
        call.packed = packed.get();
        table.backward(s, call, threads);
        gradients[X] = padded_rows(of_x, T(0));
        return gradients;
    }

    // The same step by step, with gathered weight gradients; for a plain walk, and without gradients of the cells.
    Arrays<T> steps_back(const Target& target, const Forwarded& forwarded, int threads) const {
        const Spec& s = p.config.spec;
        const int64_t B = p.config.rows, P = s.outputs(), W = s.carried();
        Arrays<T> gradients;
        const auto counts = sizes(p.config);
        for (int name = 0; name < names; ++name) gradients[name] = unwritten<T>(counts[name]);
        const auto& table = kernels<T>(target, s);
        const auto weights = weights_of<const T>(inputs);
        const std::unique_ptr<PackedBackward<T>, void (*)(PackedBackward<T>*)> packed{
            table.pack_backward(s, weights, threads), table.discard_backward};
        const std::unique_ptr<StepGradients<T>, void (*)(StepGradients<T>*)> gather{
            table.gather(s, weights_of<T>(gradients), threads), table.discard_gathered};
        std::vector<T> of_h = grad_final[0], of_c = grad_final[1];
        for (int64_t step = p.config.steps - 1; step >= 0; --step) {
            for (int64_t i = 0; i < B * P; ++i) of_h[i] += grad_output[step * B * P + i];
            const auto at = [&](auto& values, int64_t width) {
                return values.empty() ? nullptr : values.data() + step * B * width;
            };
            Backward<T> call{.steps = 1, .rows = B};
            call.weights = weights, call.packed = packed.get(), call.gather = gather.get();
            call.x = {at(inputs[X], s.inputs), 0, s.inputs};
            call.state[0] = step ? at(forwarded.output, P) - B * P : pointer(inputs[H0]);
            if (W) call.state[1] = step ? at(forwarded.cells, W) - B * W : pointer(inputs[C0]);
            call.output = {at(forwarded.output, P), 0, P};
            call.gates = at(forwarded.gates, s.slots() * s.units);
            call.cells = at(forwarded.cells, W);
            call.grad_final[0] = pointer(of_h), call.grad_final[1] = pointer(of_c);
            call.grad_x = {at(gradients[X], s.inputs), 0, s.inputs};
            call.grad_state[0] = pointer(gradients[H0]), call.grad_state[1] = pointer(gradients[C0]);
            table.make_room(*gather, B);
            table.backward(s, call, threads);
            of_h = gradients[H0], of_c = gradients[C0];
        }
        table.finish(*gather);
        return gradients;
    }

    // x [B, I] of the first step, from the first state.
    Forwarded step(const Target& target, const Packed<T>& packed, int threads) const {
        const Spec& s = p.config.spec;
        const int64_t B = p.config.rows;
        Forwarded result{{}, {unwritten<T>(B * s.outputs()), unwritten<T>(inputs[C0].size())}, {}, {}};
        const std::vector<T> x(inputs[X].begin(), inputs[X].begin() + B * s.inputs);
        const T* const state[2] = {pointer(inputs[H0]), pointer(inputs[C0])};
        T* const final[2] = {pointer(result.final[0]), pointer(result.final[1])};
        kernels<T>(target, s).step(packed, B, x.data(), state, final, threads);
        return result;
    }

private:
    bool has_step(int64_t at) const { return p.has_step(at / p.config.rows, at % p.config.rows); }

    template <class Value> Sequence<Value> sequence(Value* data, int64_t width) const {
        return {data, p.config.rows * width, width, p.config.packed ? starts.data() : nullptr};
    }

    // [T, B, width] → the rows that have a step, if the test is packed.
    std::vector<T> packed_rows(const std::vector<T>& padded) const {
        if (!p.config.packed) return padded;
        std::vector<T> packed;
        const int64_t places = p.config.steps * p.config.rows, width = padded.size() / places;
        for (int64_t at = 0; at < places; ++at)
            if (has_step(at))
                packed.insert(packed.end(), padded.begin() + at * width, padded.begin() + (at + 1) * width);
        return packed;
    }

    // The inverse.
    std::vector<T> padded_rows(const std::vector<T>& packed, T padding) const {
        if (!p.config.packed) return packed;
        int64_t rows = 0;
        for (int64_t length : p.lengths) rows += length;
        const int64_t width = packed.size() / rows;
        std::vector<T> padded;
        auto from = packed.begin();
        for (int64_t at = 0; at < p.config.steps * p.config.rows; ++at)
            if (has_step(at)) padded.insert(padded.end(), from, from + width), from += width;
            else padded.insert(padded.end(), width, padding);
        return padded;
    }

    Walk<T> walk(const std::vector<T>& shares) const {
        const Case& config = p.config;
        Walk<T> walk;
        if (config.lengths) walk.lengths = p.lengths.data();
        walk.reverse = config.reverse;
        if (config.packed) walk.starts = starts.data();
        if (config.reset) walk.reset = config.packed ? packed_reset.get() : p.reset.get();
        walk.dropout = pointer(dropout);
        if (config.zoneout && config.drawn) {
            walk.drawn[0] = sequence<const bool>(flags[0].get(), config.spec.outputs());
            if (config.spec.carried()) walk.drawn[1] = {flags[1].get(), 0, 0};
        } else if (config.zoneout) {
            walk.zoneout[0] = sequence(shares.data(), config.spec.outputs());
            if (config.spec.carried()) walk.zoneout[1] = {zoneout[1].data(), 0, 0};
        }
        return walk;
    }
};

}  // namespace seriatim::test
