// Which target runs: an ordered table, and an override that fails loudly.
#include <cstdlib>
#include <stdexcept>

#include "engine.h"

namespace seriatim {

// Defined in targets/NAME.cpp. That file is compiled for processors that this one may not be, so nothing of it runs, not
// even to ask, before the processor was found fit.
#define TARGET(name)                                          \
    namespace name {                                          \
    template <class T>                                        \
    const Kernels<T>& kernels();                              \
    extern template const Kernels<float>& kernels<float>();   \
    extern template const Kernels<double>& kernels<double>(); \
    uint64_t digest(const void* memory, int64_t bytes);       \
    }
TARGET(avx512)
TARGET(avx2)
TARGET(neon)
TARGET(portable)
#undef TARGET

namespace {

bool always() { return true; }
#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

constexpr Target compiled[] = {
// fastest first
#ifdef SERIATIM_HAS_AVX512
    {"avx512", has_avx512, avx512::kernels<float>, avx512::kernels<double>, avx512::digest},
#endif
#ifdef SERIATIM_HAS_AVX2
    {"avx2", has_avx2, avx2::kernels<float>, avx2::kernels<double>, avx2::digest},
#endif
#ifdef SERIATIM_HAS_NEON
    {"neon", always, neon::kernels<float>, neon::kernels<double>, neon::digest},
#endif
    {"portable", always, portable::kernels<float>, portable::kernels<double>, portable::digest},
};

}  // namespace

std::vector<const Target*> targets() {
    std::vector<const Target*> found;
    for (const Target& one : compiled)
        if (one.runs_here()) found.push_back(&one);
    return found;
}

const Target& target(const std::string& name) {
    std::string known;
    for (const Target* one : targets()) {
        if (one->name == name) return *one;
        known += known.empty() ? one->name : std::string(", ") + one->name;
    }
    throw std::invalid_argument("SERIATIM_TARGET: got '" + name + "', and this machine runs " + known);
}

const Target& target() {
    static const Target& fastest = *targets().front();
    const char* wanted = std::getenv("SERIATIM_TARGET");
    return wanted && *wanted ? target(std::string(wanted)) : fastest;
}

}  // namespace seriatim
