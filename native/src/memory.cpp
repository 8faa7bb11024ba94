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

// Sanitizers see what lies beyond a block only if it is exactly as large as was asked for, and is not used again.
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

// Blocks given back, kept for the next lease: no more in all than twice what was ever leased at once, since forward and
// backward lease in turn.
class Shelf {
public:
    // Null if there is none of that size.
    void* take(size_t bytes) {
        const std::lock_guard lock(guard_);
        leased_ += bytes;
        most_ = std::max(most_, leased_);
        const auto fits = std::ranges::find(idle_, bytes, &Block::bytes);
        return fits == idle_.end() ? nullptr : remove(fits).memory;
    }
    // Returns those that are too many then: which have waited longest.
    std::vector<Block> put(Block block) {
        const std::lock_guard lock(guard_);
        leased_ -= block.bytes;
        idle_bytes_ += block.bytes;
        idle_.push_back(block);
        std::vector<Block> surplus;
        while (!idle_.empty() && (exact || idle_bytes_ + leased_ > 2 * most_)) surplus.push_back(remove(idle_.begin()));
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
    size_t leased_ = 0, most_ = 0, idle_bytes_ = 0;
};

Shelf& shelf = *new Shelf;  // never destroyed: leases may outlive static objects

}  // namespace

void* lease_bytes(size_t wanted) {
    const size_t bytes = rounded(wanted);
    if (void* used = shelf.take(bytes)) return used;
    void* fresh = ::operator new(bytes, std::align_val_t{page(bytes)});
#if defined(__linux__)
    if (bytes >= huge_page) madvise(fresh, bytes, MADV_HUGEPAGE);
#endif
    return fresh;
}

void give_back(void* memory, size_t bytes) {
    for (const Block& one : shelf.put({memory, rounded(bytes)}))
        ::operator delete(one.memory, std::align_val_t{page(one.bytes)});
}

void expect([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
    constexpr size_t fresh = size_t{32} << 20;  // what the C library does not keep for later
    if (bytes < fresh) return;
    const auto begin = reinterpret_cast<uintptr_t>(memory), end = begin + bytes;
    const uintptr_t first = (begin + huge_page - 1) / huge_page * huge_page;
    madvise(reinterpret_cast<void*>(first), end / huge_page * huge_page - first, MADV_HUGEPAGE);  // may be refused
#endif
}

long l2_bytes() {
    static const long found = [] {
#if defined(_SC_LEVEL2_CACHE_SIZE)
        return sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
        return 0L;
#endif
    }();
    return found > 0 ? found : 1L << 20;
}

}  // namespace seriatim
