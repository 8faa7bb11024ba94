// Weights of 16 or 8 bits for single steps of a few rows, where reading the weights takes most of the time.
//
// bf16: the upper half of a float32. Products and sums are float32. A word has the weights of two k, the even k in its lower half:
//       a shift and a mask make numbers of them.
// int8: the weights of a column are q · scale with q in -127 … 127. The row is quantised likewise, by its own largest value, and
//       shifted by 128 where the processor's dot products need unsigned numbers. Subtracting 128 Σ q undoes the shift:
//       Σ (a + 128) q = Σ a q + 128 Σ q.
#pragma once

#include "panels.h"

namespace seriatim::SERIATIM_TARGET {

using Int = Lanes<float>::Int;
typedef uint32_t Pairs __attribute__((vector_size(VECTOR_BYTES)));

#ifndef ROW_SHIFT
#define ROW_SHIFT 128
#endif

inline float largest_of(const float* row, int64_t depth) {
    Vec<float> sizes{};
    for (int64_t k = 0; k < depth; k += width<float>)
        sizes = at_least<float>(sizes, magnitude<float>(load(row + k, depth - k)));
    float largest = 0;
    for (int lane = 0; lane < width<float>; ++lane) largest = sizes[lane] > largest ? sizes[lane] : largest;
    return largest;
}

// A row for integer products: four values of k in each lane.
struct ByteRow {
    explicit ByteRow(int64_t depth) : values(round_up(depth, 4), uint8_t(ROW_SHIFT)) {}
    Scratch<uint8_t> values;
    float scale = 0;

    void set(const float* row, int64_t depth) {
        const float largest = largest_of(row, depth), steps = largest > 0 ? 127 / largest : 0;
        scale = largest / 127;
        for (int64_t k = 0; k < depth; ++k)
            values[k] = static_cast<uint8_t>(static_cast<int>(row[k] * steps + 128.5f) - 128 + ROW_SHIFT);
    }
};

// sums[c] += Σ over the four bytes of every lane, for `quads` groups of four k. The panel is [quad][column][lane][4].
template <int C> inline void add_bytes_portable(const int8_t* panel, int64_t quads, const uint8_t* row, Int* sums) {
    for (int64_t quad = 0; quad < quads; ++quad, row += 4)
        for (int c = 0; c < C; ++c, panel += VECTOR_BYTES) {
            Int four;
            __builtin_memcpy(&four, panel, sizeof(four));
            sums[c] += (four << 24 >> 24) * row[0] + (four << 16 >> 24) * row[1] + (four << 8 >> 24) * row[2] +
                       (four >> 24) * row[3];
        }
}
#ifdef ADD_BYTES  // the same with instructions of the processor
template <int C> void ADD_BYTES(const int8_t* panel, int64_t quads, const uint8_t* row, Int* sums);
#else
#define ADD_BYTES add_bytes_portable
#endif

// f<C>() for the number of columns of a block.
template <class F> inline void by_columns(int columns, const F& f) {
    [&]<int... I>(std::integer_sequence<int, I...>) {
        ((columns == I + 1 ? f.template operator()<I + 1>() : void()), ...);
    }(std::make_integer_sequence<int, tile_columns>{});
}

class ReducedPanels {
public:
    ReducedPanels() = default;
    ReducedPanels(const Blocks& blocks, int64_t depth, Precision precision)
        : depth_(depth), words_(precision == Precision::bf16 ? (depth + 1) / 2 : (depth + 3) / 4),
          precision_(precision) {
        const int64_t columns = vectors(blocks) * width<float>;
        if (precision == Precision::bf16) pairs_ = Scratch<uint32_t>(words_ * columns, 0u);
        if (precision != Precision::int8) return;
        bytes_ = Scratch<int8_t>(4 * words_ * columns, int8_t(0));
        scales_ = Scratch<float>(columns, 0.0f);
        shifts_ = Scratch<int32_t>(columns, 0);
    }

    // Column `lane` of the c-th vector of a block is a row of weights.
    void pack(const Block& block, int column, int64_t lane, const float* row) const {
        const int64_t at = (block.offset + column) * width<float> + lane;
        if (precision_ == Precision::bf16) {
            for (int64_t k = 0; k < depth_; ++k)
                pairs_of(block)[(k / 2 * block.columns + column) * width<float> + lane] |= rounded(row[k])
                                                                                           << k % 2 * 16;
            return;
        }
        const float largest = largest_of(row, depth_);
        scales_[at] = largest / 127;
        for (int64_t k = 0; k < depth_; ++k) {
            const int value = largest > 0 ? static_cast<int>(__builtin_rintf(row[k] / largest * 127)) : 0;
            bytes_of(block)[((k / 4 * block.columns + column) * width<float> + lane) * 4 + k % 4] =
                static_cast<int8_t>(value);
            shifts_[at] += ROW_SHIFT * value;
        }
    }

    // sums[c] += row · this block. `bytes` is the same row as integers, for int8.
    void add(const Block& block, const float* row, const ByteRow& bytes, Vec<float>* sums) const {
        if (precision_ == Precision::bf16) {
            const uint32_t* panel = pairs_of(block);
            return by_columns(block.columns, [&]<int C>() {
                const auto column = [&](int64_t k, int c) {
                    const Pairs pairs = *reinterpret_cast<const Pairs*>(panel + (k / 2 * C + c) * width<float>);
                    return std::bit_cast<Vec<float>>(k % 2 ? pairs & 0xffff0000u : pairs << 16);
                };
                multiply_one<float, C>(row, depth_, column, sums);
            });
        }
        Int products[tile_columns] = {};
        by_columns(
            block.columns, [&]<int C>() { ADD_BYTES<C>(bytes_of(block), words_, bytes.values.get(), products); });
        for (int c = 0; c < block.columns; ++c) {
            const int64_t at = (block.offset + c) * width<float>;
            Int shift;
            __builtin_memcpy(&shift, shifts_.get() + at, sizeof(shift));
            sums[c] +=
                __builtin_convertvector(products[c] - shift, Vec<float>) * load(scales_.get() + at) * bytes.scale;
        }
    }

private:
    static uint32_t rounded(float value) {  // to the nearest, ties to even
        const uint32_t bits = std::bit_cast<uint32_t>(value);
        return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }
    uint32_t* pairs_of(const Block& block) const { return pairs_.get() + block.offset * width<float> * words_; }
    int8_t* bytes_of(const Block& block) const { return bytes_.get() + block.offset * VECTOR_BYTES * words_; }

    int64_t depth_ = 0, words_ = 0;  // a word is two k of bf16, or four of int8
    Precision precision_ = Precision::full;
    Scratch<uint32_t> pairs_;  // [block][k / 2][column][lane]
    Scratch<int8_t> bytes_;    // [block][k / 4][column][lane][k % 4]
    Scratch<float> scales_;    // by column
    Scratch<int32_t> shifts_;  // ROW_SHIFT Σ q, by column
};

}  // namespace seriatim::SERIATIM_TARGET
