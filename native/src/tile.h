// The sums of one tile, a few rows times a panel of up to four vectors of columns.
#pragma once

#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int tile_columns = 4;  // vectors

// [row][vector]; cells read it, columns in the order of the panel.
template <class T>
using Tile = Vec<T>[TILE_ROWS][tile_columns];

// What will be read after the panel at hand: fetched to the second cache meanwhile, `step` bytes (some lines, or none) for each
// word.
struct Ahead {
    const char* from;
    int64_t step;
};

}  // namespace seriatim::SERIATIM_TARGET
