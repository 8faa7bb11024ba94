// Reusable scratch memory. The first touch of fresh pages costs more than the computation in them.
#pragma once

#include <cstddef>

namespace seriatim {

void* take_scratch(size_t bytes);  // aligned to 64 bytes or more; not cleared; throws std::bad_alloc
void return_scratch(void* memory, size_t bytes);

// Call before writing all of a large array. The system provides memory page by page at the first touch; huge pages halve that time.
void announce_write(void* memory, size_t bytes);

long l2_bytes();  // the second cache of one core

}  // namespace seriatim
