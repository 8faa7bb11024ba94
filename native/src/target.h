// The engine for one instruction set. Each file in targets/ defines SERIATIM_TARGET, VECTOR_BYTES and TILE_ROWS and includes this.
#pragma once

#include "backward.h"
#include "fingerprint.h"
#include "scan.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> const Kernels<T>& kernels() {
    using Own = PackedWeights<T>;
    static constexpr Kernels<T> table{
        [](const Spec& spec, const Weights<const T>& weights, Precision precision, int threads) {
            return reinterpret_cast<Packed<T>*>(new Own(spec, weights, precision, threads));
        },
        [](Packed<T>* packed) { delete reinterpret_cast<Own*>(packed); },
        [](const Spec& spec, const Weights<const T>& weights, int threads) {
            return reinterpret_cast<PackedBackward<T>*>(
                new BackwardWeights<T>(spec, weights, !spec.input_projected, threads));
        },
        [](PackedBackward<T>* packed) { delete reinterpret_cast<BackwardWeights<T>*>(packed); },
        [](const Spec& spec, const Weights<T>& wanted, int threads) {
            return reinterpret_cast<StepGradients<T>*>(new StepGradientSums<T>(spec, wanted, threads));
        },
        [](StepGradients<T>& steps, int64_t rows) {
            return reinterpret_cast<StepGradientSums<T>&>(steps).make_room(rows);
        },
        [](StepGradients<T>& steps) { reinterpret_cast<StepGradientSums<T>&>(steps).finish(); },
        [](StepGradients<T>* steps) { delete reinterpret_cast<StepGradientSums<T>*>(steps); },
        [](const Packed<T>& packed, const Forward<T>& call, int threads) {
            forward(reinterpret_cast<const Own&>(packed), call, threads);
        },
        [](const Spec& spec, const Backward<T>& call, int threads) { backward(spec, call, threads); },
        [](const Packed<T>& packed, int64_t rows, const T* x, const T* const state[2], T* const final[2], int threads) {
            step(reinterpret_cast<const Own&>(packed), rows, x, state, final, threads);
        },
        [](const Scan<T>& call, int threads) { scan_forward(call, threads); },
        [](const Scan<T>& call, const ScanGradients<T>& grad, int threads) { scan_backward(call, grad, threads); }};
    return table;
}
template const Kernels<float>& kernels();
#ifndef MATRIX_TILES
template const Kernels<double>& kernels();
#endif

}  // namespace seriatim::SERIATIM_TARGET
