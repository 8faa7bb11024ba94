// x86 with AVX-512 (F, BW, DQ, VL): 32 registers of 64 bytes.
#include <immintrin.h>

#define SERIATIM_TARGET avx512
#define VECTOR_BYTES 64
#define TILE_ROWS 6

// 1 / a to 2⁻¹⁴, and one step of Newton's: to 1 ULP, in a third of a division's time.
#define RECIPROCAL_FLOAT(a) [](__m512 d) { \
    const __m512 guess = _mm512_maskz_rcp14_ps(0xffff, d); \
    return _mm512_mul_ps(guess, _mm512_fnmadd_ps(d, guess, _mm512_set1_ps(2.0f))); }(a)

#include "../target.h"

namespace seriatim {

template const Kernels<float>& avx512::kernels<float>();
template const Kernels<double>& avx512::kernels<double>();

}  // namespace seriatim
