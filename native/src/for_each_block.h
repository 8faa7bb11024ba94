// The traversal of a step: for every block of columns and every tile of rows, a product and then the cell. It knows no cells.
//
// An LSTM tile of 6 rows and one block of 16 units (AVX-512) goes like this:
//   1. `start` sets 6 × 4 vectors of sums (i f g o) to the bias or the input part, and multiplies x if that is still to do.
//   2. The panel of W_hh adds h · panel; the sums stay in registers for all k.
//   3. finish_tile runs the first half, Lstm::forward, for each of the 6 rows: σ and tanh of the sums, the new c; it saves the gates.
//      It leaves c in column 0 and o in column 3.
//   4. Column 0 becomes its tanh, three rows at a time: tanh is a long chain of instructions, and three chains overlap.
//   5. The second half, Lstm::output, stores h = o · tanh(c) for each row.
// The gates' sums never go to memory. The two halves exist for step 4: were each row finished alone, it would wait for its own tanh.
#pragma once

#include "panels.h"
#include "threads.h"
#include "timeline.h"

namespace seriatim::SERIATIM_TARGET {

// The share of a step that one thread computes.
struct ThreadShare {
    Team* team;
    int me;
    bool by_rows;
    void wait() const {
        if (!by_rows) team->barrier();
    }
    Range of(const Blocks& blocks) const {
        return by_rows ? Range{0, blocks.size()} : blocks_of_thread(blocks, me, team->size);
    }
    Range of(int64_t rows) const {
        return by_rows ? Range{0, rows} : Range{rows * me / team->size, rows * (me + 1) / team->size};
    }
};

// The second half of a cell's work on the sums, and the column that becomes its tanh before it.
template <int column, class F> struct SecondHalf : F { static constexpr int tanh_column = column; };
template <int column, class F> SecondHalf<column, F> second_half(const F& f) { return {f}; }

struct NoSecondHalf {
    static constexpr int tanh_column = -1;
    void operator()(const auto&, const Block&, auto&) const {}
};

// Replaces one column of each row's sums by its tanh, three rows at a time: there are registers for three. -1 does nothing.
template <int column, class T> inline void tanh_of_one_column(Sums<T>* sums, int64_t count) {
    if constexpr (column >= 0)
        for (int64_t n = 0; n < count; n += 3) {
            Vec<T>& first = sums[n][column];
            Vec<T>&second = sums[min(n + 1, count - 1)][column], &third = sums[min(n + 2, count - 1)][column];
            Vec<T> a[] = {first, second, third};
            squash<T, Gate::tanh, Gate::tanh, Gate::tanh>(a);
            first = a[0], second = a[1], third = a[2];
        }
}

// For a single row: the product of each block of `mine`, then both halves. Several blocks go together, because the first half of one
// does not depend on the first half of another.
template <class T, class Row, class Product, class First, class Second> void for_each_block_of_row(const Blocks& blocks,
    Range mine, bool backwards, const Row& row, const Product& product, const First& first_half,
    const Second& second_half) {
    constexpr int64_t together = TILE_ROWS / values_of_word;  // matrix tiles fill the sums of 16 rows even for one
    Tile<T> sums;
    for (int64_t i = mine.begin; i < mine.end; i += together) {
        const int64_t count = min(together, mine.end - i);
        const auto block = [&](int64_t n) -> const Block& {
            return blocks[backwards ? mine.begin + mine.end - 1 - i - n : i + n];
        };
        for (int64_t n = 0; n < count; ++n) product(block(n), sums + n);
        for (int64_t n = 0; n < count; ++n) first_half(row, block(n), sums[n]);
        tanh_of_one_column<Second::tanh_column, T>(sums, count);
        for (int64_t n = 0; n < count; ++n) second_half(row, block(n), sums[n]);
    }
}

// Both halves for a tile of rows. Not inlined: that makes the loops over tiles faster.
template <class T, class AnyRow, class First, class Second> [[gnu::noinline]] void finish_tile(const AnyRow* rows,
    int count, const Block& block, Sums<T>* sums, const First& first_half, const Second& second_half) {
    for (int r = 0; r < count; ++r) first_half(rows[r], block, sums[r]);
    tanh_of_one_column<Second::tanh_column, T>(sums, count);
    for (int r = 0; r < count; ++r) second_half(rows[r], block, sums[r]);
}

// For every block of `mine` and every row: start(block, rows, count, sums), the product of operand(row) with the block's panel, added
// from column `first_column` on, and both halves. An operand that equals `zeros` is skipped.
//
// Steps read the blocks in alternating order, so that each begins with the panels that are still in the cache. Within a panel k always
// rises, so the order of blocks changes no sum.
//
// A panel may be read in parts, every part for all tiles: of half of the first cache if a tile has few rows, because then many tiles
// read it; and if all panels of a thread exceed half of the second cache, which prefetches the next part.
template <class T, class AnyRow, class Operand, class Start, class First, class Second = NoSecondHalf>
void for_each_block(const Panels<T>& panels, const Blocks& blocks, Range mine, bool backwards, const AnyRow* rows,
    int64_t row_count, const Operand& operand, const T* zeros, int first_column, const Start& start,
    const First& first_half, const Second& second_half = {}) {
    if (!row_count || mine.begin >= mine.end) return;
    const LeftRows left(row_count, panels.depth, [&](int64_t r) { return operand(rows[r]); });
    if (row_count == 1) {
        const bool is_zero = operand(rows[0]) == zeros;
        const auto product = [&](const Block& block, Sums<T>* sums) {
            start(block, rows, 1, sums);
            const T* const operands[] = {left[0]};
            if (!is_zero) panels.add(block, operands, 1, sums, first_column);
        };
        return for_each_block_of_row<T>(blocks, mine, backwards, rows[0], product, first_half, second_half);
    }
    const Tiles tiles(row_count);
    const int64_t block_bytes = panels.bytes(blocks[mine.begin]);
    const bool exceeds_l2 = (mine.end - mine.begin) * block_bytes > l2_bytes() / 2;
    constexpr int64_t half_l1 = TILE_ROWS < tile_columns ? 16 << 10 : 0;
    const int64_t part_bytes = half_l1      ? half_l1
                               : exceeds_l2 ? l2_bytes() / 4
                                            : block_bytes,
                  parts = tiles.tiles > 1 ? (block_bytes + part_bytes - 1) / part_bytes : 1;
    const auto part_begin = [&](int64_t p) { return panels.words / words_together * p / parts * words_together; };
    const auto part = [&](int64_t p) { return Range{part_begin(p), part_begin(p + 1)}; };
    const Scratch<Tile<T>> saved_sums(parts > 1 ? tiles.tiles : 0);
    Tile<T> one_tile;
    for (int64_t i = mine.begin; i < mine.end; ++i) {
        const Block& block = blocks[backwards ? mine.begin + mine.end - 1 - i : i];
        const Block& next = blocks[i + 1 == mine.end ? i : backwards ? mine.begin + mine.end - 2 - i : i + 1];
        for (int64_t p = 0; p < parts; ++p) {
            const Range words = part(p);
            const bool last = p + 1 == parts;
            for (int64_t t = 0; t < tiles.tiles; ++t) {
                const AnyRow* first = rows + tiles.begin(t);
                const int count = static_cast<int>(tiles.begin(t + 1) - tiles.begin(t));
                Sums<T>* sums = parts > 1 ? saved_sums[t] : one_tile;
                if (p == 0) start(block, first, count, sums);
                const T* operands[TILE_ROWS];
                bool all_zero = true;
                for (int r = 0; r < count; ++r) {
                    all_zero &= operand(first[r]) == zeros;
                    operands[r] = left[tiles.begin(t) + r] + words.begin;
                }
                const Prefetch prefetch = exceeds_l2 ? panels.prefetch(last ? next : block, part(last ? 0 : p + 1), t,
                                                           words.end - words.begin)
                                                     : panels.no_prefetch();
                if (!all_zero) panels.add_part(block, words, operands, count, sums, first_column, prefetch);
                if (last) finish_tile<T>(first, count, block, sums, first_half, second_half);
            }
        }
    }
}

template <class T> inline constexpr auto from_zero = [](const Block&, const auto*, int count, Sums<T>* sums) {
    for (int r = 0; r < count; ++r)
        for (auto& column : sums[r]) column = Vec<T>{};
};

// A first half that calls f(row, sum, span) for every vector of a plain block.
template <class T, class F> auto for_each_vector(const F& f) {
    return [f](const auto& row, const Block& block, const Sums<T>& sums) {
        for (int c = 0; c < block.columns; ++c) {
            const int64_t first = block.first + c * width<T>;
            f(row, sums[c], Span{first, min(width<T>, block.first + block.units - first)});
        }
    };
}

}  // namespace seriatim::SERIATIM_TARGET
