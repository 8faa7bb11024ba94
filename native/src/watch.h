// Whether arrays still hold what they held when the watch began.
//
// Weights are packed once and used by many calls, and not every change to an array leaves a trace: so their bytes are compared,
// by digests of regions of 4 kB each.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine.h"

namespace seriatim {

struct Stretch {
    const char* memory;
    int64_t bytes;
};

class Watch {
public:
    Watch(const std::vector<Stretch>& arrays, int threads);  // the arrays must outlive it

    // Whether every byte is as it was.
    bool whole(int threads) const;
    // The same of one region of each array, the next one at every call: a change is seen after as many calls as an array has
    // regions, one to a whole array at once.
    bool some() const;

private:
    struct Region {
        Stretch stretch;
        uint64_t digest;
    };
    bool same(const Region& region) const {
        return target_.digest(region.stretch.memory, region.stretch.bytes) == region.digest;
    }
    template <class Each>
    void every(int threads, const Each& each) const;

    const Target& target_;
    int64_t bytes_ = 0;
    std::vector<Region> regions_;  // array by array
    std::vector<size_t> starts_;   // of each array's regions, and the end
    mutable std::atomic<size_t> turn_{0};
};

}  // namespace seriatim
