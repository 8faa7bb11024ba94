#include "threads.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seriatim {

namespace {

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// How this thread's arithmetic rounds, and whether it takes numbers too small for a full mantissa (below 1e-38 in float32) for 0.
#if defined(__x86_64__)
using Control = unsigned;
constexpr Control flush = 0x8040;  // FTZ: such results; DAZ: such operands
Control control() { return _mm_getcsr(); }
void control(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
using Control = uint64_t;
constexpr Control flush = Control{1} << 24;  // FZ: both
Control control() {
    Control value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
// "memory": no arithmetic on what is read from memory moves across.
void control(Control value) { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
using Control = unsigned;
constexpr Control flush = 0;
Control control() { return 0; }
void control(Control) {}
#endif

// While it lives, this thread takes such numbers for 0: gates that are all but shut make them, and processors take a hundred times
// as long over them.
class FlushTiny {
public:
    FlushTiny() : before_(control()) { control(before_ | flush); }
    ~FlushTiny() { control(before_); }
    FlushTiny(const FlushTiny&) = delete;

private:
    const Control before_;
};

// A fork leaves the child with the calling thread alone.
std::atomic<bool> forked{false};

// The pool of GNU or LLVM OpenMP that PyTorch brought with it, reached through its symbols: nothing is linked.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*thread)() = nullptr;
    int (*threads)() = nullptr;
    int (*inside)() = nullptr;
    std::string name = "own";
    explicit operator bool() const { return parallel && thread && threads && inside; }
};

#if defined(__linux__)
struct Search {
    std::string found;
    bool torch = false;
};

int visit(dl_phdr_info* info, size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    const std::string path = info->dlpi_name;
    const auto file = path.substr(path.rfind('/') + 1);
    if (file.starts_with("libtorch_cpu")) search.torch = true;
    const bool openmp = file.starts_with("libgomp") || file.starts_with("libiomp5") || file.starts_with("libomp");
    if (openmp && (search.found.empty() || path.find("/torch/") != std::string::npos)) search.found = path;
    return 0;
}

int count_loads(dl_phdr_info* info, size_t, void* data) {
    *static_cast<unsigned long long*>(data) = info->dlpi_adds;
    return 1;
}

OpenMP find_openmp() {
    OpenMP pool;
    Search search;
    dl_iterate_phdr(visit, &search);
    if (!search.torch || search.found.empty()) return pool;
    void* library = dlopen(search.found.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return pool;
    pool.parallel = reinterpret_cast<decltype(pool.parallel)>(dlsym(library, "GOMP_parallel"));
    pool.thread = reinterpret_cast<decltype(pool.thread)>(dlsym(library, "omp_get_thread_num"));
    pool.threads = reinterpret_cast<decltype(pool.threads)>(dlsym(library, "omp_get_num_threads"));
    pool.inside = reinterpret_cast<decltype(pool.inside)>(dlsym(library, "omp_in_parallel"));
    pool.name = "OpenMP (" + search.found + ")";
    return pool;
}

// Looked for again only when libraries were loaded since: PyTorch may come after us.
const OpenMP& openmp() {
    static std::mutex guard;
    static unsigned long long seen = 0;
    static OpenMP pool;
    static std::atomic<bool> settled{false};
    if (settled.load(std::memory_order_acquire)) return pool;
    const std::lock_guard lock(guard);
    unsigned long long loads = 0;
    dl_iterate_phdr(count_loads, &loads);
    if (!settled && loads != seen) {
        seen = loads;
        if (auto found = find_openmp()) {
            pool = found;
            settled.store(true, std::memory_order_release);
        }
    }
    return pool;
}

[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#else
const OpenMP& openmp() {
    static const OpenMP none;
    return none;
}
#endif

// Threads that wait for work. One team at a time; who comes while it is busy works alone.
class Pool {
public:
    static Pool& instance() {
        static auto* pool = new Pool;  // never destroyed: its threads outlive main
        return *pool;
    }

    void run(int threads, Work work, const void* data) {
        std::unique_lock busy(one_at_a_time_, std::try_to_lock);
        if (!busy) {
            Team alone(1);
            const FlushTiny flushed;
            return work(data, alone, 0);
        }
        Team team(threads);
        {
            const std::lock_guard lock(guard_);
            while (static_cast<int>(workers_.size()) < threads - 1)
                workers_.emplace_back(
                    [this, me = static_cast<int>(workers_.size()) + 1, seen = round_] { serve(me, seen); });
            team_ = &team;
            work_ = work;
            data_ = data;
            members_ = threads;
            pending_ = threads - 1;
            ++round_;
        }
        wake_.notify_all();
        {
            const FlushTiny flushed;
            work(data, team, 0);
        }
        std::unique_lock lock(guard_);
        done_.wait(lock, [this] { return pending_ == 0; });
    }

private:
    void serve(int me, uint64_t seen) {
        std::unique_lock lock(guard_);
        for (;;) {
            wake_.wait(lock, [&] { return round_ != seen; });
            seen = round_;
            if (me >= members_) continue;  // and the team may be gone already
            Team& team = *team_;
            const Work work = work_;
            const void* data = data_;
            lock.unlock();
            {
                const FlushTiny flushed;
                work(data, team, me);
            }
            lock.lock();
            if (--pending_ == 0) done_.notify_one();
        }
    }

    std::mutex one_at_a_time_, guard_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    Team* team_ = nullptr;
    Work work_ = nullptr;
    const void* data_ = nullptr;
    int members_ = 0, pending_ = 0;
    uint64_t round_ = 0;
};

// OpenMP decides how many come (fewer inside another parallel region), so the first makes the team.
struct Call {
    const OpenMP& pool;
    Work work;
    const void* data;
    std::atomic<Team*> team{nullptr};
    std::atomic<int> left{0};
};

void enter(void* data) {
    auto& call = *static_cast<Call*>(data);
    const int me = call.pool.thread(), size = call.pool.threads();
    const FlushTiny flushed;
    if (me == 0) {
        Team team(size);
        call.team.store(&team, std::memory_order_release);
        call.work(call.data, team, 0);
        while (call.left.load(std::memory_order_acquire) != size - 1) pause();  // `team` must outlive its last reader
    } else {
        Team* team;
        while (!(team = call.team.load(std::memory_order_acquire))) pause();
        call.work(call.data, *team, me);
        call.left.fetch_add(1, std::memory_order_release);
    }
}

}  // namespace

void Team::barrier() {
    if (size == 1) return;
    const int now = round.load(std::memory_order_relaxed);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
        arrived.store(0, std::memory_order_relaxed);
        round.store(now + 1, std::memory_order_release);
        return;
    }
    for (int spins = 0; round.load(std::memory_order_acquire) == now; ++spins)
        if (spins < 10000) pause();
        else std::this_thread::yield();
}

void in_parallel(int threads, Work work, const void* data) {
    if (threads > 1 && !forked) {
        if (const OpenMP& pool = openmp(); pool && !pool.inside()) {
            Call call{pool, work, data};
            pool.parallel(enter, &call, static_cast<unsigned>(threads), 0);
            return;
        } else if (!pool) {
            return Pool::instance().run(threads, work, data);
        }
    }
    Team alone(1);
    const FlushTiny flushed;
    work(data, alone, 0);
}

const char* pool_name() { return openmp().name.c_str(); }

}  // namespace seriatim
