// The definitions that targets with AVX-512 share.
#pragma once

#include <immintrin.h>

#define VECTOR_BYTES 64
#define RECIPROCAL_FLOAT(a) _mm512_maskz_rcp14_ps(0xffff, a)
#define AT_MOST_FLOAT(a, bound) _mm512_maskz_min_ps(0xffff, bound, a)  // the second operand if either is NaN
#define AT_LEAST_FLOAT(a, bound) _mm512_maskz_max_ps(0xffff, bound, a)
#define STORE_NONTEMPORAL(to, values) \
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), std::bit_cast<__m512i>(values))
#define FENCE_NONTEMPORAL() _mm_sfence()
