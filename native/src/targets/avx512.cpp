// x86 with AVX-512 (F, BW, DQ, VL): 32 registers of 64 bytes.
#include "../avx512.h"

#define SERIATIM_TARGET avx512
#define TILE_ROWS 6
#define ADD_BYTES add_bytes

#include "../target.h"

namespace seriatim::avx512 {

namespace {

// With VNNI one instruction computes four products and their sum.
template <int C> __attribute__((target("avx512vnni"))) void add_bytes_vnni(
    const int8_t* panel, int64_t quads, const uint8_t* row, Int* sums) {
    __m512i even[C], odd[C];
    for (int c = 0; c < C; ++c) even[c] = odd[c] = _mm512_setzero_si512();
    const auto four = [&](int64_t quad) __attribute__((target("avx512vnni"))) {
        int32_t bytes;
        __builtin_memcpy(&bytes, row + 4 * quad, sizeof(bytes));
        return _mm512_set1_epi32(bytes);
    };
    int64_t quad = 0;
    for (; quad + 1 < quads; quad += 2, panel += 2 * C * VECTOR_BYTES) {
        const __m512i left = four(quad), right = four(quad + 1);
        for (int c = 0; c < C; ++c) {
            even[c] = _mm512_dpbusd_epi32(even[c], left, _mm512_loadu_si512(panel + c * VECTOR_BYTES));
            odd[c] = _mm512_dpbusd_epi32(odd[c], right, _mm512_loadu_si512(panel + (C + c) * VECTOR_BYTES));
        }
    }
    for (int c = 0; c < C; ++c) {
        if (quad < quads)
            even[c] = _mm512_dpbusd_epi32(even[c], four(quad), _mm512_loadu_si512(panel + c * VECTOR_BYTES));
        sums[c] += std::bit_cast<Int>(_mm512_add_epi32(even[c], odd[c]));
    }
}

}  // namespace

template <int C> void add_bytes(const int8_t* panel, int64_t quads, const uint8_t* row, Int* sums) {
    static const bool vnni = __builtin_cpu_supports("avx512vnni");
    (vnni ? add_bytes_vnni<C> : add_bytes_portable<C>)(panel, quads, row, sums);
}

}  // namespace seriatim::avx512
