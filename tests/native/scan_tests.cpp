// Compares the scan of every target, and its gradients, with a plain loop.
#include <complex>

#include "check.h"
#include "engine.h"
#include "problem.h"
#include "scan_tests.h"

namespace seriatim::test {

using Complex = std::complex<double>;

// A random problem. With `a_repeats`, a is the same at all steps.
struct Scanned {
    int64_t steps, rows, units;
    bool complex, reverse, masked, a_repeats;
    std::vector<int64_t> lengths;
    std::vector<char> reset;
    std::vector<double> a[2], b[2], first[2], grad_h[2], grad_last[2];

    int64_t length(int64_t row) const { return masked ? lengths[row] : steps; }
    int64_t step(int64_t k, int64_t row) const { return reverse ? length(row) - 1 - k : k; }
};

Scanned scanned(int64_t steps, int64_t rows, int64_t units, int variant) {
    std::mt19937 random(static_cast<unsigned>(steps * 100 + rows * 10 + units + variant));
    Scanned p{steps, rows, units, (variant & 1) != 0, (variant & 2) != 0, (variant & 4) != 0, (variant & 8) != 0, {},
        {}, {}, {}, {}, {}, {}};
    for (int64_t row = 0; row < rows; ++row)
        p.lengths.push_back(1 + row * (steps - 1) / std::max<int64_t>(rows - 1, 1));
    for (int64_t at = 0; at < steps * rows; ++at) p.reset.push_back(at % 5 == 3);
    for (int part = 0; part < 2; ++part) {
        p.a[part] = draws((p.a_repeats ? 1 : steps) * rows * units, 0.5, random);
        p.b[part] = draws(steps * rows * units, 1, random), p.grad_h[part] = draws(steps * rows * units, 1, random);
        p.first[part] = draws(rows * units, 1, random), p.grad_last[part] = draws(rows * units, 1, random);
    }
    return p;
}

struct ScanResult { std::vector<double> h[2], last[2], of_a[2], of_b[2], of_first[2]; };

// Forward by the equation, backward by its transpose. There a is conjugated, because re and im are two real numbers.
ScanResult plain_scan(const Scanned& p) {
    const int64_t all = p.steps * p.rows * p.units, state = p.rows * p.units;
    ScanResult r;
    for (int part = 0; part < 2; ++part) {
        r.h[part].assign(all, 0), r.of_b[part].assign(all, 0), r.of_a[part].assign(p.a[part].size(), 0);
        r.last[part].assign(state, 0), r.of_first[part].assign(state, 0);
    }
    const auto pair = [&](const std::vector<double>* from, int64_t at) {
        return Complex(from[0][at], p.complex ? from[1][at] : 0);
    };
    const auto put = [](std::vector<double>* to, int64_t at, Complex value) {
        to[0][at] += value.real(), to[1][at] += value.imag();
    };
    for (int64_t row = 0; row < p.rows; ++row)
        for (int64_t j = 0; j < p.units; ++j) {
            const auto here = [&](int64_t t) { return (t * p.rows + row) * p.units + j; };
            const auto a_at = [&](int64_t t) { return p.a_repeats ? row * p.units + j : here(t); };
            const auto fresh = [&](int64_t t) { return p.masked && p.reset[t * p.rows + row]; };
            std::vector<Complex> before;
            Complex h = pair(p.first, row * p.units + j);
            for (int64_t k = 0; k < p.length(row); ++k) {
                const int64_t t = p.step(k, row);
                before.push_back(fresh(t) ? 0 : h);
                h = pair(p.a, a_at(t)) * before.back() + pair(p.b, here(t));
                put(r.h, here(t), h);
            }
            put(r.last, row * p.units + j, h);
            Complex g = pair(p.grad_last, row * p.units + j);
            for (int64_t k = p.length(row); k-- > 0;) {
                const int64_t t = p.step(k, row);
                g += pair(p.grad_h, here(t));
                put(r.of_b, here(t), g);
                put(r.of_a, a_at(t), g * std::conj(before[k]));
                g = fresh(t) ? 0 : g * std::conj(pair(p.a, a_at(t)));
            }
            put(r.of_first, row * p.units + j, g);
        }
    return r;
}

template <class T> std::vector<T> as(const std::vector<double>& values) { return {values.begin(), values.end()}; }

template <class T> void scan_equals_plain_loop(const Scanned& p, const Target& target, int threads) {
    const std::string what = std::string(target.name) + " scan " + std::to_string(p.steps) + "x" +
                             std::to_string(p.rows) + "x" + std::to_string(p.units) + (p.complex ? " complex" : "");
    const double tolerance = std::is_same_v<T, float> ? 5e-6 : 1e-13;
    const Kernels<T>& kernels = [&]() -> const Kernels<T>& {
        if constexpr (std::is_same_v<T, float>) return target.single();
        else return target.real();
    }();
    const int64_t by_row = p.units, by_step = p.rows * p.units;
    std::vector<T> a[2], b[2], first[2], grad_h[2], grad_last[2], h[2], last[2], of_a[2], of_b[2], of_first[2];
    Scan<T> call;
    ScanGradients<T> grad;
    call.steps = p.steps, call.rows = p.rows, call.units = p.units, call.complex = p.complex, call.reverse = p.reverse;
    grad.over_time = p.a_repeats;
    std::vector<uint8_t> reset(p.reset.begin(), p.reset.end());
    if (p.masked) call.lengths = p.lengths.data(), call.reset = reinterpret_cast<const bool*>(reset.data());
    for (int part = 0; part < (p.complex ? 2 : 1); ++part) {
        a[part] = as<T>(p.a[part]), b[part] = as<T>(p.b[part]), first[part] = as<T>(p.first[part]);
        grad_h[part] = as<T>(p.grad_h[part]), grad_last[part] = as<T>(p.grad_last[part]);
        h[part].assign(b[part].size(), NAN), of_b[part].assign(b[part].size(), NAN);
        of_a[part].assign(a[part].size(), NAN), last[part].assign(first[part].size(), NAN);
        of_first[part].assign(first[part].size(), NAN);
        call.a[part] = {a[part].data(), p.a_repeats ? 0 : by_step, by_row};
        call.b[part] = {b[part].data(), by_step, by_row}, call.h[part] = {h[part].data(), by_step, by_row};
        call.first[part] = first[part].data(), call.last[part] = last[part].data();
        grad.h[part] = {grad_h[part].data(), by_step, by_row}, grad.last[part] = grad_last[part].data();
        grad.a[part] = {of_a[part].data(), by_step, by_row}, grad.b[part] = {of_b[part].data(), by_step, by_row};
        grad.first[part] = of_first[part].data();
    }
    kernels.scan_forward(call, threads);
    kernels.scan_backward(call, grad, threads);
    const ScanResult expected = plain_scan(p);
    for (int part = 0; part < (p.complex ? 2 : 1); ++part) {
        check_close(h[part], expected.h[part], tolerance, what + ": h");
        check_close(last[part], expected.last[part], tolerance, what + ": last");
        check_close(of_a[part], expected.of_a[part], tolerance, what + ": gradient of a");
        check_close(of_b[part], expected.of_b[part], tolerance, what + ": gradient of b");
        check_close(of_first[part], expected.of_first[part], tolerance, what + ": gradient of the first state");
    }
}

// Compares gated scans with plain arithmetic, and their gradients with finite differences.
void gated_scan_equals_equations(const Target& target, Gates gates, int threads) {
    const int64_t steps = 4, rows = 2, units = 19, blocks = gates == Gates::mingru ? 2 : 3, all = steps * rows * units;
    std::mt19937 random(7);
    std::vector<double> u = draws(all * blocks, 2, random), first = draws(rows * units, 1, random);
    const std::vector<double> seed = draws(all, 1, random), direction = draws(u.size(), 1, random);
    Scan<double> call;
    call.steps = steps, call.rows = rows, call.units = units, call.gates = gates, call.first[0] = first.data();
    std::vector<double> h(all), last(rows * units), of_u(u.size()), of_first(rows * units);
    call.h[0] = {h.data(), rows * units, units}, call.last[0] = last.data();
    const auto run = [&](const std::vector<double>& given) {
        call.u = {given.data(), rows * units * blocks, units * blocks};
        target.real().scan_forward(call, threads);
    };
    const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
    const auto positive = [&](double x) { return x >= 0 ? x + 0.5 : sigma(x); };
    run(u);
    std::vector<double> expected(all);
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t j = 0; j < units; ++j) {
            double state = first[row * units + j];
            for (int64_t t = 0; t < steps; ++t) {
                const double* at = u.data() + (t * rows + row) * units * blocks + j;
                const double f = sigma(at[0]), i = blocks == 3 ? sigma(at[units]) : 0;
                const double keep = blocks == 3 ? f / (f + i) : 1 - f;
                state = keep * state + (1 - keep) * positive(at[(blocks - 1) * units]);
                expected[(t * rows + row) * units + j] = state;
            }
        }
    const std::string what = std::string(target.name) + (blocks == 2 ? " minGRU" : " minLSTM");
    check_close(h, expected, 1e-13, what + ": h");
    ScanGradients<double> grad;
    grad.h[0] = {seed.data(), rows * units, units};
    grad.u = {of_u.data(), rows * units * blocks, units * blocks}, grad.first[0] = of_first.data();
    target.real().scan_backward(call, grad, threads);
    double slope = 0, difference = 0;
    for (size_t at = 0; at < u.size(); ++at) slope += of_u[at] * direction[at];
    for (double side : {1.0, -1.0}) {
        std::vector<double> moved = u;
        for (size_t at = 0; at < u.size(); ++at) moved[at] += side * 1e-6 * direction[at];
        run(moved);
        for (int64_t at = 0; at < all; ++at) difference += side * h[at] * seed[at];
    }
    check(std::abs(difference / 2e-6 - slope) < 1e-6 * std::max(1.0, std::abs(slope)), what + ": gradient of u");
}

void scans(int threads) {
    for (const Target* target : targets()) {
        for (int variant = 0; variant < 16; ++variant)
            for (const auto& [steps, rows, units] : {std::array<int64_t, 3>{1, 1, 1}, {7, 3, 17}, {3, 5, 600}}) {
                const Scanned p = scanned(steps, rows, units, variant);
                scan_equals_plain_loop<float>(p, *target, threads);
                scan_equals_plain_loop<double>(p, *target, threads);
            }
        for (Gates gates : {Gates::mingru, Gates::minlstm}) gated_scan_equals_equations(*target, gates, threads);
    }
}

}  // namespace seriatim::test
