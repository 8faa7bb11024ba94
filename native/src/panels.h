// Weights in the order in which tiles read them.
//
// A panel holds the columns of one block of units for every k: [k][column][lane]. In a panel of gates a block is one vector of
// units and its columns are their gates, so that a tile finally holds every gate of its units. In a plain panel a block is up to
// four vectors of units. With bf16 words of two values (bf16_product.h) one line holds two k.
//
//        gates of an LSTM, 16 lanes                 plain
//        k=0 │ i₀…i₁₅ │ f₀…f₁₅ │ g₀…g₁₅ │ o₀…o₁₅ │    k=0 │ u₀…u₁₅ │ u₁₆…u₃₁ │ u₃₂…u₄₇ │ u₄₈…u₆₃ │
//        k=1 │ …                                      k=1 │ …
#pragma once

#include "scratch.h"
#include "product.h"
#include "transpose.h"

namespace seriatim::SERIATIM_TARGET {

struct Block {
    int64_t first, units;
    int columns;     // vectors in the panel
    int64_t offset;  // vectors before it
};

using Blocks = List<Block>;

inline int64_t vectors(const Blocks& blocks) {
    return blocks.size() ? blocks[blocks.size() - 1].offset + blocks[blocks.size() - 1].columns : 0;
}

// With `more` units after them: no block has units of both.
template <class T> Blocks plain_blocks(int64_t units, int64_t more = 0) {
    constexpr int64_t full = tile_columns * width<T>;
    Blocks blocks(units / full + more / full + 2);
    for (int64_t first = 0; first < units + more; first += blocks[blocks.size() - 1].units) {
        const int64_t count = min(full, (first < units ? units : units + more) - first);
        blocks.add({first, count, static_cast<int>((count + width<T> - 1) / width<T>), vectors(blocks)});
    }
    return blocks;
}

template <class T> Blocks gate_blocks(int64_t units, int gates) {
    Blocks blocks(units / width<T> + 1);
    for (int64_t first = 0; first < units; first += width<T>)
        blocks.add({first, min(width<T>, units - first), gates, gates * (first / width<T>)});
    return blocks;
}

// The blocks of thread `me` of `size`: neighbours, about as many vectors as every other thread has.
struct Range { int64_t begin, end; };

inline Range blocks_of_thread(const Blocks& blocks, int me, int size) {
    const auto until = [&](int part) {
        int64_t at = 0;
        while (at < blocks.size() && blocks[at].offset < vectors(blocks) * part / size) ++at;
        return at;
    };
    return {until(me), me + 1 == size ? blocks.size() : until(me + 1)};
}

template <class T> class Panels {
public:
    Panels() = default;
    Panels(const Blocks& blocks, int64_t depth)
        : depth(depth), words(words_of(depth)), data_(words * vectors(blocks) * width<T>) {}

    int64_t depth = 0, words = 0;  // values of k, and words of a row
    explicit operator bool() const { return static_cast<bool>(data_); }
    T* at(const Block& block) const { return data_.get() + block.offset * words * width<T>; }
    static int64_t stride(const Block& block) { return block.columns * width<T>; }

    // tile[r][at …] += rows[r] · this block, for `count` rows.
    void add(const Block& block, const T* const* rows, int count, Sums<T>* tile, int at = 0) const {
        add_part(block, {0, words}, rows, count, tile, at, no_prefetch());
    }
    // The same over a range of words; `rows` point at its first word.
    void add_part(const Block& block, Range part, const T* const* rows, int count, Sums<T>* tile, int at,
        Prefetch prefetch) const {
        multiply_tile(rows, count, this->at(block) + part.begin * stride(block), block.columns, stride(block),
            part.end - part.begin, *tile + at, prefetch);
    }
    // The share of these words of `next` to prefetch while tile `tile` multiplies `count` words.
    Prefetch prefetch(const Block& next, Range part, int64_t tile, int64_t count) const {
        constexpr int64_t step = 64 * prefetch_lines;
        const int64_t bytes = (part.end - part.begin) * stride(next) * sizeof(T), from = tile * count * step;
        if (from >= bytes) return no_prefetch();
        return {reinterpret_cast<const char*>(at(next) + part.begin * stride(next)) + from, step};
    }
    Prefetch no_prefetch() const { return {reinterpret_cast<const char*>(data_.get()), 0}; }
    int64_t bytes(const Block& block) const { return words * stride(block) * static_cast<int64_t>(sizeof(T)); }

    // Columns are rows of `weights` [·, depth]: unit u of the c-th gate is row gates[c]·units + u.
    void pack_gates(const Block& block, const T* weights, int64_t units, const int* gates) const {
        for (int c = 0; c < block.columns; ++c)
            transpose(block, c, weights + (gates[c] * units + block.first) * depth, block.units);
    }
    void pack_rows(const Block& block, const T* weights) const {
        for (int c = 0; c < block.columns; ++c) {
            const int64_t first = block.first + c * width<T>;
            transpose(block, c, weights + first * depth, min(width<T>, block.first + block.units - first));
        }
    }
    // Columns are columns of `weights` [depth, row]. Packs a range of words of every block.
    void pack_columns(const Blocks& blocks, const T* weights, int64_t row, Range part) const {
        for (int64_t word = part.begin; word < part.end; ++word)
            for (const Block& block : blocks)
                for (int64_t first = 0; first < block.units; first += width<T>)
                    store(at(block) + word * stride(block) + first, right_word<T>(word, depth, [&](int64_t k) {
                        return load(weights + k * row + block.first + first, block.units - first);
                    }));
    }

private:
    void transpose(const Block& block, int column, const T* from, int64_t count) const {
        T* to = at(block) + column * width<T>;
        const LeftRows rows(count, depth, [&](int64_t row) { return from + row * depth; });
        transposed<T>(
            count, words, [&](int64_t row) { return rows[row]; },
            [&](int64_t word) { return to + word * stride(block); }, true);
    }

    Scratch<T> data_;
};

}  // namespace seriatim::SERIATIM_TARGET
