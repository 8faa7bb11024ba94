// Flags by chance: what zoneout draws for every unit and step.
#pragma once

#include <cstdint>

namespace seriatim {

// to[0 … count - 1]: whether a chance of below / 65536 came true. The same seed gives the same draws on any processor.
void draw(uint64_t seed, uint32_t below, int64_t count, bool* to);

}  // namespace seriatim
