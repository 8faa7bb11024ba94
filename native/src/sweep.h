// A step's walk over panels and rows: the sums of every block and row, and what is then done with them. It knows no cells.
#pragma once

#include "panels.h"
#include "threads.h"
#include "timeline.h"

namespace seriatim::SERIATIM_TARGET {

// Which share of a step a thread takes.
struct Part {
    Team* team;
    int me;
    bool by_rows;
    void wait() const {
        if (!by_rows) team->barrier();
    }
    Range of(const Blocks& blocks) const { return by_rows ? Range{0, blocks.size()} : share(blocks, me, team->size); }
    Range of(int64_t rows) const {
        return by_rows ? Range{0, rows} : Range{rows * me / team->size, rows * (me + 1) / team->size};
    }
};

// What is done with the sums of a row and a block comes in two halves, `each` and `then`; before the second, one of the sums may
// become its tanh. The second waits for the first, so each is done for all rows of a tile, or for some blocks of a single row:
// they wait for nothing of each other, and overlap.
template <int which, class F>
struct AfterTanh : F {
    static constexpr int squashed = which;
};
template <int which, class F>
AfterTanh<which, F> after_tanh(const F& f) {
    return {f};
}

// A second half that does nothing.
struct Nothing {
    static constexpr int squashed = -1;
    void operator()(const auto&, const Block&, auto&) const {}
};

// The tanh of one of each row's sums, or of none; three rows at a time, for which there are registers.
template <int which, class T>
inline void squash_one(Sums<T>* sums, int64_t count) {
    if constexpr (which >= 0)
        for (int64_t n = 0; n < count; n += 3) {
            Vec<T>& first = sums[n][which];
            Vec<T>&second = sums[least(n + 1, count - 1)][which], &third = sums[least(n + 2, count - 1)][which];
            Vec<T> a[] = {first, second, third};
            squash<T, Gate::tanh, Gate::tanh, Gate::tanh>(a);
            first = a[0], second = a[1], third = a[2];
        }
}

// The blocks of `mine` for a single row, some at a time: product(block, sums), then each(row, block, sums), then `then`.
template <class T, class Row, class Product, class Each, class Then>
void sweep_row(const Blocks& blocks, Range mine, bool backwards, const Row& row, const Product& product,
               const Each& each, const Then& then) {
    constexpr int64_t together = TILE_ROWS / values_of_word;  // matrix tiles fill sums of 16 rows for one
    Tile<T> sums;
    for (int64_t i = mine.begin; i < mine.end; i += together) {
        const int64_t count = least(together, mine.end - i);
        const auto block = [&](int64_t n) -> const Block& {
            return blocks[backwards ? mine.begin + mine.end - 1 - i - n : i + n];
        };
        for (int64_t n = 0; n < count; ++n) product(block(n), sums + n);
        for (int64_t n = 0; n < count; ++n) each(row, block(n), sums[n]);
        squash_one<Then::squashed, T>(sums, count);
        for (int64_t n = 0; n < count; ++n) then(row, block(n), sums[n]);
    }
}

// Both halves for a tile of rows. Out of line: the loops over tiles are the faster for it.
template <class T, class AnyRow, class Each, class Then>
[[gnu::noinline]] void conclude(const AnyRow* rows, int count, const Block& block, Sums<T>* sums, const Each& each,
                                const Then& then) {
    for (int r = 0; r < count; ++r) each(rows[r], block, sums[r]);
    squash_one<Then::squashed, T>(sums, count);
    for (int r = 0; r < count; ++r) then(rows[r], block, sums[r]);
}

// The sums of every block of `mine` × every row, and both halves. Panels are walked to and fro, so that those read last, which are
// still in the cache, are read first at the next step. A panel that is large beside the second cache is read in parts, each for all
// tiles; one that lies beyond that cache is fetched while the part before it is used.
template <class T, class AnyRow, class Operand, class Begin, class Each, class Then = Nothing>
void sweep(const Panels<T>& panels, const Blocks& blocks, Range mine, bool backwards, const AnyRow* rows,
           int64_t row_count, const Operand& operand, const T* zeros, int at, const Begin& begin, const Each& each,
           const Then& then = {}) {
    if (!row_count || mine.begin >= mine.end) return;
    const Left left(row_count, panels.depth, [&](int64_t r) { return operand(rows[r]); });
    if (row_count == 1) {
        const bool zero = operand(rows[0]) == zeros;
        const auto product = [&](const Block& block, Sums<T>* sums) {
            begin(block, rows, 1, sums);
            if (!zero) panels.add_row(block, left[0], sums, at, backwards);
        };
        return sweep_row<T>(blocks, mine, backwards, rows[0], product, each, then);
    }
    const Tiles tiles(row_count);
    const int64_t of_block = panels.bytes(blocks[mine.begin]);
    const bool far = (mine.end - mine.begin) * of_block > l2_bytes() / 2;
    const int64_t room = l2_bytes() / 4, parts = far ? (of_block + room - 1) / room : 1;
    const auto until = [&](int64_t p) { return panels.words / words_together * p / parts * words_together; };
    const auto part = [&](int64_t p) { return Range{until(p), until(p + 1)}; };
    const Lease<Tile<T>> kept_sums(parts > 1 ? tiles.tiles : 0);
    Tile<T> one_tile;
    for (int64_t i = mine.begin; i < mine.end; ++i) {
        const Block& block = blocks[backwards ? mine.begin + mine.end - 1 - i : i];
        const Block& next = blocks[i + 1 == mine.end ? i : backwards ? mine.begin + mine.end - 2 - i : i + 1];
        for (int64_t p = 0; p < parts; ++p) {
            const Range some = part(p);
            for (int64_t t = 0; t < tiles.tiles; ++t) {
                const AnyRow* first = rows + tiles.begin(t);
                const int count = static_cast<int>(tiles.begin(t + 1) - tiles.begin(t));
                Sums<T>* sums = parts > 1 ? kept_sums[t] : one_tile;
                if (p == 0) begin(block, first, count, sums);
                const T* operands[TILE_ROWS];
                bool all_zero = true;
                for (int r = 0; r < count; ++r) {
                    all_zero &= operand(first[r]) == zeros;  // no state yet, or none any more: no work
                    operands[r] = left[tiles.begin(t) + r] + some.begin;
                }
                const Ahead ahead = !far            ? panels.nothing_ahead()
                                    : p + 1 < parts ? panels.ahead(block, part(p + 1), t, some.end - some.begin)
                                                    : panels.ahead(next, part(0), t, some.end - some.begin);
                if (!all_zero) panels.add_part(block, some, operands, count, sums, at, ahead);
                if (p + 1 < parts) continue;
                conclude<T>(first, count, block, sums, each, then);
            }
        }
    }
}

template <class T>
inline constexpr auto from_zero = [](const Block&, const auto*, int count, Sums<T>* sums) {
    for (int r = 0; r < count; ++r)
        for (auto& column : sums[r]) column = Vec<T>{};
};

// f(row, sum, span) for every vector of a plain block.
template <class T, class F>
auto every(const F& f) {
    return [f](const auto& row, const Block& block, const Sums<T>& sums) {
        for (int c = 0; c < block.columns; ++c) {
            const int64_t first = block.first + c * width<T>;
            f(row, sums[c], Span{first, least(width<T>, block.first + block.units - first)});
        }
    };
}

}  // namespace seriatim::SERIATIM_TARGET
