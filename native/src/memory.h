// Scratch memory that is used again: fresh pages cost more than what is computed in them.
#pragma once

#include <cstddef>

namespace seriatim {

void* lease_bytes(size_t bytes);  // aligned to 64 at least; not cleared; throws std::bad_alloc
void give_back(void* memory, size_t bytes);

long l2_bytes();  // of one core

}  // namespace seriatim
