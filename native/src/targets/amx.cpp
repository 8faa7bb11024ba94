// x86 with AMX (TILE, BF16) and AVX-512: products of bf16 factors on matrix tiles. All else of this target is avx512's.
#include <immintrin.h>

#define SERIATIM_TARGET amx
#define VECTOR_BYTES 64
#define TILE_ROWS 32
#define RECIPROCAL_FLOAT(a) _mm512_maskz_rcp14_ps(0xffff, a)
#define STORE_PAST(to, values) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), std::bit_cast<__m512i>(values))
#define STORES_PAST_DONE() _mm_sfence()
#define MATRIX_TILES Amx

#include "../amx.h"
#include "../target.h"
