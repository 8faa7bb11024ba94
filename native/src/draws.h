// Random flags, for zoneout.
#pragma once

#include <cstdint>

namespace seriatim {

// Sets to[0 … count - 1] to true with probability below / 65536 each. A seed gives the same flags on every processor.
void draw(uint64_t seed, uint32_t below, int64_t count, bool* to);

}  // namespace seriatim
