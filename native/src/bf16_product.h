// Products of values rounded to bf16, two in a word, on matrix tiles. MATRIX_TILES names them: amx.h, or amx_software.h for tests.
// Products are exact, their sums float32.
//
// A matrix tile has 16 rows of 16 words. Four tiles hold sums, of 16 rows × 4 vectors or of 32 rows × 2, so that every tile of a
// panel is read once for all rows.
//
//         left: row, word          panel: word, lane           sums: row, lane
//         [h₀ h₁][h₂ h₃] …         [w₀ w₁] of unit 0, 1 …      tiles 0 … 3
//         tiles 4, 5               tiles 6, 7
#pragma once

#include <utility>

#include "scratch.h"
#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int64_t values_of_word = 2;
inline constexpr int64_t words_together = 16;
inline constexpr int64_t prefetch_lines = tile_columns;

// Configures a thread's matrix tiles, and releases them.
struct ProductSession {
    ProductSession() { MATRIX_TILES::configure(); }
    ~ProductSession() { MATRIX_TILES::release(); }
    ProductSession(const ProductSession&) = delete;
};

typedef uint32_t Words __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t Halves __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));

// bf16 in the lower half of each word; rounds to the nearest, ties to even.
inline Words rounded(Vec<float> values) {
    const Words bits = std::bit_cast<Words>(values), quiet = bits | 0x400000;
    return (values == values ? bits + 0x7fff + (bits >> 16 & 1) : quiet) >> 16;
}

inline Vec<float> paired(Vec<float> first, Vec<float> second) {
    return std::bit_cast<Vec<float>>(rounded(first) | rounded(second) << 16);
}

// Rounds a row to words and pads it to a whole number of matrix tiles.
inline void round_row(const float* from, int64_t values, float* words) {
    auto* to = reinterpret_cast<Halves*>(words);
    for (int64_t at = 0; at < round_up(values, 2 * words_together); at += width<float>)
        *to++ = __builtin_convertvector(rounded(load(from + at, values - at)), Halves);
}

// The left side of a product: row r is of(r), of `depth` values. Zero rows fill up the last matrix tile.
class LeftRows {
public:
    template <class Of> LeftRows(int64_t rows, int64_t depth, const Of& of)
        : stride_(round_up(depth, 2 * words_together) / 2), words_(round_up(rows, words_together) * stride_) {
        for (int64_t row = 0; row < rows; ++row) round_row(of(row), depth, words_.get() + row * stride_);
        fill(words_.get() + rows * stride_, (round_up(rows, words_together) - rows) * stride_, 0.0f);
    }
    const float* operator[](int64_t row) const { return words_.get() + row * stride_; }

private:
    const int64_t stride_;
    const Scratch<float> words_;
};

template <class> using LeftRowsOf = LeftRows;

// One word for every column of the right side; value(k) is the vector of all columns at k.
template <class T, class Value> inline Vec<T> right_word(int64_t word, int64_t depth, const Value& value) {
    const auto at = [&](int64_t k) { return k < depth ? value(k) : Vec<T>{}; };
    return paired(at(2 * word), at(2 * word + 1));
}

template <int N, class Work> ALWAYS_INLINE void unrolled(const Work& work) {
    [&]<int... I>(std::integer_sequence<int, I...>) { (work.template operator()<I>(), ...); }(
        std::make_integer_sequence<int, N>{});
}

// The product of 16 · R rows, which are `row_stride` words apart, and C vectors.
template <int R, int C> void multiply(const float* rows, int64_t row_stride, const float* panel, int64_t stride,
    int64_t words, Vec<float>* sums, Prefetch prefetch) {
    using M = MATRIX_TILES;
    constexpr int64_t word = sizeof(float), row_of_sums = tile_columns * VECTOR_BYTES;
    unrolled<R * C>([&]<int I>() { M::load<I>(sums + 16 * (I / C) * tile_columns + I % C, row_of_sums); });
    for (int64_t k = 0; k < words; k += words_together, rows += words_together, panel += words_together * stride) {
        for (int line = 0; prefetch.step && line < words_together; ++line, prefetch.from += prefetch.step)
            for (int64_t byte = 0; byte < prefetch.step; byte += 64) __builtin_prefetch(prefetch.from + byte, 0, 2);
        unrolled<R>([&]<int r>() { M::load<4 + r>(rows + 16 * r * row_stride, row_stride * word); });
        unrolled<C>([&]<int c>() {
            M::load<6 + c % 2>(panel + c * width<float>, stride * word);
            unrolled<R>([&]<int r>() { M::multiply_add<r * C + c, 4 + r, 6 + c % 2>(); });
        });
    }
    unrolled<R * C>([&]<int I>() { M::store<I>(sums + 16 * (I / C) * tile_columns + I % C, row_of_sums); });
}

inline void multiply_tile(const float* const* rows, int count, const float* panel, int columns, int64_t stride,
    int64_t words, Vec<float>* tile, Prefetch prefetch) {
    const int64_t row_stride = count > 1 ? rows[1] - rows[0] : 0;  // a single row is read 16 times
    if (count <= 16) {
        constexpr decltype(&multiply<1, 1>) by_columns[] = {
            multiply<1, 1>, multiply<1, 2>, multiply<1, 3>, multiply<1, 4>};
        return by_columns[columns - 1](rows[0], row_stride, panel, stride, words, tile, prefetch);
    }
    for (int c = 0; c < columns; c += 2, prefetch.step = 0)
        (columns - c > 1 ? multiply<2, 2> : multiply<2, 1>)(rows[0], row_stride, panel + c * width<float>, stride,
            words, tile + c, prefetch);
}

// Self-check: compares sums of products of whole numbers, which are exact, for sizes that fill matrix tiles and sizes that do not.
bool products_are_right() {
    const ProductSession tiles;
    bool all_right = true;
    for (int64_t depth : {1, 32, 65})
        for (int count : {1, 9, 16, 17, 32})
            for (int columns = 1; columns <= tile_columns; ++columns) {
                const int64_t stride = columns * width<float>, words = round_up(depth, 2 * words_together) / 2;
                const auto a = [](int64_t row, int64_t k) { return static_cast<float>((row * 7 + k * 3) % 13 - 6); };
                const auto b = [](int64_t k, int64_t column) { return static_cast<float>((k * 5 + column) % 11 - 5); };
                const Scratch<float> values(count * depth), panel(words * stride);
                for (int64_t at = 0; at < count * depth; ++at) values[at] = a(at / depth, at % depth);
                for (int64_t word = 0; word < words; ++word)
                    for (int c = 0; c < columns; ++c)
                        store(panel.get() + word * stride + c * width<float>,
                            right_word<float>(word, depth, [&](int64_t k) {
                                Vec<float> row;
                                for (int lane = 0; lane < width<float>; ++lane)
                                    row[lane] = b(k, c * width<float> + lane);
                                return row;
                            }));
                const LeftRows left(count, depth, [&](int64_t row) { return values.get() + row * depth; });
                const float* rows[TILE_ROWS];
                for (int row = 0; row < count; ++row) rows[row] = left[row];
                Tile<float> sums = {};
                for (int pass = 0; pass < 2; ++pass)
                    multiply_tile(rows, count, panel.get(), columns, stride, words, sums[0], {nullptr, 0});
                for (int row = 0; row < count; ++row)
                    for (int64_t column = 0; column < stride; ++column) {
                        float expected = 0;
                        for (int64_t k = 0; k < depth; ++k) expected += 2 * a(row, k) * b(k, column);
                        all_right &= sums[row][column / width<float>][column % width<float>] == expected;
                    }
            }
    return all_right;
}

}  // namespace seriatim::SERIATIM_TARGET
