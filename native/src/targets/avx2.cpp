// x86 with AVX2 and FMA: 16 registers of 32 bytes.
#define SERIATIM_TARGET avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 3

#include "../target.h"

namespace seriatim {

Target avx2_target() {
    return {"avx2", [] { return bool(__builtin_cpu_supports("avx2")) && __builtin_cpu_supports("fma"); },
            avx2::kernels<float>, avx2::kernels<double>};
}

}  // namespace seriatim
