// A hash of memory, as fast as reading it.
#pragma once

#include "scratch.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

// Every lane adds the words that it reads and rotates, on two levels. After a different word a lane stays different, unless a later
// word undoes it by chance (2⁻⁶⁴). There are two sets of lanes, because each step of a lane waits for the one before.
uint64_t hash(const void* memory, int64_t bytes) {
    typedef uint64_t Words __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint64_t Loose __attribute__((vector_size(VECTOR_BYTES), aligned(1), may_alias));
    constexpr int64_t stride = 2 * VECTOR_BYTES;
    Words once[2] = {}, twice[2] = {};
    const auto take = [&](const char* from) {
        for (int set = 0; set < 2; ++set) {
            const Words sum = once[set] + *reinterpret_cast<const Loose*>(from + set * VECTOR_BYTES);
            once[set] = sum << 17 | sum >> 47;
            const Words sums = twice[set] + once[set];
            twice[set] = sums << 29 | sums >> 35;
        }
    };
    const char* from = static_cast<const char*>(memory);
    for (; bytes >= stride; bytes -= stride, from += stride) take(from);
    char rest[stride] = {};
    copy(from, bytes, rest);
    take(rest);
    uint64_t all = 0;
    for (const Words& lanes : {once[0], once[1], twice[0], twice[1]})
        for (int64_t lane = 0; lane < VECTOR_BYTES / 8; ++lane) {
            all = (all ^ lanes[lane]) * 0x9e3779b97f4a7c15u;
            all ^= all >> 32;
        }
    return all;
}

}  // namespace seriatim::SERIATIM_TARGET
