// x86 with AMX (TILE, BF16) and AVX-512: products of bf16 factors on matrix tiles. All else of this target is avx512's.
#include "../avx512.h"

#define SERIATIM_TARGET amx
#define TILE_ROWS 32
#define MATRIX_TILES Amx

#include "../amx.h"
#include "../target.h"
