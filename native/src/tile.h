// The sums of one tile, a few rows times a panel of up to four vectors of columns.
#pragma once

#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int tile_columns = 4;  // vectors

// Of one row, in the order of the panel's columns; cells read them.
template <class T>
using Sums = Vec<T>[tile_columns];

template <class T>
using Tile = Sums<T>[TILE_ROWS];

// What will be read after the panel at hand: fetched to the second cache meanwhile, `step` bytes (some lines, or none) for each
// word.
struct Ahead {
    const char* from;
    int64_t step;
};

}  // namespace seriatim::SERIATIM_TARGET
