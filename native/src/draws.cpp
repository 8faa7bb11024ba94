// Sixteen generators in parallel, so that the compiler can use vectors. Each number of 32 bits gives two flags.
#include "draws.h"

namespace seriatim {
namespace {

constexpr int lanes = 16;

// xoshiro128++ (Blackman & Vigna 2021), seeded by splitmix64 (Steele 2014).
struct Generator {
    uint32_t s[4][lanes];

    explicit Generator(uint64_t seed) {
        for (auto& word : s)
            for (uint32_t& lane : word) {
                uint64_t z = seed += 0x9e3779b97f4a7c15;
                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
                z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
                lane = static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
            }
    }

    static uint32_t rotated(uint32_t x, int by) { return x << by | x >> (32 - by); }

    void next(uint32_t (&words)[lanes]) {
        for (int lane = 0; lane < lanes; ++lane) {
            uint32_t &a = s[0][lane], &b = s[1][lane], &c = s[2][lane], &d = s[3][lane];
            words[lane] = rotated(a + d, 7) + a;
            const uint32_t shifted = b << 9;
            c ^= a, d ^= b, b ^= c, a ^= d;
            c ^= shifted, d = rotated(d, 11);
        }
    }
};

void draw_some(Generator& generator, uint32_t below, bool* to) {
    uint32_t words[lanes];
    generator.next(words);
    for (int lane = 0; lane < lanes; ++lane) {
        to[lane] = (words[lane] & 0xffff) < below;
        to[lanes + lane] = words[lane] >> 16 < below;
    }
}

}  // namespace

void draw(uint64_t seed, uint32_t below, int64_t count, bool* to) {
    Generator generator(seed);
    constexpr int64_t together = 2 * lanes;
    const int64_t whole = count / together * together;
    for (int64_t at = 0; at < whole; at += together) draw_some(generator, below, to + at);
    bool rest[together];
    draw_some(generator, below, rest);
    for (int64_t at = whole; at < count; ++at) to[at] = rest[at - whole];
}

}  // namespace seriatim
