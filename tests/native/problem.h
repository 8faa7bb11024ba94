// A test problem: sizes, a walk, and arrays of random numbers. Each array has exactly the size that it needs, so that a sanitizer
// detects every access beyond it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"

namespace seriatim::test {

inline bool is(const Spec& spec, std::string_view cell) { return spec.cell->name == cell; }

struct Case {
    Spec spec{};
    int64_t steps = 0, rows = 0;
    bool lengths = false, reverse = false, reset = false, dropout = false, zoneout = false, packed = false,
         drawn = false;

    std::string name() const {
        std::string words = spec.cell->name;
        words += " T" + std::to_string(steps) + " B" + std::to_string(rows) + " I" + std::to_string(spec.inputs) +
                 " H" + std::to_string(spec.units);
        if (spec.projected) words += " P" + std::to_string(spec.projected);
        const std::pair<bool, const char*> flags[] = {{spec.activation == Activation::relu, "relu"},
            {spec.activation == Activation::sigmoid, "sigmoid"}, {!spec.bias, "no bias"}, {spec.peephole, "peephole"},
            {spec.layer_norm, "layer norm"}, {spec.input_projected, "input projected"}, {spec.bf16, "bf16"},
            {lengths, "lengths"}, {reverse, "reverse"}, {reset, "reset"}, {dropout, "dropout"}, {zoneout, "zoneout"},
            {packed, "packed"}, {drawn, "drawn"}};
        for (auto [there, word] : flags)
            if (there) words += std::string(", ") + word;
        return words;
    }
};

// Everything that has a gradient.
enum Name { X, H0, C0, W_IH, W_HH, B_IH, B_HH, W_HR, W_CH, G_IH, G_HH, G_C, B_C, names };
inline const char* const name_of[] = {
    "x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "w_ch", "g_ih", "g_hh", "g_c", "b_c"};

// The number of values of each; 0 if the spec does not have it.
inline std::array<int64_t, names> sizes(const Case& config) {
    const Spec& s = config.spec;
    const int64_t rows = s.gates() * s.units;
    std::array<int64_t, names> sizes{};
    sizes[X] = config.steps * config.rows * s.inputs;
    sizes[H0] = config.rows * s.outputs();
    sizes[C0] = config.rows * s.carried();
    if (!s.input_projected) sizes[W_IH] = rows * s.inputs;
    sizes[W_HH] = rows * s.outputs();
    if (s.bias && !s.input_projected) sizes[B_IH] = rows;
    if (s.bias) sizes[B_HH] = rows;
    sizes[W_HR] = s.projected * s.units;
    if (s.peephole) sizes[W_CH] = s.cell->peepholes * s.units;
    if (s.layer_norm) sizes[G_HH] = rows;
    if (s.layer_norm && s.cell->normalises_c) sizes[G_C] = s.units, sizes[B_C] = s.units;
    return sizes;
}

template <class T> using Arrays = std::array<std::vector<T>, names>;

template <class T, class From> std::vector<T> as(const std::vector<From>& values) {
    return {values.begin(), values.end()};
}

template <class T> Arrays<T> as(const Arrays<double>& arrays) {
    Arrays<T> copies;
    for (int name = 0; name < names; ++name) copies[name] = as<T>(arrays[name]);
    return copies;
}

template <class T> auto pointer(std::vector<T>& values) { return values.empty() ? nullptr : values.data(); }
template <class T> auto pointer(const std::vector<T>& values) { return values.empty() ? nullptr : values.data(); }

// `Element` is T, or const T to read them.
template <class Element, class Of> Weights<Element> weights_of(Of& a) {
    Weights<Element> w;
    w.w_ih = pointer(a[W_IH]), w.w_hh = pointer(a[W_HH]), w.b_ih = pointer(a[B_IH]), w.b_hh = pointer(a[B_HH]);
    w.w_hr = pointer(a[W_HR]), w.w_ch = pointer(a[W_CH]), w.g_ih = pointer(a[G_IH]), w.g_hh = pointer(a[G_HH]);
    w.g_c = pointer(a[G_C]), w.b_c = pointer(a[B_C]);
    return w;
}

// The inputs, the masks of the walk, and the gradients of the results.
struct Problem {
    Case config{};
    Arrays<double> inputs;
    std::vector<int64_t> lengths;    // T if the test has no lengths
    std::unique_ptr<bool[]> reset;   // [T, B]
    std::vector<double> dropout;     // [B, P]
    std::vector<double> zoneout[2];  // [T, B, P], [1, 1, W]
    std::vector<double> grad_output, grad_final[2], grad_cells;

    bool has_step(int64_t step, int64_t row) const { return step < lengths[row]; }
};

inline std::vector<double> draws(int64_t count, double scale, std::mt19937& random) {
    std::normal_distribution<double> normal(0, scale);
    std::vector<double> values(count);
    // Rounded to float32, so that float32 and float64 compute with the same numbers.
    for (double& value : values) value = static_cast<float>(normal(random));
    return values;
}

inline Problem problem(const Case& config) {
    std::mt19937 random(7);
    const Spec& s = config.spec;
    Problem p;
    p.config = config;
    const auto counts = sizes(config);
    for (int name = 0; name < names; ++name) {
        const bool matrix = name == W_IH || name == W_HH || name == W_HR;
        const double width = name == W_IH ? s.inputs : name == W_HR ? s.units : s.outputs();
        p.inputs[name] = draws(counts[name], matrix ? 1 / std::sqrt(width) : 0.7, random);
    }
    for (int64_t at = 0; at < counts[C0]; ++at)  // n of c, n and m is positive, except after a reset
        if (double& n = p.inputs[C0][at]; is(s, "slstm") && at / s.units % 3 == 1) n = 1 + std::abs(n);
    p.lengths.assign(config.rows, config.steps);
    p.reset = std::make_unique<bool[]>(config.steps * config.rows);
    if (config.lengths)
        for (int64_t& length : p.lengths) length = 1 + random() % config.steps;
    if (config.packed) std::sort(p.lengths.rbegin(), p.lengths.rend());
    for (int64_t row = 0; row < config.rows; ++row) {
        for (int64_t step = 0; step < config.steps; ++step) p.reset[step * config.rows + row] = random() % 3 == 0;
        for (int64_t step = p.lengths[row]; step < config.steps; ++step)  // padding is never read
            std::fill_n(&p.inputs[X][(step * config.rows + row) * s.inputs], s.inputs, NAN);
    }
    if (config.dropout) p.dropout = draws(config.rows * s.outputs(), 1, random);
    if (config.zoneout) {
        p.zoneout[0] = draws(config.steps * config.rows * s.outputs(), 0.3, random);
        p.zoneout[1] = draws(s.carried(), 0.3, random);
        if (is(s, "slstm"))
            for (double& share : p.zoneout[1]) share = std::min(std::abs(share), 0.5);
    }
    for (auto& shares : p.zoneout)
        for (double& share : shares)
            if (config.drawn) share = share > 0.1;
    p.grad_output = draws(config.steps * config.rows * s.outputs(), 1, random);
    p.grad_final[0] = draws(counts[H0], 1, random);
    p.grad_final[1] = draws(counts[C0], 1, random);
    p.grad_cells = draws(config.steps * config.rows * s.carried(), 1, random);
    return p;
}

}  // namespace seriatim::test
