// x86 with AVX-512 (F, BW, DQ, VL): 32 registers of 64 bytes.
#include <immintrin.h>

#define SERIATIM_TARGET avx512
#define VECTOR_BYTES 64
#define TILE_ROWS 6

#define RECIPROCAL_FLOAT(a) _mm512_maskz_rcp14_ps(0xffff, a)
#define STORE_PAST(to, values) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), std::bit_cast<__m512i>(values))
#define ADD_BYTES add_bytes

#include "../engine.h"

namespace seriatim::avx512 {

typedef int32_t Sums __attribute__((vector_size(VECTOR_BYTES)));
void add_bytes(const int8_t* panel, int64_t quads, int columns, const uint8_t* row, Sums* sums);

}  // namespace seriatim::avx512

#include "../target.h"

namespace seriatim::avx512 {

namespace {

// With VNNI four products and their sum are one instruction.
__attribute__((target("avx512vnni"))) void add_bytes_vnni(const int8_t* panel, int64_t quads, int columns, const uint8_t* row, Sums* sums) {
    __m512i even[tile_columns], odd[tile_columns];
    for (int c = 0; c < tile_columns; ++c) even[c] = odd[c] = _mm512_setzero_si512();
    for (int64_t quad = 0; quad < quads; ++quad) {
        int32_t four;
        __builtin_memcpy(&four, row + 4 * quad, sizeof(four));
        const __m512i left = _mm512_set1_epi32(four);
        auto& into = quad % 2 ? odd : even;
        for (int c = 0; c < tile_columns; ++c)
            if (c < columns) into[c] = _mm512_dpbusd_epi32(into[c], left, _mm512_loadu_si512(panel + (quad * columns + c) * VECTOR_BYTES));
    }
    for (int c = 0; c < columns; ++c) sums[c] += std::bit_cast<Sums>(_mm512_add_epi32(even[c], odd[c]));
}

}  // namespace

void add_bytes(const int8_t* panel, int64_t quads, int columns, const uint8_t* row, Sums* sums) {
    static const bool vnni = __builtin_cpu_supports("avx512vnni");
    (vnni ? add_bytes_vnni : add_bytes_plainly)(panel, quads, columns, row, sums);
}

}  // namespace seriatim::avx512

namespace seriatim {

template const Kernels<float>& avx512::kernels<float>();
template const Kernels<double>& avx512::kernels<double>();

}  // namespace seriatim
