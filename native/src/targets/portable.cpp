// Whatever the compiler makes of vectors of 16 bytes on any processor.
#define SERIATIM_TARGET portable
#define VECTOR_BYTES 16
#define TILE_ROWS 3

#include "../target.h"

namespace seriatim {

template const Kernels<float>& portable::kernels<float>();
template const Kernels<double>& portable::kernels<double>();

}  // namespace seriatim
