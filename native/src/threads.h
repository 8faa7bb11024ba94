// Teams of threads: PyTorch's own OpenMP pool when it is in the process, else a small pool of ours.
#pragma once

#include <atomic>

namespace seriatim {

// What a thread knows about its team. All of a team run the same function.
class Team {
public:
    struct Meeting {
        std::atomic<int> arrived{0}, round{0};
    };
    [[gnu::always_inline]] Team(int size, Meeting& meeting) : size(size), meeting_(meeting) {}
    const int size;
    // Waits until all have come: spins for some microseconds, then yields.
    void barrier();

private:
    Meeting& meeting_;
};

// Runs work(data, team, 0 … n - 1) on n ≤ threads threads, the caller's among them, and returns when all are done. n is 1
// in a process that was forked from one with threads, where the pool's threads do not exist. `work` must not throw.
using Work = void (*)(const void* data, Team&, int me);
void in_parallel(int threads, Work work, const void* data);

template <class F>
void in_parallel(int threads, const F& work) {
    in_parallel(threads, [](const void* data, Team& team, int me) { (*static_cast<const F*>(data))(team, me); }, &work);
}

}  // namespace seriatim
