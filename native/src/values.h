// Products of values as they are: a word is one of them.
//
// The sums of a tile stay in registers for the whole of k: 6 × 4 of them with 32 registers, 3 × 4 with 16.
#pragma once

#include <utility>

#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int64_t values_of_word = 1;
inline constexpr int64_t words_together = 1;
inline constexpr int64_t lines_ahead = 1;

struct Products {
    Products() {}  // else it counts as unused
};

// The left side of a product: row r is of(r), read where it stands.
template <class Of>
class Left {
public:
    Left(int64_t, int64_t, const Of& of) : of_(of) {}
    auto operator[](int64_t row) const { return of_(row); }

private:
    const Of of_;
};

// A word for every column of the right side; value(k) is a vector of them.
template <class T, class Value>
inline Vec<T> right(int64_t word, int64_t, const Value& value) {
    return value(word);
}

// For R rows and C vectors; a panel's next k is `stride` elements on, or, of a single row that is read from its end too, back. The
// panel is fetched to the first cache a little before it is read, or, where something is to come from `far`, that to the second.
template <class T, int R, int C, bool far>
void multiply(const T* const* rows, const T* panel, int64_t stride, int64_t depth, Vec<T>* tile, Ahead ahead) {
    if (depth < 1) return;
    if constexpr (R == 1) {
        const auto column = [&](int64_t k, int c) { return load(panel + k * stride + c * width<T>); };
        return multiply_one<T, C>(rows[0], stride < 0 ? -1 : 1, depth, column, tile);
    }
    Vec<T> sums[R][C];
    const T* row[R];
    for (int r = 0; r < R; ++r) {
        row[r] = rows[r];
        for (int c = 0; c < C; ++c) sums[r][c] = tile[r * tile_columns + c];
    }
    int64_t k = 0;
    do {  // at least once: with a way round the loop, GCC keeps the sums in memory on both sides of it
        if constexpr (far) __builtin_prefetch(ahead.from, 0, 2), ahead.from += ahead.step;
        else
            for (int c = 0; c < C; c += most(1, 64 / VECTOR_BYTES))
                __builtin_prefetch(panel + 2 * stride + c * width<T>, 0, 3);
        if constexpr (R < C) {  // keep in registers whichever is fewer
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
template <class T>
inline void multiply_tile(const T* const* rows, int row_count, const T* panel, int columns, int64_t stride,
                          int64_t depth, Vec<T>* tile, Ahead ahead) {
    using Product = void (*)(const T* const*, const T*, int64_t, int64_t, Vec<T>*, Ahead);
    const Product product = [&]<int... I>(std::integer_sequence<int, I...>) {
        static constexpr Product near[] = {multiply<T, I / tile_columns + 1, I % tile_columns + 1, false>...};
        static constexpr Product far[] = {multiply<T, I / tile_columns + 1, I % tile_columns + 1, true>...};
        return (ahead.step ? far : near)[(row_count - 1) * tile_columns + columns - 1];
    }(std::make_integer_sequence<int, TILE_ROWS * tile_columns>{});
    product(rows, panel, stride, depth, tile, ahead);
}

}  // namespace seriatim::SERIATIM_TARGET
