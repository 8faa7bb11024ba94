#include "threads.h"

#include <mutex>
#include <string>
#include <string_view>
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

// A thread that waits longer than some 0.1 ms sleeps. A thread that yields instead loses its turn to other programs' threads.
constexpr int most_spins = 10000;

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// The control register of a thread's arithmetic, and its bits that replace denormal numbers (below 1e-38 in float32) by 0.
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

// While it exists, this thread replaces denormal numbers by 0. Nearly closed gates produce them, and processors need a hundred times as
// long for them.
class FlushTiny {
public:
    FlushTiny() : before_(control()) { control(before_ | flush); }
    ~FlushTiny() { control(before_); }
    FlushTiny(const FlushTiny&) = delete;

private:
    const Control before_;
};

// After a fork the child has only the calling thread.
std::atomic<bool> forked{false};

// The pool of GNU or LLVM OpenMP that PyTorch uses. It is found through its symbols; nothing is linked.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*thread)();
    int (*threads)();
    int (*inside)();
};

#if defined(__linux__)
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });

struct Search {
    unsigned long long seen, loads = 0;  // number of libraries ever loaded: at the last search, and now
    std::string torch = "";
};

int visit(dl_phdr_info* info, size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    const std::string_view path = info->dlpi_name;
    search.loads = info->dlpi_adds;
    if (path.substr(path.rfind('/') + 1).starts_with("libtorch_cpu")) search.torch = path;
    return search.loads == search.seen;
}

// The pool, or null. PyTorch may be loaded after us, so the search is repeated when new libraries were loaded.
const OpenMP* openmp() {
    static std::atomic<const OpenMP*> found{nullptr};
    static std::mutex guard;
    static Search last{0};
    if (const OpenMP* pool = found.load(std::memory_order_acquire)) return pool;
    const std::lock_guard lock(guard);
    Search search{last.loads};
    dl_iterate_phdr(visit, &search);
    last = search;
    if (search.torch.empty()) return found;
    // Its symbols include the symbols of the libraries that it needs.
    void* torch = dlopen(search.torch.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    const auto symbol = [&]<class F>(F*& to, const char* name) {
        to = torch ? reinterpret_cast<F*>(dlsym(torch, name)) : nullptr;
        return to != nullptr;
    };
    static OpenMP pool;
    if (symbol(pool.parallel, "GOMP_parallel") && symbol(pool.thread, "omp_get_thread_num") &&
        symbol(pool.threads, "omp_get_num_threads") && symbol(pool.inside, "omp_in_parallel"))
        found.store(&pool, std::memory_order_release);
    return found;
}
#else
const OpenMP* openmp() { return nullptr; }
#endif

// The work of a team, and the state of its barrier.
struct Job {
    const Work work;
    const void* const data;
    Team::Meeting meeting;
    void run(int size, int me) {
        const FlushTiny flushed;
        Team team(size, meeting);
        work(data, team, me);
    }
};

// Threads that wait for work, one job at a time. Every thread looks at every job, and does nothing if the job needs fewer threads.
class Pool {
public:
    // Returns false if the pool is busy.
    bool run(int threads, Job& job) {
        const std::unique_lock free(one_at_a_time_, std::try_to_lock);
        if (!free) return false;
        while (static_cast<int>(workers_.size()) < threads - 1)
            workers_.emplace_back(&Pool::serve, this, static_cast<int>(workers_.size()) + 1, round_.load());
        job_ = &job;
        threads_ = threads;
        pending_ = static_cast<int>(workers_.size());
        ++round_;
        round_.notify_all();
        job.run(threads, 0);
        while (const int left = pending_) pending_.wait(left);
        return true;
    }

private:
    void serve(int me, unsigned round) {
        for (;; ++round) {
            round_.wait(round);
            if (me < threads_) job_->run(threads_, me);
            if (--pending_ == 0) pending_.notify_one();
        }
    }

    std::mutex one_at_a_time_;
    std::vector<std::thread> workers_;
    Job* job_ = nullptr;
    int threads_ = 0;
    std::atomic<unsigned> round_{0};  // jobs so far
    std::atomic<int> pending_{0};     // workers that have not finished this job
};

Pool& own = *new Pool;  // never destroyed: its threads outlive main

}  // namespace

void Team::barrier() {
    if (size == 1) return;
    const int now = meeting_.round.load(std::memory_order_relaxed);
    if (meeting_.arrived.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
        meeting_.arrived.store(0, std::memory_order_relaxed);
        meeting_.round.store(now + 1, std::memory_order_release);
        meeting_.round.notify_all();
        return;
    }
    for (int spins = 0; spins < most_spins; ++spins) {
        if (meeting_.round.load(std::memory_order_acquire) != now) return;
        pause();
    }
    meeting_.round.wait(now, std::memory_order_acquire);
}

void in_parallel(int threads, Work work, const void* data) {
    Job job{work, data, {}};
    const OpenMP* pool = threads > 1 && !forked ? openmp() : nullptr;
    if (pool && !pool->inside()) {
        const auto enter = [](void* call) {
            auto& [pool, job] = *static_cast<std::pair<const OpenMP*, Job*>*>(call);
            job->run(pool->threads(), pool->thread());  // OpenMP may give fewer threads
        };
        std::pair call{pool, &job};
        pool->parallel(enter, &call, static_cast<unsigned>(threads), 0);
    } else if (pool || threads == 1 || forked || !own.run(threads, job)) {
        job.run(1, 0);
    }
}

}  // namespace seriatim
