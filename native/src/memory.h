// Scratch memory that is used again: fresh pages cost more than what is computed in them.
#pragma once

#include <cstddef>

namespace seriatim {

void* lease_bytes(size_t bytes);  // aligned to 64 at least; not cleared; throws std::bad_alloc
void give_back(void* memory, size_t bytes);

// For whoever is about to write all of it. The system gives large memory page by page as it is first touched, which takes half as
// long with huge pages.
void expect(void* memory, size_t bytes);

long l2_bytes();  // of one core

}  // namespace seriatim
