// Detects changes of arrays by hashes.
//
// Many calls use weights that were packed once, and PyTorch does not count every change of a tensor. So the bytes are compared, too,
// by one hash for each region of 4 kB. Each target has its own hash function.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine.h"

namespace seriatim {

struct MemoryRange {
    const char* memory;
    int64_t bytes;
};

class MemoryFingerprint {
public:
    MemoryFingerprint(const std::vector<MemoryRange>& arrays, int threads);  // the arrays must outlive it

    // Returns true if no byte has changed.
    bool whole(int threads) const;
    // Checks one 4 kB region per array, the next one at each call. A change is found after one full cycle at the latest.
    bool some() const;

private:
    struct Region {
        MemoryRange range;
        uint64_t hash;
    };
    bool same(const Region& region) const {
        return target_.hash(region.range.memory, region.range.bytes) == region.hash;
    }
    template <class Work> void for_each_region(int threads, const Work& work) const;

    const Target& target_;
    int64_t bytes_ = 0;
    std::vector<Region> regions_;  // array after array
    std::vector<size_t> starts_;   // the first region of each array, and the end
    mutable std::atomic<size_t> turn_{0};
};

}  // namespace seriatim

#ifdef SERIATIM_TARGET
#include "scratch.h"
#include "vector.h"

namespace seriatim::SERIATIM_TARGET {

// A hash of memory, as fast as reading it. Every lane adds the words that it reads and rotates, on two levels. After a different word a lane stays different, unless a later
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
#endif
