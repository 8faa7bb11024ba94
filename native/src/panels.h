// Weights in the order in which tiles read them.
//
// A panel holds the columns of one block of units for every k: [k][column][lane]. In a panel of gates a block is one
// vector of units and its columns are their gates, so that a tile ends up holding every gate of its units; in a plain
// panel a block is up to four vectors of units.
//
//        gates of an LSTM, 16 lanes                 plain
//        k=0 │ i₀…i₁₅ │ f₀…f₁₅ │ g₀…g₁₅ │ o₀…o₁₅ │    k=0 │ u₀…u₁₅ │ u₁₆…u₃₁ │ u₃₂…u₄₇ │ u₄₈…u₆₃ │
//        k=1 │ …                                      k=1 │ …
#pragma once

#include "lease.h"
#include "tile.h"
#include "transpose.h"

namespace seriatim::SERIATIM_TARGET {

struct Block {
    int64_t first, units;  // the units that it covers
    int columns;           // vectors in the panel
    int64_t offset;        // vectors before it
};

using Blocks = List<Block>;

inline int64_t vectors(const Blocks& blocks) {
    return blocks.size() ? blocks[blocks.size() - 1].offset + blocks[blocks.size() - 1].columns : 0;
}

template <class T>
Blocks plain_blocks(int64_t units) {
    constexpr int64_t full = tile_columns * width<T>;
    Blocks blocks(units / full + 1);
    for (int64_t first = 0; first < units; first += full) {
        const int64_t count = least(full, units - first);
        blocks.add({first, count, static_cast<int>((count + width<T> - 1) / width<T>), first / width<T>});
    }
    return blocks;
}

template <class T>
Blocks gate_blocks(int64_t units, int gates) {
    Blocks blocks(units / width<T> + 1);
    for (int64_t first = 0; first < units; first += width<T>)
        blocks.add({first, least(width<T>, units - first), gates, gates * (first / width<T>)});
    return blocks;
}

// Which of `blocks` thread `me` of `size` takes: a run of about as many vectors as the others'.
struct Range {
    int64_t begin, end;
};

inline Range share(const Blocks& blocks, int me, int size) {
    const auto until = [&](int part) {
        int64_t at = 0;
        while (at < blocks.size() && blocks[at].offset < vectors(blocks) * part / size) ++at;
        return at;
    };
    return {until(me), me + 1 == size ? blocks.size() : until(me + 1)};
}

template <class T>
class Panels {
public:
    Panels() = default;
    Panels(const Blocks& blocks, int64_t depth) : depth(depth), data_(depth * vectors(blocks) * width<T>) {}

    int64_t depth = 0;
    explicit operator bool() const { return static_cast<bool>(data_); }
    T* at(const Block& block) const { return data_.get() + block.offset * depth * width<T>; }
    static int64_t stride(const Block& block) { return block.columns * width<T>; }

    // tile[r][at …] += rows[r] · this block, for `count` rows.
    void add(const Block& block, const T* const* rows, int count, Tile<T>& tile, int at = 0) const {
        add_part(block, {0, depth}, rows, count, tile, at, nothing_ahead());
    }
    // The same over some of k; `rows` start there.
    void add_part(const Block& block, Range of_k, const T* const* rows, int count, Tile<T>& tile, int at,
                  Ahead ahead) const {
        multiply_tile<T>(rows, count, this->at(block) + of_k.begin * stride(block), block.columns, stride(block),
                         of_k.end - of_k.begin, tile, at, ahead);
    }
    // What of `next`, from its k on, is to be fetched while `depth` values of k are multiplied for tile `tile`.
    Ahead ahead(const Block& next, Range of_k, int64_t tile, int64_t depth) const {
        constexpr int64_t line = 64;
        const int64_t bytes = (of_k.end - of_k.begin) * stride(next) * sizeof(T), from = tile * depth * line;
        if (from >= bytes) return nothing_ahead();
        return {reinterpret_cast<const char*>(at(next) + of_k.begin * stride(next)) + from, line};
    }
    Ahead nothing_ahead() const { return {reinterpret_cast<const char*>(data_.get()), 0}; }
    int64_t bytes(const Block& block) const { return depth * stride(block) * static_cast<int64_t>(sizeof(T)); }

    // Columns are rows of `weights` [·, depth]: unit u of the c-th gate is row gates[c]·units + u.
    void pack_gates(const Block& block, const T* weights, int64_t units, const int* gates) const {
        for (int c = 0; c < block.columns; ++c)
            transpose(block, c, weights + (gates[c] * units + block.first) * depth, block.units);
    }
    void pack_rows(const Block& block, const T* weights) const {
        for (int c = 0; c < block.columns; ++c) {
            const int64_t first = block.first + c * width<T>;
            transpose(block, c, weights + first * depth, least(width<T>, block.first + block.units - first));
        }
    }
    // Columns are columns of `weights` [depth, row]; of every block, for k from `begin` to `end`.
    void pack_columns(const Blocks& blocks, const T* weights, int64_t row, int64_t begin, int64_t end) const {
        for (int64_t k = begin; k < end; ++k)
            for (const Block& block : blocks) {
                T* to = at(block) + k * stride(block);
                copy(weights + k * row + block.first, block.units, to);
                fill(to + block.units, stride(block) - block.units, T(0));
            }
    }

private:
    void transpose(const Block& block, int column, const T* from, int64_t count) const {
        T* to = at(block) + column * width<T>;
        transposed<T>(
            count, depth, [&](int64_t row) { return from + row * depth; },
            [&](int64_t k) { return to + k * stride(block); }, true);
    }

    Lease<T> data_;
};

}  // namespace seriatim::SERIATIM_TARGET
