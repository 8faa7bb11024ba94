// Which target runs: an ordered table, and an override that fails loudly.
#include <cstdlib>
#include <stdexcept>

#include "engine.h"

namespace seriatim {

#ifdef SERIATIM_HAS_AVX512
Target avx512_target();
#endif
#ifdef SERIATIM_HAS_AVX2
Target avx2_target();
#endif
#ifdef SERIATIM_HAS_NEON
Target neon_target();
#endif
Target portable_target();

namespace {

const std::vector<Target>& compiled() {  // fastest first
    static const std::vector<Target> all{
#ifdef SERIATIM_HAS_AVX512
        avx512_target(),
#endif
#ifdef SERIATIM_HAS_AVX2
        avx2_target(),
#endif
#ifdef SERIATIM_HAS_NEON
        neon_target(),
#endif
        portable_target()};
    return all;
}

}  // namespace

std::vector<const Target*> targets() {
    std::vector<const Target*> found;
    for (const Target& one : compiled())
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
