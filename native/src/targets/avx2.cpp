// x86 with AVX2 and FMA: 16 registers of 32 bytes.
#define SERIATIM_TARGET avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 3
#define ADD_BYTES add_bytes
#define ROW_SHIFT 0
#define AT_MOST_FLOAT(a, bound) _mm256_min_ps(bound, a)  // the second operand if either is NaN
#define AT_LEAST_FLOAT(a, bound) _mm256_max_ps(bound, a)
#define STORE_NONTEMPORAL(to, values) \
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), std::bit_cast<__m256i>(values))
#define FENCE_NONTEMPORAL() _mm_sfence()

#include <immintrin.h>

#include "../target.h"

namespace seriatim::avx2 {

// |a| · (q with the sign of a): sums of two such products are at most 2 · 127², which 16 bits hold.
template <int C> void add_bytes(const int8_t* panel, int64_t quads, const uint8_t* row, Int* sums) {
    __m256i total[C];
    for (int c = 0; c < C; ++c) total[c] = std::bit_cast<__m256i>(sums[c]);
    for (int64_t quad = 0; quad < quads; ++quad, panel += C * VECTOR_BYTES) {
        int32_t bytes;
        __builtin_memcpy(&bytes, row + 4 * quad, sizeof(bytes));
        const __m256i a = _mm256_set1_epi32(bytes), size = _mm256_abs_epi8(a);
        for (int c = 0; c < C; ++c) {
            const __m256i q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + c * VECTOR_BYTES));
            const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(q, a));
            total[c] = _mm256_add_epi32(total[c], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
    for (int c = 0; c < C; ++c) sums[c] = std::bit_cast<Int>(total[c]);
}

}  // namespace seriatim::avx2
