// x86 with AMX (TILE, BF16) and AVX-512: only products of bf16 factors, on matrix tiles. The avx512 target does the rest.
#include "../avx512.h"

#define SERIATIM_TARGET amx
#define TILE_ROWS 32
#define MATRIX_TILES Amx

#include "../amx.h"
#include "../target.h"
