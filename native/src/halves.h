// Products of values rounded to bf16, two to a word, on a processor's matrix tiles, which MATRIX_TILES names (amx.h, or
// amx_software.h in its place). Products are exact, their sums float32.
//
// A matrix tile is 16 rows of 16 words. While k runs, four of them are sums: of 16 rows × 4 vectors or of 32 rows × 2, so
// that every tile of a panel is read once for all rows.
//
//         left: row, word          panel: word, lane           sums: row, lane
//         [h₀ h₁][h₂ h₃] …         [w₀ w₁] of unit 0, 1 …      tiles 0 … 3
//         tiles 4, 5               tiles 6, 7
#pragma once

#include <utility>

#include "lease.h"
#include "tile.h"

namespace seriatim::SERIATIM_TARGET {

inline constexpr int64_t values_of_word = 2;
inline constexpr int64_t words_together = 16;
inline constexpr int64_t lines_ahead = tile_columns;

// A thread's matrix tiles.
struct Products {
    Products() { MATRIX_TILES::configure(); }
    ~Products() { MATRIX_TILES::release(); }
    Products(const Products&) = delete;
};

typedef uint32_t Words __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t Halves __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));

// bf16 in the lower half of each word: to the nearest, ties to even.
inline Words rounded(Vec<float> values) {
    const Words bits = std::bit_cast<Words>(values), quiet = bits | 0x400000;
    return (values == values ? bits + 0x7fff + (bits >> 16 & 1) : quiet) >> 16;
}

inline Vec<float> paired(Vec<float> first, Vec<float> second) {
    return std::bit_cast<Vec<float>>(rounded(first) | rounded(second) << 16);
}

// A row as words, up to a whole number of matrix tiles.
inline void round_row(const float* from, int64_t values, float* words) {
    auto* to = reinterpret_cast<Halves*>(words);
    for (int64_t at = 0; at < up_to(values, 2 * words_together); at += width<float>)
        *to++ = __builtin_convertvector(rounded(load(from + at, values - at)), Halves);
}

// The left side of a product: row r is of(r), of `depth` values. Rows are added that a matrix tile lacks.
class Left {
public:
    template <class Of>
    Left(int64_t rows, int64_t depth, const Of& of)
        : stride_(up_to(depth, 2 * words_together) / 2),
          words_(up_to(rows, words_together) * stride_) {
        for (int64_t row = 0; row < rows; ++row) round_row(of(row), depth, words_.get() + row * stride_);
        fill(words_.get() + rows * stride_, (up_to(rows, words_together) - rows) * stride_, 0.0f);
    }
    const float* operator[](int64_t row) const { return words_.get() + row * stride_; }

private:
    const int64_t stride_;
    const Lease<float> words_;
};

// A word for every column of the right side; value(k) is a vector of them.
template <class T, class Value>
inline Vec<T> right(int64_t word, int64_t depth, const Value& value) {
    const auto at = [&](int64_t k) { return k < depth ? value(k) : Vec<T>{}; };
    return paired(at(2 * word), at(2 * word + 1));
}

template <int N, class Work>
ALWAYS_INLINE void unrolled(const Work& work) {
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (work.template operator()<I>(), ...);
    }(std::make_integer_sequence<int, N>{});
}

// 16 · R rows, `apart` words from each other, and C vectors.
template <int R, int C>
void multiply(const float* rows, int64_t apart, const float* panel, int64_t stride, int64_t words, Vec<float>* sums,
              Ahead ahead) {
    using M = MATRIX_TILES;
    constexpr int64_t word = sizeof(float), row_of_sums = tile_columns * VECTOR_BYTES;
    unrolled<R * C>([&]<int I>() { M::load<I>(sums + 16 * (I / C) * tile_columns + I % C, row_of_sums); });
    for (int64_t k = 0; k < words; k += words_together, rows += words_together, panel += words_together * stride) {
        for (int line = 0; ahead.step && line < words_together; ++line, ahead.from += ahead.step)
            for (int64_t byte = 0; byte < ahead.step; byte += 64) __builtin_prefetch(ahead.from + byte, 0, 2);
        unrolled<R>([&]<int r>() { M::load<4 + r>(rows + 16 * r * apart, apart * word); });
        unrolled<C>([&]<int c>() {
            M::load<6 + c % 2>(panel + c * width<float>, stride * word);
            unrolled<R>([&]<int r>() { M::multiply_add<r * C + c, 4 + r, 6 + c % 2>(); });
        });
    }
    unrolled<R * C>([&]<int I>() { M::store<I>(sums + 16 * (I / C) * tile_columns + I % C, row_of_sums); });
}

inline void multiply_tile(const float* const* rows, int count, const float* panel, int columns, int64_t stride,
                          int64_t words, Vec<float>* tile, Ahead ahead) {
    const int64_t apart = count > 1 ? rows[1] - rows[0] : 0;  // a single row is read 16 times
    if (count <= 16) {
        constexpr decltype(&multiply<1, 1>) by_columns[] = {multiply<1, 1>, multiply<1, 2>, multiply<1, 3>,
                                                            multiply<1, 4>};
        return by_columns[columns - 1](rows[0], apart, panel, stride, words, tile, ahead);
    }
    for (int c = 0; c < columns; c += 2, ahead.step = 0)
        (columns - c > 1 ? multiply<2, 2> : multiply<2, 1>)(rows[0], apart, panel + c * width<float>, stride, words,
                                                            tile + c, ahead);
}

// Whether sums of products of whole numbers, which are exact, come out right for sizes that fill matrix tiles and that do not.
bool products_are_right() {
    const Products tiles;
    bool right_ones = true;
    for (int64_t depth : {1, 32, 65})
        for (int count : {1, 9, 16, 17, 32})
            for (int columns = 1; columns <= tile_columns; ++columns) {
                const int64_t stride = columns * width<float>, words = up_to(depth, 2 * words_together) / 2;
                const auto a = [](int64_t row, int64_t k) { return static_cast<float>((row * 7 + k * 3) % 13 - 6); };
                const auto b = [](int64_t k, int64_t column) { return static_cast<float>((k * 5 + column) % 11 - 5); };
                const Lease<float> values(count * depth), panel(words * stride);
                for (int64_t at = 0; at < count * depth; ++at) values[at] = a(at / depth, at % depth);
                for (int64_t word = 0; word < words; ++word)
                    for (int c = 0; c < columns; ++c)
                        store(panel.get() + word * stride + c * width<float>, right<float>(word, depth, [&](int64_t k) {
                                  Vec<float> row;
                                  for (int lane = 0; lane < width<float>; ++lane)
                                      row[lane] = b(k, c * width<float> + lane);
                                  return row;
                              }));
                const Left left(count, depth, [&](int64_t row) { return values.get() + row * depth; });
                const float* rows[TILE_ROWS];
                for (int row = 0; row < count; ++row) rows[row] = left[row];
                Tile<float> sums = {};
                for (int pass = 0; pass < 2; ++pass)
                    multiply_tile(rows, count, panel.get(), columns, stride, words, sums[0], {nullptr, 0});
                for (int row = 0; row < count; ++row)
                    for (int64_t column = 0; column < stride; ++column) {
                        float wanted = 0;
                        for (int64_t k = 0; k < depth; ++k) wanted += 2 * a(row, k) * b(k, column);
                        right_ones &= sums[row][column / width<float>][column % width<float>] == wanted;
                    }
            }
    return right_ones;
}

}  // namespace seriatim::SERIATIM_TARGET
