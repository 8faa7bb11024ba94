// Whatever the compiler makes of vectors of 16 bytes on any processor.
#define SERIATIM_TARGET portable
#define VECTOR_BYTES 16
#define TILE_ROWS 3

#include "../target.h"

namespace seriatim {

Target portable_target() {
    return {"portable", [] { return true; }, portable::kernels<float>, portable::kernels<double>};
}

}  // namespace seriatim
