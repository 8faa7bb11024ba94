// The sums of one tile, a few rows times a panel of up to four vectors of columns.
#pragma once

#include "engine.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int tile_columns = 4;  // vectors

// The sums of one row, in the order of the panel's columns. Cells read them.
template <class T> using Sums = Vec<T>[tile_columns];

template <class T> using Tile = Sums<T>[TILE_ROWS];

// The memory to fetch to the second cache during a product: `step` bytes (whole lines, or 0) per word.
struct Prefetch {
    const char* from;
    int64_t step;
};

}  // namespace seriatim::SERIATIM_TARGET
