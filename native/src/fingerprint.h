// Detects changes of arrays by hashes.
//
// Many calls use weights that were packed once, and PyTorch does not count every change of a tensor. So the bytes are compared, too,
// by one hash for each region of 4 kB.
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
