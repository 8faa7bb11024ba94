// The choice of the target: an ordered table, and an override that fails with an error.
#include <cstdlib>
#include <stdexcept>

#include "engine.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace seriatim {

// Defined in targets/NAME.cpp. That file may use instructions that this processor does not have, so none of its code runs before the
// processor was checked.
#define TARGET(name)                                          \
    namespace name {                                          \
    template <class T> const Kernels<T>& kernels();           \
    uint64_t hash(const void* memory, int64_t bytes);         \
    bool products_are_right(); /* only of targets for bf16 */ \
    }
TARGET(amx)
TARGET(amx_software)
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

// "used", or the reason why AMX is not used. A process must request AMX from the system once, before it starts threads.
std::string look_for_amx() {
#if !defined(SERIATIM_HAS_AMX)
    return "not compiled in";
#elif !defined(__linux__)
    return "not known on this system";
#else
    unsigned a, b, c, d = 0;
    constexpr unsigned tile = 1 << 24, bf16 = 1 << 22;
    if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile) == 0 || (d & bf16) == 0)
        return "not in this processor";
    constexpr long request_permission = 0x1023, of_tile_data = 18;
    if (syscall(SYS_arch_prctl, request_permission, of_tile_data)) return "refused by the system";
    return amx::products_are_right() ? "used" : "its products came out wrong here";
#endif
}
[[maybe_unused]] bool has_amx() { return amx_state() == "used"; }

#define KERNELS(name) name::kernels<float>, name::kernels<double>, name::hash
constexpr Target compiled[] = {
// fastest first
#ifdef SERIATIM_HAS_AMX
    {"amx", has_amx, KERNELS(avx512), amx::kernels<float>},
#endif
#ifdef SERIATIM_HAS_AVX512
    {"avx512", has_avx512, KERNELS(avx512)},
#endif
#ifdef SERIATIM_HAS_AVX2
    {"avx2", has_avx2, KERNELS(avx2)},
#endif
#ifdef SERIATIM_HAS_NEON
    {"neon", always, KERNELS(neon)},
#endif
    {"portable", always, KERNELS(portable)},
};

// Runs on any processor, but only if it is chosen by name.
constexpr Target for_tests{"amx-software", always, KERNELS(portable), amx_software::kernels<float>};
#undef KERNELS

}  // namespace

std::vector<const Target*> targets() {
    std::vector<const Target*> all;
    for (const Target& target : compiled)
        if (target.runs_here()) all.push_back(&target);
    return all;
}

const Target& target(const std::string& name) {
    std::string known;
    for (const Target* target : targets()) {
        if (target->name == name) return *target;
        known += known.empty() ? target->name : std::string(", ") + target->name;
    }
    if (name == for_tests.name) return for_tests;
    throw std::invalid_argument("SERIATIM_TARGET: got '" + name + "', and this machine runs " + known);
}

std::string amx_state() {
    static const std::string state = look_for_amx();
    return state;
}

const Target& target() {
    static const Target& fastest = *targets().front();
    const char* name = std::getenv("SERIATIM_TARGET");
    return name && *name ? target(std::string(name)) : fastest;
}

}  // namespace seriatim
