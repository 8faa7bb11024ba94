// The one product of the engine. Everything that is multiplied here, forward, backward and the weights' gradients, is
// brought into this form: a few rows times a panel of up to four vectors of columns.
//
// Products read words of T's size. A target's words are values as they are (values.h), or, where it has matrix tiles, pairs
// of values rounded to bf16 (halves.h). Each of the two gives
//
//   values_of_word, words_together   a product takes so many words at once; k is rounded up to as many, with zeros
//   Left                             the rows of a product's left side, as words
//   right                            words of its right side
//   multiply_tile                    tile[r · tile_columns + c] += Σ_k rows[r][k] · panel[k][c]
//   Products                         what a thread holds while it multiplies
//   lines_ahead                      how many lines of what comes next are fetched for each word
#pragma once

#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

// sums[c] += Σ_k row[k · step] · column(k, c): a product of one row, which has too few sums to hide the latency of an addition, so
// that even and odd k are summed apart.
template <class T, int C, class Column>
ALWAYS_INLINE void multiply_one(const T* row, int64_t step, int64_t depth, const Column& column, Vec<T>* sums) {
    Vec<T> even[C], odd[C];
    for (int c = 0; c < C; ++c) even[c] = sums[c], odd[c] = Vec<T>{};
    int64_t k = 0;
    for (; k + 1 < depth; k += 2) {
        for (int c = 0; c < C; ++c) even[c] += column(k, c) * row[k * step];
        for (int c = 0; c < C; ++c) odd[c] += column(k + 1, c) * row[(k + 1) * step];
    }
    if (k < depth)
        for (int c = 0; c < C; ++c) even[c] += column(k, c) * row[k * step];
    for (int c = 0; c < C; ++c) sums[c] = even[c] + odd[c];
}

}  // namespace seriatim::SERIATIM_TARGET

#ifdef MATRIX_TILES
#include "halves.h"
#else
#include "values.h"
#endif

namespace seriatim::SERIATIM_TARGET {

inline constexpr int64_t words_of(int64_t values) {
    constexpr int64_t together = values_of_word * words_together;
    return (values + together - 1) / together * words_together;
}

// Cuts `count` rows into tiles as equal as they can be: 20 rows are 5 + 5 + 5 + 5, not 6 + 6 + 6 + 2. Matrix tiles take as long
// for fewer rows, and are filled.
struct Tiles {
    int64_t count, tiles;
    explicit Tiles(int64_t rows) : count(rows), tiles((rows + TILE_ROWS - 1) / TILE_ROWS) {}
    int64_t begin(int64_t tile) const {
        if constexpr (values_of_word == 1) return count * tile / tiles;
        else return tile * TILE_ROWS < count ? tile * TILE_ROWS : count;
    }
};

}  // namespace seriatim::SERIATIM_TARGET
