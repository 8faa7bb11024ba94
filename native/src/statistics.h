// The mean and the scale of a row, for layer normalisation.
#pragma once

#include "timeline.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr double norm_epsilon = 1e-5;

// Σ f(span) over `count` values. f returns a vector for a span; only the lanes of the span are added.
template <class T, class F> T total(int64_t count, const F& f) {
    Vec<T> sums{};
    int64_t first = 0;
    for (; first + width<T> <= count; first += width<T>) sums += f(Span{first, width<T>});
    T all = sum<T>(sums);
    if (first == count) return all;
    const Vec<T> last = f(Span{first, count - first});
    for (int64_t lane = 0; lane < count - first; ++lane) all += last[lane];
    return all;
}

template <class T> struct Statistics {
    T mean, scale;  // scale is 1 / σ
};

template <class T> Statistics<T> statistics(const T* values, int64_t count) {
    const T mean = total<T>(count, [&](Span at) { return load(values + at.first, at.count); }) / count;
    const T square = total<T>(count, [&](Span at) {
        const Vec<T> off = load(values + at.first, at.count) - mean;
        return off * off;
    });
    return {mean, static_cast<T>(1 / __builtin_sqrt(square / count + T(norm_epsilon)))};
}

}  // namespace seriatim::SERIATIM_TARGET
