// The matrix tiles of AMX in plain C++: slow, for tests on any processor. The portable target does the rest.
#define SERIATIM_TARGET amx_software
#define VECTOR_BYTES 64
#define TILE_ROWS 32
#define MATRIX_TILES AmxSoftware

#include "../amx_software.h"
#include "../target.h"
