// What a test says when it fails, and how two arrays are compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace seriatim::test {

inline int checks = 0, failures = 0;

inline void check(bool holds, const std::string& what) {
    ++checks;
    if (holds) return;
    if (++failures <= 20) std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

// Root mean square of the difference over that of what is expected, or over 0.1 where that is smaller: numbers here are of
// the order of 1, and few of them may well be the small rest of a subtraction. NaN where either has one, or sizes differ.
template <class A, class B> double relative_rms(const std::vector<A>& got, const std::vector<B>& wanted) {
    if (got.size() != wanted.size()) return NAN;
    double difference = 0, size = 0;
    for (size_t at = 0; at < got.size(); ++at) {
        difference += std::pow(double(got[at]) - double(wanted[at]), 2);
        size += std::pow(double(wanted[at]), 2);
    }
    if (std::isnan(difference)) return NAN;
    return difference == 0 ? 0 : std::sqrt(difference / std::max(size, 0.01 * double(wanted.size())));
}

template <class A, class B>
void check_close(const std::vector<A>& got, const std::vector<B>& wanted, double tolerance, const std::string& what) {
    const double distance = relative_rms(got, wanted);
    check(
        distance <= tolerance, what + ": relative RMS " + std::to_string(distance / tolerance) + " of what is allowed");
}

}  // namespace seriatim::test
