// Whatever the compiler makes of vectors of 16 bytes on any processor.
#define SERIATIM_TARGET portable
#define VECTOR_BYTES 16
#define TILE_ROWS 3

#include "../target.h"
