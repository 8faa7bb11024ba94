// 64-bit ARM: 32 registers of 16 bytes. Every such processor has NEON.
#define SERIATIM_TARGET neon
#define VECTOR_BYTES 16
#define TILE_ROWS 6

#include "../target.h"
