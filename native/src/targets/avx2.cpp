// x86 with AVX2 and FMA: 16 registers of 32 bytes.
#define SERIATIM_TARGET avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 3
#define AT_MOST_FLOAT(a, bound) _mm256_min_ps(bound, a)  // the second operand if either is NaN
#define AT_LEAST_FLOAT(a, bound) _mm256_max_ps(bound, a)
#define STORE_NONTEMPORAL(to, values) \
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), std::bit_cast<__m256i>(values))
#define FENCE_NONTEMPORAL() _mm_sfence()

#include <immintrin.h>

#include "../target.h"
