// Teams of threads: PyTorch's own OpenMP pool if it is in the process, otherwise a small pool of ours.
#pragma once

#include <atomic>

namespace seriatim {

// A team of threads that run the same function.
class Team {
public:
    struct Meeting { std::atomic<int> arrived{0}, round{0}; };
    [[gnu::always_inline]] Team(int size, Meeting& meeting) : size(size), meeting_(meeting) {}
    const int size;
    // Waits until every thread of the team has arrived: spins for some 0.1 ms, then sleeps.
    void barrier();

private:
    Meeting& meeting_;
};

// Runs work(data, team, 0 … n - 1) on n ≤ `threads` threads, including the caller's, and returns when all are done. n is 1 in a
// forked process, where the threads of the pool do not exist. `work` must not throw.
using Work = void (*)(const void* data, Team&, int me);
void in_parallel(int threads, Work work, const void* data);

template <class F> void in_parallel(int threads, const F& work) {
    in_parallel(threads, [](const void* data, Team& team, int me) { (*static_cast<const F*>(data))(team, me); }, &work);
}

}  // namespace seriatim
