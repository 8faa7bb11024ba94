// x86 with AVX2 and FMA: 16 registers of 32 bytes.
#define SERIATIM_TARGET avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 3

#include "../target.h"

namespace seriatim {

template const Kernels<float>& avx2::kernels<float>();
template const Kernels<double>& avx2::kernels<double>();

}  // namespace seriatim
