// The matrix tiles of AMX in plain C++, for tests on any processor: slow. All else of this target is the portable one's.
#define SERIATIM_TARGET amx_software
#define VECTOR_BYTES 64
#define TILE_ROWS 32
#define MATRIX_TILES AmxSoftware

#include "../amx_software.h"
#include "../target.h"
