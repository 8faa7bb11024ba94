// Counts checks, reports failures, and compares arrays.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace seriatim::test {

inline int checks = 0, failures = 0;

inline void check(bool is_true, const std::string& what) {
    ++checks;
    if (is_true) return;
    if (++failures <= 20) std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

// The root mean square of the difference, divided by the same of the expected values (at least 0.1). Values here are of the
// order of 1, but a few of them may be a small difference of two of them. NaN if a value is NaN or the sizes differ.
template <class A, class B> double relative_rms(const std::vector<A>& result, const std::vector<B>& expected) {
    if (result.size() != expected.size()) return NAN;
    double difference = 0, size = 0;
    for (size_t at = 0; at < result.size(); ++at) {
        difference += std::pow(double(result[at]) - double(expected[at]), 2);
        size += std::pow(double(expected[at]), 2);
    }
    if (std::isnan(difference)) return NAN;
    return difference == 0 ? 0 : std::sqrt(difference / std::max(size, 0.01 * double(expected.size())));
}

template <class A, class B> void check_close(
    const std::vector<A>& result, const std::vector<B>& expected, double tolerance, const std::string& what) {
    const double distance = relative_rms(result, expected);
    check(distance <= tolerance,
        what + ": relative RMS " + std::to_string(distance / tolerance) + " times the tolerance");
}

}  // namespace seriatim::test
