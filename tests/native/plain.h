// The reference: the equations of the recurrence in float64, one row and one step at a time.
#pragma once

#include "problem.h"

namespace seriatim::test {

struct Plain {
    std::vector<double> output, final[2], cells;  // [T, B, P], [B, ·], [T, B, W]
};

using Row = std::vector<double>;

inline double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

// To the nearest number of 8 digits, ties to even.
inline double rounded_to_bf16(double value) {
    int exponent;
    const double mantissa = std::frexp(value, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}

// weight [outputs, inputs] times `factor`, plus bias. With `bf16` both factors are rounded to bf16.
inline Row affine(const double* weight, const double* bias, const Row& factor, int64_t outputs, bool bf16) {
    Row a(outputs, 0.0);
    for (int64_t i = 0; i < outputs; ++i) {
        for (size_t k = 0; k < factor.size(); ++k) {
            const double w = weight[i * factor.size() + k];
            a[i] += bf16 ? rounded_to_bf16(w) * rounded_to_bf16(factor[k]) : w * factor[k];
        }
        if (bias) a[i] += bias[i];
    }
    return a;
}

// gain ⊙ norm(a) + shift (Ba 2016)
inline Row normalised(const Row& a, const double* gain, const double* shift) {
    constexpr double epsilon = 1e-5;
    double mean = 0, variance = 0;
    for (double value : a) mean += value / a.size();
    for (double value : a) variance += (value - mean) * (value - mean) / a.size();
    Row result(a.size());
    for (size_t i = 0; i < a.size(); ++i)
        result[i] = gain[i] * (a[i] - mean) / std::sqrt(variance + epsilon) + (shift ? shift[i] : 0);
    return result;
}

// The candidates of h and c, from x, ĥ and the state.
inline void plain_step(const Spec& s, const Weights<const double>& w, const Row& x, const Row& h_in, const Row& h,
    const Row& c, Row& new_h, Row& new_c) {
    const int64_t H = s.units;
    const Row u = s.input_projected ? x : affine(w.w_ih, w.b_ih, x, s.gates() * H, s.bf16);
    const Row v = s.layer_norm ? normalised(affine(w.w_hh, nullptr, h_in, s.gates() * H, s.bf16), w.g_hh, w.b_hh)
                               : affine(w.w_hh, w.b_hh, h_in, s.gates() * H, s.bf16);
    Row m(H);
    if (is(s, "rnn")) {
        for (int64_t j = 0; j < H; ++j) {
            const double a = u[j] + v[j];
            m[j] = s.activation == Activation::tanh   ? std::tanh(a)
                   : s.activation == Activation::relu ? std::max(a, 0.0)
                                                      : sigmoid(a);
        }
    } else if (is(s, "lstm")) {
        const auto peephole = [&](int64_t row, int64_t j) { return w.w_ch ? w.w_ch[row * H + j] : 0.0; };
        new_c.resize(H);
        Row o(H);
        for (int64_t j = 0; j < H; ++j) {
            const double i = sigmoid(u[j] + v[j] + peephole(0, j) * c[j]);
            const double f = sigmoid(u[H + j] + v[H + j] + peephole(1, j) * c[j]);
            const double g = std::tanh(u[2 * H + j] + v[2 * H + j]);
            new_c[j] = f * c[j] + i * g;
            o[j] = sigmoid(u[3 * H + j] + v[3 * H + j] + peephole(2, j) * new_c[j]);
        }
        const Row tanh_input = w.g_c ? normalised(new_c, w.g_c, w.b_c) : new_c;
        for (int64_t j = 0; j < H; ++j) m[j] = o[j] * std::tanh(tanh_input[j]);
    } else if (is(s, "cifg")) {
        const auto peephole = [&](int64_t row, int64_t j) { return w.w_ch ? w.w_ch[row * H + j] : 0.0; };
        new_c.resize(H);
        Row o(H);
        for (int64_t j = 0; j < H; ++j) {
            const double f = sigmoid(u[j] + v[j] + peephole(0, j) * c[j]);
            const double g = std::tanh(u[H + j] + v[H + j]);
            new_c[j] = f * c[j] + (1 - f) * g;
            o[j] = sigmoid(u[2 * H + j] + v[2 * H + j] + peephole(1, j) * new_c[j]);
        }
        const Row tanh_input = w.g_c ? normalised(new_c, w.g_c, w.b_c) : new_c;
        for (int64_t j = 0; j < H; ++j) m[j] = o[j] * std::tanh(tanh_input[j]);
    } else if (is(s, "slstm")) {
        new_c.resize(3 * H);
        for (int64_t j = 0; j < H; ++j) {
            const double a_i = u[j] + v[j], log_f = -std::log1p(std::exp(-(u[H + j] + v[H + j])));
            const double stabiliser = c[H + j] == 0 ? a_i : std::max(log_f + c[2 * H + j], a_i);
            const double i = std::exp(a_i - stabiliser);
            const double f = c[H + j] == 0 ? 0 : std::exp(log_f + c[2 * H + j] - stabiliser);
            new_c[j] = f * c[j] + i * std::tanh(u[2 * H + j] + v[2 * H + j]);
            new_c[H + j] = f * c[H + j] + i;
            new_c[2 * H + j] = stabiliser;
            m[j] = sigmoid(u[3 * H + j] + v[3 * H + j]) * new_c[j] / new_c[H + j];
        }
    } else {
        Row r(H), factor(h_in);
        for (int64_t j = 0; j < H; ++j) r[j] = sigmoid(u[j] + v[j]);
        for (int64_t j = 0; j < H; ++j) factor[j] *= r[j];
        const Row before = affine(w.w_hh + 2 * H * H, w.b_hh ? w.b_hh + 2 * H : nullptr, factor, H, s.bf16);
        for (int64_t j = 0; j < H; ++j) {
            const double z = sigmoid(u[H + j] + v[H + j]);
            const double n = std::tanh(u[2 * H + j] + (is(s, "gru") ? r[j] * v[2 * H + j] : before[j]));
            m[j] = z * h[j] + (1 - z) * n;
        }
    }
    new_h = s.projected ? affine(w.w_hr, nullptr, m, s.projected, s.bf16) : m;
}

inline Plain plain(const Problem& p, const Arrays<double>& inputs) {
    const Case& config = p.config;
    const Spec& s = config.spec;
    const int64_t P = s.outputs(), W = s.carried(), B = config.rows;
    const auto w = weights_of<const double>(inputs);
    Plain result;
    result.output.assign(config.steps * B * P, 0.0);
    result.cells.assign(config.steps * B * W, NAN);
    result.final[0] = inputs[H0], result.final[1] = inputs[C0];
    for (int64_t row = 0; row < B; ++row) {
        Row h(inputs[H0].begin() + row * P, inputs[H0].begin() + (row + 1) * P);
        Row c(inputs[C0].begin() + row * W, inputs[C0].begin() + (row + 1) * W);
        for (int64_t count = 0; count < p.lengths[row]; ++count) {
            const int64_t step = config.reverse ? p.lengths[row] - 1 - count : count, here = step * B + row;
            if (config.reset && p.reset[here]) std::fill(h.begin(), h.end(), 0.0), std::fill(c.begin(), c.end(), 0.0);
            Row h_in = h, new_h, new_c;
            for (int64_t j = 0; config.dropout && j < P; ++j) h_in[j] *= p.dropout[row * P + j];
            const Row x(inputs[X].begin() + here * s.inputs, inputs[X].begin() + (here + 1) * s.inputs);
            plain_step(s, w, x, h_in, h, c, new_h, new_c);
            for (int64_t j = 0; j < P; ++j) {
                const double share = config.zoneout ? p.zoneout[0][here * P + j] : 0;
                h[j] = result.output[here * P + j] = share * h[j] + (1 - share) * new_h[j];
            }
            for (int64_t j = 0; j < W; ++j) {
                const double share = config.zoneout ? p.zoneout[1][j] : 0;
                c[j] = result.cells[here * W + j] = share * c[j] + (1 - share) * new_c[j];
            }
        }
        std::copy(h.begin(), h.end(), result.final[0].begin() + row * P);
        std::copy(c.begin(), c.end(), result.final[1].begin() + row * W);
    }
    return result;
}

}  // namespace seriatim::test
