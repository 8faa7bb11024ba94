// The matrix tiles of AMX. GCC's own functions do not declare to the compiler that the instructions access memory; these do.
//
// A thread configures its eight tiles of 16 rows of 64 bytes before it uses them, and releases them afterwards.
#pragma once

#include <cstdint>

namespace seriatim::SERIATIM_TARGET {

struct Amx {
    static void configure() {
        struct alignas(64) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t bytes_of_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } const shape;
        static_assert(sizeof(shape) == 64);
        asm volatile("ldtilecfg %0" : : "m"(shape) : "memory");
    }
    static void release() { asm volatile("tilerelease" : : : "memory"); }

    // 16 rows of 64 bytes, `row_bytes` bytes apart.
    template <int N> static void load(const void* from, int64_t row_bytes) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_bytes), "i"(N) : "memory");
    }
    template <int N> static void store(void* to, int64_t row_bytes) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row_bytes), "i"(N) : "memory");
    }
    // Sums[row][lane] += Σ over the pairs of Rows[row] and Panel[·][lane]. Tiny numbers are taken for 0.
    template <int Sums, int Rows, int Panel> static void multiply_add() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(Rows), "i"(Panel) : "memory");
    }
};

}  // namespace seriatim::SERIATIM_TARGET
