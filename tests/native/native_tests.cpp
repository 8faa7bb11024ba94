// Compares every target with the plain equations (forward) and with their finite differences (backward).
//   native_tests [all | threads | tiles]   threads: only the tests on several threads, for ThreadSanitizer
//                                          tiles: only the tests of matrix tiles, for emulators
#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "memory.h"
#include "plain.h"
#include "recurrence.h"
#include "scan_tests.h"
#include "threads.h"
#include "fingerprint.h"

namespace seriatim::test {

// Relative RMS: a few rounding errors of sums of up to 100 terms, over up to 17 steps.
template <class T> constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-13;
// For gradients: a value goes through twice as many sums.
template <class T> constexpr double gradient_tolerance = std::is_same_v<T, float> ? 5e-6 : 1e-12;

std::vector<Spec> specs(int64_t inputs, int64_t units) {
    std::vector<Spec> all;
    for (bool bias : {true, false}) {
        const auto named = [&](const char* name) {
            return Spec{.cell = find_cell(name), .inputs = inputs, .units = units, .bias = bias};
        };
        const Spec rnn = named("rnn"), lstm = named("lstm"), cifg = named("cifg"), gru = named("gru"),
                   slstm = named("slstm");
        all.insert(all.end(), {rnn, lstm, cifg, gru, named("gru reset-before"), slstm});
        all.emplace_back(rnn).activation = bias ? Activation::relu : Activation::sigmoid;
        all.emplace_back(lstm).peephole = true;
        all.emplace_back(cifg).peephole = true;
        if (units > 1) {
            all.emplace_back(rnn).projected = (units + 1) / 2;
            all.emplace_back(slstm).projected = (units + 1) / 2;
            for (const Spec& spec : {lstm, cifg}) {
                Spec& projected = all.emplace_back(spec);
                projected.projected = (units + 1) / 2, projected.peephole = bias;
            }
        }
        for (Spec spec : {rnn, lstm, cifg, gru, slstm}) {
            spec.input_projected = true, spec.inputs = spec.gates() * units;
            all.push_back(spec);
            if (units < 4 || !spec.cell->has_layer_norm)
                continue;  // the normalised values of two or three units have next to no gradient except rounding errors
            spec.layer_norm = true, spec.peephole = spec.cell->peepholes && bias;
            all.push_back(spec);
        }
    }
    return all;
}

// Targets with bf16 products: real matrix tiles if the processor has them, and software tiles.
std::vector<const Target*> bf16_targets() {
    std::vector<const Target*> all{&target("amx-software")};
    for (const Target* known : targets())
        if (known->bf16) all.push_back(known);
    return all;
}

std::vector<Case> cases(int64_t steps, int64_t rows, int64_t inputs, int64_t units) {
    std::vector<Case> all;
    for (const Spec& spec : specs(inputs, units)) {
        all.push_back({.spec = spec, .steps = steps, .rows = rows});
        all.push_back({.spec = spec, .steps = steps, .rows = rows, .lengths = true, .reverse = true});
        all.push_back({.spec = spec,
            .steps = steps,
            .rows = rows,
            .lengths = true,
            .reset = true,
            .dropout = true,
            .zoneout = true,
            .drawn = spec.bias});
    }
    return all;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t at = 0; at < a.size(); ++at)
        if (!std::isnan(b[at])) sum += a[at] * b[at];  // NaN: c where a row has no step
    return sum;
}

// The loss: its gradients are those of a Problem.
double loss(const Problem& p, const Arrays<double>& inputs) {
    const Plain result = plain(p, inputs);
    return dot(p.grad_output, result.output) + dot(p.grad_final[0], result.final[0]) +
           dot(p.grad_final[1], result.final[1]) + dot(p.grad_cells, result.cells);
}

// The values of [T, B, width] where a row has a step. Elsewhere the call must not have written anything, so they must still be NaN.
template <class T> std::vector<T> written(const Problem& p, const std::vector<T>& values, const std::string& what) {
    const int64_t width = values.size() / (p.config.steps * p.config.rows);
    std::vector<T> kept;
    for (int64_t at = 0; at < p.config.steps * p.config.rows; ++at)
        for (int64_t j = 0; j < width; ++j) {
            const T value = values[at * width + j];
            if (p.has_step(at / p.config.rows, at % p.config.rows)) kept.push_back(value);
            else check(std::isnan(value), what + ": written where the row has no step");
        }
    return kept;
}

template <class T>
void forward_equals_equations(const Problem& p, const Target& target, int threads, const std::string& what) {
    const Plain expected = plain(p, p.inputs);
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto result = recurrence.forward(target, *packed, threads);
    check_close(result.output, expected.output, tolerance<T>, what + ": output");
    for (int state : {0, 1}) check_close(result.final[state], expected.final[state], tolerance<T>, what + ": final");
    check_close(written(p, result.cells, what), written(p, expected.cells, what), tolerance<T>, what + ": cells");
    const auto bare = recurrence.forward(target, *packed, threads, false);
    check_close(bare.output, result.output, tolerance<T>, what + ": output without gates");
}

template <class T> void backward_equals_float64(
    const Problem& p, const Arrays<double>& expected, const Target& target, int threads, const std::string& what) {
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto forwarded = recurrence.forward(target, *packed, threads);
    const auto result = recurrence.backward(target, forwarded, threads);
    for (int name = 0; name < names; ++name)
        check_close(result[name], expected[name], gradient_tolerance<T>, what + ": gradient of " + name_of[name]);
    const auto again = recurrence.backward(target, forwarded, threads, true);
    for (int name = 0; name < names; ++name)
        check(again[name] == result[name], what + ": a second backward is not bit-equal, " + name_of[name]);
}

// The difference between the gradient of one array along a random direction and the slope of the loss, relative to the gradient's size.
double slope_error(const Problem& p, const Arrays<double>& gradients, Name name) {
    std::mt19937 random(name);
    const std::vector<double> direction = draws(gradients[name].size(), 1, random);
    const auto at = [&](double distance) {
        Arrays<double> moved = p.inputs;
        for (size_t i = 0; i < direction.size(); ++i) moved[name][i] += distance * direction[i];
        return loss(p, moved);
    };
    // Five points: the error of the formula is step⁴, that of rounding 1e-16 / step. A short step seldom crosses a kink of relu or of
    // an sLSTM's m.
    const bool has_kinks = p.config.spec.activation == Activation::relu || is(p.config.spec, "slstm");
    const double step = has_kinks ? 1e-6 : 1e-4;
    const double slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    const double size = std::sqrt(dot(gradients[name], gradients[name]));
    return std::abs(dot(direction, gradients[name]) - slope) / (size + 1e-3);
}

constexpr double slope_tolerance = 1e-7;

void backward_equals_finite_differences(const Problem& p, const Arrays<double>& gradients, const std::string& what) {
    for (int at = 0; at < names; ++at) {
        if (gradients[at].empty()) continue;
        const double distance = slope_error(p, gradients, static_cast<Name>(at));
        check(distance < slope_tolerance, what + ": gradient of " + name_of[at] + " differs from the slope by " +
                                              std::to_string(distance / slope_tolerance) + " times the tolerance");
    }
}

template <class T> void step_equals_equations(const Problem& p, const Target& target, const std::string& what) {
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, 1);
    const auto expected = plain(p, p.inputs);
    const auto result = recurrence.step(target, *packed, 2);
    for (int state : {0, 1}) check_close(result.final[state], expected.final[state], tolerance<T>, what + ": step");
}

// `tolerance` is a relative RMS.
template <class T> void gathered_steps_equal_sequence(
    const Spec& spec, int64_t steps, int64_t rows, const Target& target, int threads, double tolerance) {
    if (spec.projected || spec.peephole || spec.layer_norm) return;
    Problem p = problem({.spec = spec, .steps = steps, .rows = rows});
    p.grad_cells.assign(p.grad_cells.size(), 0);
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto forwarded = recurrence.forward(target, *packed, threads);
    const auto expected = recurrence.backward(target, forwarded, threads);
    const auto result = recurrence.steps_back(target, forwarded, threads);
    for (int name = 0; name < names; ++name)
        check_close(result[name], expected[name], tolerance,
            std::string(target.name) + ", " + p.config.name() + ", gathered steps: gradient of " + name_of[name]);
}

bool same_bits(const auto& first, const auto& second) {
    return first.size() == second.size() &&
           (first.empty() || !std::memcmp(first.data(), second.data(), first.size() * sizeof(first[0])));
}

template <class T> void packed_rows_equal_padded_rows(Case config, const Target& target, int threads) {
    config.lengths = config.packed = true;
    const Problem in_packed = problem(config);
    Problem in_padded = problem(config);
    in_padded.config.packed = false;
    const Recurrence<T> packed(in_packed), padded(in_padded);
    const auto weights = padded.pack(target, threads);
    const auto expected = padded.forward(target, *weights, threads), result = packed.forward(target, *weights, threads);
    const std::string what = std::string(target.name) + ", " + config.name();
    check(same_bits(result.output, expected.output), what + ": output");
    for (int state : {0, 1}) check(same_bits(result.final[state], expected.final[state]), what + ": final");
    check(
        same_bits(result.gates, expected.gates) && same_bits(result.cells, expected.cells), what + ": gates or cells");
    const auto of_padded = padded.backward(target, expected, threads),
               of_packed = packed.backward(target, result, threads);
    for (int name = 0; name < names; ++name)
        check(same_bits(of_packed[name], of_padded[name]), what + ": gradient of " + name_of[name]);
}

void wrong_gradient_is_detected() {
    const Problem p = problem({.spec = {.cell = find_cell("gru"), .inputs = 3, .units = 5}, .steps = 4, .rows = 3});
    const Recurrence<double> recurrence(p);
    const Target& last = *targets().back();
    const auto packed = recurrence.pack(last, 1);
    auto gradients = recurrence.backward(last, recurrence.forward(last, *packed, 1), 1);
    check(slope_error(p, gradients, W_HH) < slope_tolerance, "a right gradient was refused");
    gradients[W_HH][3] += 1e-5;
    check(slope_error(p, gradients, W_HH) > slope_tolerance, "a wrong gradient was not detected");
}

void test_on_one_thread(const Target& target) {
    const int64_t shapes[][4] = {
        {1, 1, 1, 1}, {2, 3, 2, 3}, {3, 17, 5, 17}, {5, 2, 33, 33}, {17, 7, 3, 8}, {2, 13, 16, 64}};
    for (const auto& [steps, rows, inputs, units] : shapes)
        for (const Case& config : cases(steps, rows, inputs, units)) {
            const Problem p = problem(config);
            const std::string what = std::string(target.name) + ", " + config.name();
            forward_equals_equations<float>(p, target, 1, what + ", float32");
            forward_equals_equations<double>(p, target, 1, what + ", float64");
            const Recurrence<double> recurrence(p);
            const auto packed = recurrence.pack(target, 1);
            const auto gradients = recurrence.backward(target, recurrence.forward(target, *packed, 1), 1);
            if (config.spec.units < 30) backward_equals_finite_differences(p, gradients, what);
            backward_equals_float64<float>(p, gradients, target, 1, what + ", float32");
            backward_equals_float64<double>(p, gradients, target, 1, what + ", float64");
        }
    for (const Spec& spec : specs(3, 8))
        for (bool masked : {false, true}) {
            const Case config{.spec = spec,
                .steps = 5,
                .rows = 9,
                .reverse = !masked,
                .reset = masked,
                .dropout = masked,
                .zoneout = masked,
                .drawn = spec.bias};
            packed_rows_equal_padded_rows<float>(config, target, 1);
            packed_rows_equal_padded_rows<double>(config, target, 1);
        }
    for (const Spec& spec : specs(7, 33))
        for (int64_t rows : {1, 2, 9}) {
            const Problem p = problem({.spec = spec, .steps = 1, .rows = rows});
            step_equals_equations<float>(p, target, std::string(target.name) + ", " + p.config.name() + ", float32");
            step_equals_equations<double>(p, target, std::string(target.name) + ", " + p.config.name() + ", float64");
        }
    // Fewer rows than one product takes, more in several steps, and more in a single step.
    for (const Spec& spec : specs(3, 8))
        for (const auto& [steps, rows] : {std::pair{4, 3}, {5, 100}, {2, 400}}) {
            gathered_steps_equal_sequence<float>(spec, steps, rows, target, 1, gradient_tolerance<float>);
            gathered_steps_equal_sequence<double>(spec, steps, rows, target, 1, gradient_tolerance<double>);
        }
}

// The equations with rounded factors are the reference. An h that differs in the last digit of float32 is sometimes rounded the other
// way, which changes one term of a sum by 2⁻⁸.
constexpr double bf16_tolerance = 1e-3;
// For gradients the reference is float64. Their factors are rounded too, each by up to 2⁻⁹ of its size.
constexpr double bf16_gradient_tolerance = 1e-2;

void test_bf16(const Target& target, int64_t steps, int64_t rows, int64_t inputs, int64_t units, int threads) {
    for (Case config : cases(steps, rows, inputs, units)) {
        // With a single unit, the gradient of an sLSTM's h is a small difference of four rounded products.
        if (is(config.spec, "slstm") && units == 1) continue;
        const Problem exact = problem(config);
        config.spec.bf16 = true;
        const Problem p = problem(config);
        const std::string what =
            std::string(target.name) + ", " + config.name() + ", threads " + std::to_string(threads);
        const Plain expected = plain(p, p.inputs);
        const Recurrence<float> recurrence(p);
        const auto packed = recurrence.pack(target, threads);
        const auto result = recurrence.forward(target, *packed, threads);
        check_close(result.output, expected.output, bf16_tolerance, what + ": output");
        for (int state : {0, 1})
            check_close(result.final[state], expected.final[state], bf16_tolerance, what + ": final");
        const Recurrence<double> real(exact);
        const Recurrence<float> single(exact);
        const Target& last = *targets().back();
        const auto gradients = real.backward(last, real.forward(last, *real.pack(last, 1), 1), 1);
        const auto kept =
            single.forward(last, *single.pack(last, 1), 1);  // exact, so that only the backward pass is rounded
        const auto back = recurrence.backward(target, kept, threads);
        const auto again = recurrence.backward(target, kept, threads, true);
        for (int name = 0; name < names; ++name) {
            check_close(back[name], gradients[name], bf16_gradient_tolerance, what + ": gradient of " + name_of[name]);
            check(again[name] == back[name], what + ": a second backward is not bit-equal, " + name_of[name]);
        }
    }
}

// The ways of `split`: by units with a row for each thread, by units with fewer rows, by rows, and one thread.
void test_on_several_threads(const Target& target) {
    const int64_t shapes[][5] = {
        {10, 1, 90, 130, 2}, {6, 2, 40, 100, 2}, {6, 2, 40, 100, 3}, {22, 12, 9, 40, 3}, {3, 2, 3, 2, 3}};
    for (const auto& [steps, rows, inputs, units, thread_count] : shapes)
        for (const Case& config : cases(steps, rows, inputs, units)) {
            if (!config.spec.bias || config.reverse) continue;  // these do not depend on threads
            const int threads = static_cast<int>(thread_count);
            const Problem p = problem(config);
            const Recurrence<double> recurrence(p);
            const auto packed = recurrence.pack(target, 1);
            const auto gradients = recurrence.backward(target, recurrence.forward(target, *packed, 1), 1);
            const auto what = std::string(target.name) + ", " + config.name() + ", threads " + std::to_string(threads);
            forward_equals_equations<float>(p, target, threads, what);
            backward_equals_float64<float>(p, gradients, target, threads, what);
        }
}

void test_packed_on_several_threads(const Target& target) {
    for (const Spec& spec : specs(9, 20))
        if (spec.bias) packed_rows_equal_padded_rows<float>({.spec = spec, .steps = 6, .rows = 50}, target, 3);
}

void test_gathered_steps_on_several_threads(const Target& target) {
    for (const Spec& spec : specs(90, 130))
        for (const int64_t rows : {2, 40})
            if (spec.bias) gathered_steps_equal_sequence<float>(spec, 3, rows, target, 3, gradient_tolerance<float>);
}

void test_concurrent_calls(const Target& target) {
    const Problem p = problem(
        {.spec = {.cell = find_cell("lstm"), .inputs = 20, .units = 40}, .steps = 9, .rows = 8, .lengths = true});
    const Recurrence<float> recurrence(p);
    const auto packed = recurrence.pack(target, 2);
    const auto expected = recurrence.forward(target, *packed, 2);
    const auto gradients = recurrence.backward(target, expected, 2);
    std::array<bool, 3> same{};
    std::vector<std::thread> callers;
    for (bool& mine : same)
        callers.emplace_back([&] {
            mine = true;
            for (int round = 0; round < 10; ++round) {
                const auto result = recurrence.forward(target, *packed, 2);
                const auto back = recurrence.backward(target, result, 2);
                // The number of threads of a call, and so the order of sums, depends on the other calls.
                mine &= relative_rms(result.output, expected.output) < tolerance<float>;
                for (int name = 0; name < names; ++name)
                    mine &= relative_rms(back[name], gradients[name]) < gradient_tolerance<float>;
            }
        });
    for (auto& caller : callers) caller.join();
    for (bool mine : same) check(mine, std::string(target.name) + ": concurrent calls disturb each other");
}

void target_is_found_by_name() {
    const auto all = targets();
    check(!all.empty() && !std::strcmp(all.back()->name, "portable"), "the last target is not the portable one");
    for (const Target* known : all) check(&target(known->name) == known, "a target is not found by its name");
    bool refused = false;
    try {
        target("avx1024");
    } catch (const std::invalid_argument&) { refused = true; }
    check(refused, "a target that does not exist was not refused");
}

// Changes of any single bit, of the signs of any two floats, and swaps of equal parts.
void hash_detects_every_change(const Target& target) {
    for (int64_t bytes : {1, 15, 64, 129, 1000, 2048}) {
        std::vector<char> memory(bytes);
        for (int64_t at = 0; at < bytes; ++at) memory[at] = static_cast<char>(at * 37 + at / 256);
        const auto before = target.hash(memory.data(), bytes);
        bool is_seen = true;
        for (int64_t bit = 0; bit < 8 * bytes; ++bit) {
            memory[bit / 8] ^= static_cast<char>(1 << bit % 8);
            is_seen &= target.hash(memory.data(), bytes) != before;
            memory[bit / 8] ^= static_cast<char>(1 << bit % 8);
        }
        for (int64_t sign = 3; sign < bytes; sign += 4)  // of two floats
            for (int64_t other = sign + 4; other < bytes; other += 4) {
                memory[sign] ^= char(-128), memory[other] ^= char(-128);
                is_seen &= target.hash(memory.data(), bytes) != before;
                memory[sign] ^= char(-128), memory[other] ^= char(-128);
            }
        for (int64_t distance = 4; 2 * distance <= bytes; distance *= 2) {
            std::swap_ranges(memory.begin(), memory.begin() + distance, memory.begin() + distance);
            is_seen &= target.hash(memory.data(), bytes) != before;
            std::swap_ranges(memory.begin(), memory.begin() + distance, memory.begin() + distance);
        }
        const std::string what = std::string(target.name) + ", " + std::to_string(bytes) + " bytes";
        check(is_seen, what + ": a change was not detected");
        check(target.hash(memory.data(), bytes) == before, what + ": unchanged memory has another hash");
    }
}

void fingerprint_checks_every_region() {
    std::vector<char> small(100), large(5'000'000);
    const MemoryFingerprint fingerprint({{small.data(), 100}, {large.data(), 5'000'000}, {nullptr, 0}}, 2);
    check(fingerprint.whole(2) && fingerprint.whole(1) && fingerprint.some(),
        "a fingerprint reports a change where there is none");
    for (char* changed : {&small[99], &large[0], &large[3'000'000], &large[4'999'999]}) {
        *changed = 1;
        check(!fingerprint.whole(1) && !fingerprint.whole(2), "a fingerprint misses a change");
        int calls = 1;
        while (fingerprint.some() && calls < 1000) ++calls;
        check(calls <= (changed == &small[99] ? 1 : (5'000'000 >> 12) + 1),
            "a fingerprint does not check every region in turn");
        *changed = 0;
    }
}

// Denormal numbers are replaced by 0 inside a call, and only there.
void tiny_numbers_are_flushed(int threads) {
    volatile float tiny = 1e-39f, rounded_to_bf16 = 0.5f;
    std::atomic<int> kept{0};
    in_parallel(threads, [&](Team&, int) { kept += tiny * rounded_to_bf16 != 0.0f; });
    check(tiny * rounded_to_bf16 != 0.0f, "denormal numbers are 0 after a call");
#if defined(__x86_64__) || defined(__aarch64__)
    check(kept == 0, "denormal numbers are not 0 inside a call");
#endif
}

void announced_memory_is_unchanged() {
    const size_t bytes = size_t{40} << 20;
    std::vector<char> memory(bytes, 7);
    announce_write(memory.data() + 5, bytes - 5);
    announce_write(memory.data(), 100);
    check(std::ranges::count(memory, 7) == static_cast<int64_t>(bytes), "announced memory has changed");
}

// Fewer rows, units and values of k than a matrix tile has, as many, and more; then split by rows and by units.
void test_matrix_tiles(const Target& target, bool everything) {
    const int64_t shapes[][5] = {{2, 1, 1, 1, 1}, {3, 3, 5, 17, 1}, {2, 33, 33, 16, 1}, {3, 17, 40, 33, 1},
        {3, 70, 20, 40, 3}, {10, 1, 90, 130, 2}};
    for (const auto& [steps, rows, inputs, units, threads] : shapes)
        if (everything || threads > 1) test_bf16(target, steps, rows, inputs, units, threads);
    for (Spec spec : specs(9, 20)) {
        spec.bf16 = true;
        if (spec.bias) packed_rows_equal_padded_rows<float>({.spec = spec, .steps = 6, .rows = 50}, target, 3);
        gathered_steps_equal_sequence<float>(spec, 3, 50, target, 3, bf16_gradient_tolerance);
    }
}

int run(bool everything, bool only_tiles) {
    std::string named;
    if (everything) {
        target_is_found_by_name();
        wrong_gradient_is_detected();
        announced_memory_is_unchanged();
    }
    if (!only_tiles) {
        scans(everything ? 1 : 3);
        fingerprint_checks_every_region();
        for (int threads : {1, 3}) tiny_numbers_are_flushed(threads);
        for (const Target* tested : targets()) {
            if (everything) {
                test_on_one_thread(*tested);
                hash_detects_every_change(*tested);
            }
            test_on_several_threads(*tested);
            test_packed_on_several_threads(*tested);
            test_gathered_steps_on_several_threads(*tested);
            test_concurrent_calls(*tested);
            named += std::string(" ") + tested->name;
        }
    }
    for (const Target* tested : bf16_targets()) {
        test_matrix_tiles(*tested, everything || only_tiles);
        named += std::string(" ") + tested->name + "'s tiles";
    }
    std::printf("%d checks, %d failed, on%s; amx: %s\n", checks, failures, named.c_str(), amx_state().c_str());
    return failures ? 1 : 0;
}

}  // namespace seriatim::test

int main(int count, char** words) {
    const std::string which = count < 2 ? "all" : words[1];
    return seriatim::test::run(which == "all", which == "tiles");
}
