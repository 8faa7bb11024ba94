// Products of plain values: a word is one value.
//
// The sums of a tile stay in registers for all k: 6 × 4 of them with 32 registers, 3 × 4 with 16.
#pragma once

#include <utility>

#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int64_t values_of_word = 1;
inline constexpr int64_t words_together = 1;
inline constexpr int64_t prefetch_lines = 1;

struct ProductSession {
    ProductSession() {}  // without it the compiler warns about an unused variable
};

// The left side of a product: row r is of(r), read in place.
template <class Of> class LeftRows {
public:
    LeftRows(int64_t, int64_t, const Of& of) : of_(of) {}
    auto operator[](int64_t row) const { return of_(row); }

private:
    const Of of_;
};

template <class RowOf> using LeftRowsOf = LeftRows<RowOf>;

// One word for every column of the right side; value(k) is the vector of all columns at k.
template <class T, class Value> inline Vec<T> right_word(int64_t word, int64_t, const Value& value) {
    return value(word);
}

// The product of R rows and C vectors. The panel's next k is `stride` elements later. The panel is prefetched to the first cache, or with
// `prefetches_l2` the next panel to the second cache.
template <class T, int R, int C, bool prefetches_l2>
void multiply(const T* const* rows, const T* panel, int64_t stride, int64_t depth, Vec<T>* tile, Prefetch prefetch) {
    if (depth < 1) return;
    if constexpr (R == 1) {
        const auto column = [&](int64_t k, int c) { return load(panel + k * stride + c * width<T>); };
        return multiply_one<T, C>(rows[0], depth, column, tile);
    }
    Vec<T> sums[R][C];
    const T* row[R];
    for (int r = 0; r < R; ++r) {
        row[r] = rows[r];
        for (int c = 0; c < C; ++c) sums[r][c] = tile[r * tile_columns + c];
    }
    int64_t k = 0;
    do {  // if the loop could run zero times, GCC would keep the sums in memory before and after it
        if constexpr (prefetches_l2) __builtin_prefetch(prefetch.from, 0, 2), prefetch.from += prefetch.step;
        else
            for (int c = 0; c < C; c += max(1, 64 / VECTOR_BYTES))
                __builtin_prefetch(panel + 2 * stride + c * width<T>, 0, 3);
        if constexpr (R < C) {  // keep the smaller side in registers
            T left[R];
            for (int r = 0; r < R; ++r) left[r] = row[r][k];
            for (int c = 0; c < C; ++c) {
                const Vec<T> column = load(panel + c * width<T>);
                for (int r = 0; r < R; ++r) sums[r][c] += column * left[r];
            }
        } else {
            Vec<T> columns[C];
            for (int c = 0; c < C; ++c) columns[c] = load(panel + c * width<T>);
            for (int r = 0; r < R; ++r) {
                const T left = row[r][k];
                for (int c = 0; c < C; ++c) sums[r][c] += columns[c] * left;
            }
        }
        panel += stride;
    } while (++k < depth);
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) tile[r * tile_columns + c] = sums[r][c];
}

// For 1 … TILE_ROWS rows and 1 … tile_columns vectors.
template <class T> inline void multiply_tile(const T* const* rows, int row_count, const T* panel, int columns,
    int64_t stride, int64_t depth, Vec<T>* tile, Prefetch prefetch) {
    using Product = void (*)(const T* const*, const T*, int64_t, int64_t, Vec<T>*, Prefetch);
    const Product product = [&]<int... I>(std::integer_sequence<int, I...>) {
        static constexpr Product near[] = {multiply<T, I / tile_columns + 1, I % tile_columns + 1, false>...};
        static constexpr Product beyond_l2[] = {multiply<T, I / tile_columns + 1, I % tile_columns + 1, true>...};
        return (prefetch.step ? beyond_l2 : near)[(row_count - 1) * tile_columns + columns - 1];
    }(std::make_integer_sequence<int, TILE_ROWS * tile_columns>{});
    product(rows, panel, stride, depth, tile, prefetch);
}

}  // namespace seriatim::SERIATIM_TARGET
