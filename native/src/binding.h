// Arguments from Python, and their checks. An error names the argument, the value and what was expected.
//
// Arrays are addresses, 0 for None. The caller (seriatim/kernels/call_arrays.py) has checked dtypes, shapes and strides; here the presence
// and the alignment of each address are checked, and every number. A call is first built with pointers to void (Forward<void>) and
// becomes a call in float or double when its kernels are chosen.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <bit>
#include <stdexcept>
#include <utility>

#include "engine.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace seriatim {

using Address = uintptr_t;
using Addresses = std::vector<Address>;

inline void* at(Address address) { return reinterpret_cast<void*>(address); }

[[noreturn]] inline void refuse(const std::string& argument, const std::string& got, const std::string& wanted) {
    throw std::invalid_argument(argument + ": got " + got + ", wanted " + wanted);
}
[[noreturn]] inline void refuse(const std::string& argument, int64_t got, const std::string& wanted) {
    refuse(argument, std::to_string(got), wanted);
}
inline void check_count(const char* argument, size_t count, size_t wanted) {
    if (count != wanted) refuse(argument, std::to_string(count) + " arrays", std::to_string(wanted));
}
inline void check_threads(int threads) {
    if (threads < 1 || threads > 1024) refuse("threads", threads, "1 to 1024");
}
inline void check_lengths(const int64_t* lengths, int64_t rows, int64_t steps) {
    for (int64_t row = 0; lengths && row < rows; ++row)
        if (lengths[row] < 1 || lengths[row] > steps) refuse("lengths", lengths[row], "1 to " + std::to_string(steps));
}

inline std::string listed(const auto& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
}

template <class Value>
Value named(const char* argument, const std::string& name, std::initializer_list<std::pair<const char*, Value>> table) {
    std::vector<std::string> known;
    for (const auto& [key, value] : table) {
        if (name == key) return value;
        known.push_back(key);
    }
    refuse(argument, "'" + name + "'", listed(known));
}

// Checks that an address is not null if it is needed, and that it is aligned to values of `bytes` bytes.
inline void check_address(const char* argument, const void* data, size_t bytes, bool needed) {
    if (!data && needed) refuse(argument, "None", "an array");
    if (reinterpret_cast<uintptr_t>(data) & (bytes - 1)) refuse(argument, "unaligned memory", "aligned memory");
}

// The type of all values of a call: float32 or float64.
struct Type {
    bool is_float64;
    size_t bytes() const { return is_float64 ? sizeof(double) : sizeof(float); }
    void check(const char* argument, const void* data, bool needed) const {
        check_address(argument, data, bytes(), needed);
    }
    // Calls work(kernels) with the target's kernels of this type.
    template <class Work> void with_kernels(const Target& target, const Work& work) const {
        is_float64 ? work(target.real()) : work(target.single());
    }
};

// The functions by which each file of the binding adds to the module.
void bind_scan(nb::module_& module);         // Scan
void bind_fingerprint(nb::module_& module);  // Fingerprint

}  // namespace seriatim
