// Zeros and ones by chance: what zoneout draws for every unit and step.
#pragma once

#include <cstdint>

namespace seriatim {

// to[0 … count - 1]: 1 with a probability of below / 65536, else 0. The same seed gives the same draws on any processor.
template <class T>
void draw(uint64_t seed, uint32_t below, int64_t count, T* to);

extern template void draw(uint64_t, uint32_t, int64_t, float*);
extern template void draw(uint64_t, uint32_t, int64_t, double*);

}  // namespace seriatim
