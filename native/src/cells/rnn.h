// The Elman RNN. Equations: src/seriatim/kernels/_rnn.py.
#pragma once

#include "../cell.h"

namespace seriatim::SERIATIM_TARGET {

struct Rnn {
    // Saved: h before its projection.
    static constexpr CellLayout layout{.name = "rnn",
        .gates = 1,
        .saved = 1,
        .has_projection = true,
        .has_layer_norm = true,
        .output_is_enough = true};
    static constexpr StageLayout stages[] = {{1, {0}}};
    static constexpr int tanh_column = -1;

    // Up to four vectors of units together.
    template <class T> static void forward(const CellWeights<T>& cell, const Row<T>& row, Vec<T> (&h)[4], Span at) {
        const int count = static_cast<int>((at.count + width<T> - 1) / width<T>);
        activate<T>(cell.spec.activation, h);  // (2)
        for (int c = 0; c < count; ++c) {
            const int64_t first = c * width<T>;
            const Span here{at.first + first, min(width<T>, at.count - first)};
            if (row.gates) store(row.gates + here.first, h[c], here.count);
            emit(row, h[c], here);
        }
    }
    template <class T> static void output(const CellWeights<T>&, const Row<T>&, const Vec<T>*, Span) {}

    template <class T> static void backward(const CellWeights<T>& cell, const BackwardRow<T>& row, Vec<T> dh, Span at,
        const ThreadSums<T>&, const NormalisedC<T>*) {
        const Vec<T> h = load(row.gates + at.first, at.count);
        if (row.m) store(row.m + at.first, h, at.count);
        Vec<T> slope = T(1) - h * h;
        if (cell.spec.activation == Activation::sigmoid) slope = h * (T(1) - h);
        if (cell.spec.activation == Activation::relu) slope = h > T(0) ? all<T>(1) : Vec<T>{};
        store(row.grad_gates + at.first, dh * slope, at.count);  // (2)
    }

private:
    template <class T> static void activate(Activation activation, Vec<T> (&a)[4]) {
        if (activation == Activation::tanh) return squash<T, Gate::tanh, Gate::tanh, Gate::tanh, Gate::tanh>(a);
        if (activation == Activation::sigmoid) return squash<T, Gate::sigma, Gate::sigma, Gate::sigma, Gate::sigma>(a);
        for (Vec<T>& value : a) value = value < T(0) ? Vec<T>{} : value;
    }
};

}  // namespace seriatim::SERIATIM_TARGET
