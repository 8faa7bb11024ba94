// Transposition, one square of vectors at a time.
#pragma once

#include <utility>

#include "scratch.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

// Lane l of the result is lane l of a, or lane l ± D of b, depending on bit D of l. `Low` chooses one of the two results.
template <class T, int D, bool Low, int... L>
inline Vec<T> exchanged(Vec<T> a, Vec<T> b, std::integer_sequence<int, L...>) {
    if constexpr (Low) return __builtin_shufflevector(a, b, (L & D ? width<T> + L - D : L)...);
    else return __builtin_shufflevector(a, b, (L & D ? width<T> + L : L + D)...);
}

// Exchanges bit D of the row number with bit D of the lane number, then the higher bits.
template <class T, int D = 1> inline void transpose_square(Vec<T> (&rows)[width<T>]) {
    if constexpr (D < width<T>) {
        constexpr auto lanes = std::make_integer_sequence<int, width<T>>{};
        for (int row = 0; row < width<T>; ++row) {
            if (row & D) continue;
            const Vec<T> a = rows[row], b = rows[row + D];
            rows[row] = exchanged<T, D, true>(a, b, lanes);
            rows[row + D] = exchanged<T, D, false>(a, b, lanes);
        }
        transpose_square<T, 2 * D>(rows);
    }
}

// to(c)[r] = from(r)[c] for r < rows and c < columns. With `padded` it writes whole vectors, with zeros beyond the last row.
template <class T, class From, class To>
void transposed(int64_t rows, int64_t columns, const From& from, const To& to, bool padded) {
    constexpr int64_t W = width<T>, together = 4 * W;  // a few cache lines of each row at a time, on both sides
    const auto square = [&](int64_t r, int64_t c) {
        Vec<T> square[W];
        if (r + W <= rows && c + W <= columns) {
            for (int64_t i = 0; i < W; ++i) square[i] = load(from(r + i) + c);
            transpose_square<T>(square);
            for (int64_t i = 0; i < W; ++i) store(to(c + i) + r, square[i]);
            return;
        }
        const int64_t high = min(W, rows - r), wide = min(W, columns - c);
        for (int64_t i = 0; i < W; ++i) square[i] = i < high ? load(from(r + i) + c, wide) : Vec<T>{};
        transpose_square<T>(square);
        for (int64_t i = 0; i < wide; ++i) store(to(c + i) + r, square[i], padded ? W : high);
    };
    for (int64_t c = 0; c < columns; c += together)
        for (int64_t r = 0; r < rows; r += together)
            for (int64_t i = r; i < min(rows, r + together); i += W)
                for (int64_t j = c; j < min(columns, c + together); j += W) square(i, j);
}

}  // namespace seriatim::SERIATIM_TARGET
