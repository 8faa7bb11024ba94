// What targets with AVX-512 share.
#pragma once

#include <immintrin.h>

#define VECTOR_BYTES 64
#define RECIPROCAL_FLOAT(a) _mm512_maskz_rcp14_ps(0xffff, a)
#define AT_MOST_FLOAT(a, bound) _mm512_maskz_min_ps(0xffff, bound, a)  // where either is a NaN, the second
#define AT_LEAST_FLOAT(a, bound) _mm512_maskz_max_ps(0xffff, bound, a)
#define STORE_PAST(to, values) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), std::bit_cast<__m512i>(values))
#define STORES_PAST_DONE() _mm_sfence()
