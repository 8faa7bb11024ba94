#include "fingerprint.h"

#include <algorithm>

#include "threads.h"

namespace seriatim {

// work(number of the region), split among threads if there is enough to read.
template <class Work> void MemoryFingerprint::for_each_region(int threads, const Work& work) const {
    constexpr int64_t team_minimum = 1 << 20;
    in_parallel(bytes_ < team_minimum ? 1 : threads, [&](Team& team, int me) {
        const size_t count = regions_.size(), end = count * (me + 1) / team.size;
        for (size_t at = count * me / team.size; at < end; ++at) work(at);
    });
}

MemoryFingerprint::MemoryFingerprint(const std::vector<MemoryRange>& arrays, int threads) : target_(target()) {
    constexpr int64_t region_bytes = 1 << 12;
    for (const MemoryRange& array : arrays) {
        starts_.push_back(regions_.size());
        bytes_ += array.bytes;
        for (int64_t at = 0; at < array.bytes; at += region_bytes)
            regions_.push_back({{array.memory + at, std::min(region_bytes, array.bytes - at)}, 0});
    }
    starts_.push_back(regions_.size());
    for_each_region(threads, [&](size_t at) {
        Region& region = regions_[at];
        region.hash = target_.hash(region.range.memory, region.range.bytes);
    });
}

bool MemoryFingerprint::whole(int threads) const {
    std::atomic<bool> all{true};
    for_each_region(threads, [&](size_t at) {
        if (all.load(std::memory_order_relaxed) && !same(regions_[at])) all.store(false, std::memory_order_relaxed);
    });
    return all;
}

bool MemoryFingerprint::some() const {
    const size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
    for (size_t array = 0; array + 1 < starts_.size(); ++array) {
        const size_t first = starts_[array], count = starts_[array + 1] - first;
        if (count && !same(regions_[first + turn % count])) return false;
    }
    return true;
}

}  // namespace seriatim
