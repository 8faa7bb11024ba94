// The same as amx.h in plain C++: it holds everything above the tiles to the tests on processors without AMX. Whoever uses tiles
// that are not configured, or forgets to release them, is stopped.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace seriatim::SERIATIM_TARGET {

struct AmxSoftware {
    static void configure() { configured(false) = true; }
    static void release() { configured(true) = false; }

    template <int N> static void load(const void* from, int64_t row_bytes) {
        for (int row = 0; row < 16; ++row)
            std::memcpy(tile<N>()[row], static_cast<const char*>(from) + row * row_bytes, sizeof(uint32_t[16]));
    }
    template <int N> static void store(void* to, int64_t row_bytes) {
        for (int row = 0; row < 16; ++row)
            std::memcpy(static_cast<char*>(to) + row * row_bytes, tile<N>()[row], sizeof(uint32_t[16]));
    }
    template <int Sums, int Rows, int Panel> static void multiply_add() {
        auto &sums = tile<Sums>(), &rows = tile<Rows>(), &panel = tile<Panel>();
        for (int row = 0; row < 16; ++row)
            for (int lane = 0; lane < 16; ++lane) {
                float sum = std::bit_cast<float>(sums[row][lane]);
                for (int k = 0; k < 16; ++k)
                    sum += lower(rows[row][k]) * lower(panel[k][lane]) + upper(rows[row][k]) * upper(panel[k][lane]);
                sums[row][lane] = std::bit_cast<uint32_t>(sum);
            }
    }

private:
    using Tile = uint32_t[16][16];
    static float lower(uint32_t word) { return std::bit_cast<float>(word << 16); }
    static float upper(uint32_t word) { return std::bit_cast<float>(word & 0xffff0000); }
    static bool& configured(bool wanted) {
        thread_local bool now = false;
        if (now != wanted) std::abort();
        return now;
    }
    template <int N> static Tile& tile() {
        thread_local Tile one;
        configured(true);
        return one;
    }
};

}  // namespace seriatim::SERIATIM_TARGET
