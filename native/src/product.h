// The product of the engine. Forward, backward and the weights' gradients all use one form: a few rows times a panel of up to four
// vectors of columns.
//
// Products read words of T's size. A word is one plain value (plain_product.h) or, on matrix tiles, a pair of values rounded to bf16
// (bf16_product.h). Each of the two files defines
//
//   values_of_word, words_together   a product takes `words_together` words at a time; zeros fill up the last k
//   LeftRows                         the rows on the left side of a product, as words
//   right_word                       one word for every column of the right side
//   multiply_tile                    tile[r · tile_columns + c] += Σ_k rows[r][k] · panel[k][c]
//   ProductSession                   the state that a thread needs while it multiplies
//   prefetch_lines                   how many cache lines of the next panel to prefetch per word
//
// and the concepts below check their types.
#pragma once

#include <concepts>
#include <type_traits>

#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

// sums[c] += Σ_k row[k] · column(k, c). One row has too few sums to hide the latency of an addition, so even and odd k have
// separate sums.
template <class T, int C, class Column>
ALWAYS_INLINE void multiply_one(const T* row, int64_t depth, const Column& column, Vec<T>* sums) {
    Vec<T> even[C], odd[C];
    for (int c = 0; c < C; ++c) even[c] = sums[c], odd[c] = Vec<T>{};
    int64_t k = 0;
    for (; k + 1 < depth; k += 2) {
        for (int c = 0; c < C; ++c) even[c] += column(k, c) * row[k];
        for (int c = 0; c < C; ++c) odd[c] += column(k + 1, c) * row[k + 1];
    }
    if (k < depth)
        for (int c = 0; c < C; ++c) even[c] += column(k, c) * row[k];
    for (int c = 0; c < C; ++c) sums[c] = even[c] + odd[c];
}

}  // namespace seriatim::SERIATIM_TARGET

#ifdef MATRIX_TILES
#include "bf16_product.h"
#else
#include "plain_product.h"
#endif

namespace seriatim::SERIATIM_TARGET {

// The left side of a product, made from a function that gives the address of a row: rows[r] is the address of row r's words.
template <class Rows>
concept LeftSide = requires(const Rows& rows, int64_t row) {
    { rows[row] } -> std::same_as<const float*>;
};
template <class Function>
concept RowFunction = requires(const Function& row_of) {
    { row_of(int64_t{}) } -> std::same_as<const float*>;
};
// The requirements on a product of float32. They are the same for float64.
template <class Session, template <class> class Rows, class Function>
concept Product = RowFunction<Function> && std::is_default_constructible_v<Session> && LeftSide<Rows<Function>> &&
                  requires(const float* const* rows, const float* panel, Vec<float>* tile, Prefetch prefetch) {
                      multiply_tile(rows, 1, panel, 1, int64_t{}, int64_t{}, tile, prefetch);
                      {
                          right_word<float>(int64_t{}, int64_t{}, [](int64_t) { return Vec<float>{}; })
                      } -> std::same_as<Vec<float>>;
                  };
static_assert(Product<ProductSession, LeftRowsOf, const float* (*)(int64_t)>);
static_assert(values_of_word >= 1 && words_together >= 1 && prefetch_lines >= 1);

inline constexpr int64_t words_of(int64_t values) {
    constexpr int64_t together = values_of_word * words_together;
    return (values + together - 1) / together * words_together;
}

// Divides `count` rows into tiles of nearly equal size: 20 rows are 5 + 5 + 5 + 5, not 6 + 6 + 6 + 2. A matrix tile takes the same
// time for fewer rows, so those are filled one after the other.
struct Tiles {
    int64_t count, tiles;
    explicit Tiles(int64_t rows) : count(rows), tiles((rows + TILE_ROWS - 1) / TILE_ROWS) {}
    int64_t begin(int64_t tile) const {
        if constexpr (values_of_word == 1) return count * tile / tiles;
        else return tile * TILE_ROWS < count ? tile * TILE_ROWS : count;
    }
};

}  // namespace seriatim::SERIATIM_TARGET
