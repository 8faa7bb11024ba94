#include "watch.h"

#include <algorithm>

#include "threads.h"

namespace seriatim {

// each(region's number), shared among threads where there is enough to read.
template <class Each>
void Watch::every(int threads, const Each& each) const {
    constexpr int64_t worth_a_team = 1 << 20;
    in_parallel(bytes_ < worth_a_team ? 1 : threads, [&](Team& team, int me) {
        const size_t count = regions_.size(), end = count * (me + 1) / team.size;
        for (size_t at = count * me / team.size; at < end; ++at) each(at);
    });
}

Watch::Watch(const std::vector<Stretch>& arrays, int threads) : target_(target()) {
    constexpr int64_t region = 1 << 12;
    for (const Stretch& array : arrays) {
        starts_.push_back(regions_.size());
        bytes_ += array.bytes;
        for (int64_t at = 0; at < array.bytes; at += region)
            regions_.push_back({{array.memory + at, std::min(region, array.bytes - at)}, 0});
    }
    starts_.push_back(regions_.size());
    every(threads, [&](size_t at) {
        Region& one = regions_[at];
        one.digest = target_.digest(one.stretch.memory, one.stretch.bytes);
    });
}

bool Watch::whole(int threads) const {
    std::atomic<bool> all{true};
    every(threads, [&](size_t at) {
        if (all.load(std::memory_order_relaxed) && !same(regions_[at])) all.store(false, std::memory_order_relaxed);
    });
    return all;
}

bool Watch::some() const {
    const size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
    for (size_t array = 0; array + 1 < starts_.size(); ++array) {
        const size_t first = starts_[array], count = starts_[array + 1] - first;
        if (count && !same(regions_[first + turn % count])) return false;
    }
    return true;
}

}  // namespace seriatim
