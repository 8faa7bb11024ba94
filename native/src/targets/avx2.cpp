// x86 with AVX2 and FMA: 16 registers of 32 bytes.
#define SERIATIM_TARGET avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 3
#define AT_MOST_FLOAT(a, bound) _mm256_min_ps(bound, a)  // where either is a NaN, the second
#define AT_LEAST_FLOAT(a, bound) _mm256_max_ps(bound, a)
#define STORE_PAST(to, values) _mm256_stream_si256(reinterpret_cast<__m256i*>(to), std::bit_cast<__m256i>(values))
#define STORES_PAST_DONE() _mm_sfence()

#include <immintrin.h>

#include "../target.h"
