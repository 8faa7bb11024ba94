#include "memory.h"

#include <algorithm>
#include <cstdint>
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

// A sanitizer detects an access beyond a block only if the block has exactly the requested size and is not reused.
#ifdef SERIATIM_SANITIZE
constexpr bool exact = true;
#else
constexpr bool exact = false;
#endif

size_t page(size_t bytes) { return bytes < huge_page ? 4096 : huge_page; }

size_t rounded(size_t bytes) { return exact ? bytes : (bytes + page(bytes) - 1) / page(bytes) * page(bytes); }

struct Block {
    void* memory;
    size_t bytes;
};

// Returned blocks, kept for later requests. All blocks together take at most twice the largest amount in use at one time, because
// forward and backward use different ones in turn.
class BlockCache {
public:
    // Returns null if there is no block of that size.
    void* take(size_t bytes) {
        const std::lock_guard lock(guard_);
        used_ += bytes;
        peak_ = std::max(peak_, used_);
        const auto fits = std::ranges::find(idle_, bytes, &Block::bytes);
        return fits == idle_.end() ? nullptr : remove(fits).memory;
    }
    // Returns the surplus: the blocks that were unused longest.
    std::vector<Block> put(Block block) {
        const std::lock_guard lock(guard_);
        used_ -= block.bytes;
        idle_bytes_ += block.bytes;
        idle_.push_back(block);
        std::vector<Block> surplus;
        while (!idle_.empty() && (exact || idle_bytes_ + used_ > 2 * peak_)) surplus.push_back(remove(idle_.begin()));
        return surplus;
    }

private:
    Block remove(std::vector<Block>::iterator at) {
        const Block block = *at;
        idle_bytes_ -= block.bytes;
        idle_.erase(at);
        return block;
    }

    std::mutex guard_;
    std::vector<Block> idle_;
    size_t used_ = 0, peak_ = 0, idle_bytes_ = 0;
};

BlockCache& cache = *new BlockCache;  // never destroyed: scratch memory may outlive static objects

}  // namespace

void* take_scratch(size_t wanted) {
    const size_t bytes = rounded(wanted);
    if (void* used = cache.take(bytes)) return used;
    void* fresh = ::operator new(bytes, std::align_val_t{page(bytes)});
#if defined(__linux__)
    if (bytes >= huge_page) madvise(fresh, bytes, MADV_HUGEPAGE);
#endif
    return fresh;
}

void return_scratch(void* memory, size_t bytes) {
    for (const Block& block : cache.put({memory, rounded(bytes)}))
        ::operator delete(block.memory, std::align_val_t{page(block.bytes)});
}

void announce_write([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
    constexpr size_t fresh = size_t{32} << 20;  // the C library returns blocks of this size to the system
    if (bytes < fresh) return;
    const auto begin = reinterpret_cast<uintptr_t>(memory), end = begin + bytes;
    const uintptr_t first = (begin + huge_page - 1) / huge_page * huge_page;
    madvise(reinterpret_cast<void*>(first), end / huge_page * huge_page - first, MADV_HUGEPAGE);  // may be refused
#endif
}

long l2_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
    static const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (bytes > 0) return bytes;
#endif
    return 1L << 20;
}

}  // namespace seriatim
