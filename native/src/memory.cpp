#include "memory.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace seriatim {

namespace {

constexpr size_t huge_page = size_t{2} << 20;

// Blocks given back, kept for the next lease: no more in all than twice what was ever leased at once, since forward and
// backward lease in turn.
struct Shelf {
    struct Block {
        void* memory;
        size_t bytes;
    };
    std::mutex guard;
    std::vector<Block> idle;
    size_t leased = 0, most = 0, idle_bytes = 0;
};

Shelf& shelf() {
    static auto* one = new Shelf;  // never destroyed: leases may outlive static objects
    return *one;
}

// Sanitizers see what lies beyond a block only if it is exactly as large as was asked for, and is not used again.
#ifdef SERIATIM_SANITIZE
constexpr bool exact = true;
#else
constexpr bool exact = false;
#endif

size_t rounded(size_t bytes) {
    if (exact) return bytes;
    const size_t unit = bytes < huge_page ? 4096 : huge_page;
    return (bytes + unit - 1) / unit * unit;
}

void* allocate(size_t bytes) {
    void* memory = ::operator new(bytes, std::align_val_t{bytes < huge_page ? 4096 : huge_page});
#if defined(__linux__)
    if (bytes >= huge_page) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void release(const Shelf::Block& block) {
    ::operator delete(block.memory, std::align_val_t{block.bytes < huge_page ? 4096 : huge_page});
}

}  // namespace

void* lease_bytes(size_t bytes) {
    bytes = rounded(bytes);
    auto& all = shelf();
    {
        const std::lock_guard lock(all.guard);
        all.leased += bytes;
        all.most = std::max(all.most, all.leased);
        const auto fits =
            std::find_if(all.idle.begin(), all.idle.end(), [&](const auto& block) { return block.bytes == bytes; });
        if (fits != all.idle.end()) {
            void* memory = fits->memory;
            all.idle_bytes -= bytes;
            all.idle.erase(fits);
            return memory;
        }
    }
    return allocate(bytes);
}

void give_back(void* memory, size_t bytes) {
    bytes = rounded(bytes);
    std::vector<Shelf::Block> surplus;
    {
        auto& all = shelf();
        const std::lock_guard lock(all.guard);
        all.leased -= bytes;
        all.idle.push_back({memory, bytes});
        all.idle_bytes += bytes;
        while ((exact || all.idle_bytes + all.leased > 2 * all.most) && !all.idle.empty()) {
            surplus.push_back(all.idle.front());  // the one that has waited longest
            all.idle_bytes -= all.idle.front().bytes;
            all.idle.erase(all.idle.begin());
        }
    }
    std::for_each(surplus.begin(), surplus.end(), release);
}

long l2_bytes() {
    static const long bytes = [] {
        long found = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
        found = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
        return found > 0 ? found : 1L << 20;
    }();
    return bytes;
}

}  // namespace seriatim
