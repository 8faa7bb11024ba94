// Holds every target against the plain equations, forward, and against their finite differences, backward.
//   native_tests [all | threads | tiles]   threads: only what runs on several threads, for ThreadSanitizer
//                                          tiles: only what runs on matrix tiles, for emulators
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

// Relative RMS: a few roundings of sums of up to 100 terms over up to 17 steps.
template <class T> constexpr double close = std::is_same_v<T, float> ? 2e-6 : 1e-13;
// The same for gradients, where a value goes through twice as many sums.
template <class T> constexpr double close_back = std::is_same_v<T, float> ? 5e-6 : 1e-12;

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

// Targets whose products take bf16: the real tiles where there are any, and those in software.
std::vector<const Target*> targets_for_halves() {
    std::vector<const Target*> all{&target("amx-software")};
    for (const Target* one : targets())
        if (one->bf16) all.push_back(one);
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
        if (!std::isnan(b[at])) sum += a[at] * b[at];  // c where a row has no step
    return sum;
}

// What the gradients of a Problem are those of.
double loss(const Problem& p, const Arrays<double>& inputs) {
    const Plain result = plain(p, inputs);
    return dot(p.grad_output, result.output) + dot(p.grad_final[0], result.final[0]) +
           dot(p.grad_final[1], result.final[1]) + dot(p.grad_cells, result.cells);
}

// Values of [T, B, width] where a row has a step; elsewhere they must be as they were before the call: NaN.
template <class T> std::vector<T> written(const Problem& p, const std::vector<T>& values, const std::string& what) {
    const int64_t width = values.size() / (p.one.steps * p.one.rows);
    std::vector<T> kept;
    for (int64_t at = 0; at < p.one.steps * p.one.rows; ++at)
        for (int64_t j = 0; j < width; ++j) {
            const T value = values[at * width + j];
            if (p.has_step(at / p.one.rows, at % p.one.rows)) kept.push_back(value);
            else check(std::isnan(value), what + ": written where the row has no step");
        }
    return kept;
}

template <class T>
void forward_is_as_the_equations_say(const Problem& p, const Target& target, int threads, const std::string& what) {
    const Plain wanted = plain(p, p.inputs);
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto got = recurrence.forward(target, *packed, threads);
    check_close(got.output, wanted.output, close<T>, what + ": output");
    for (int state : {0, 1}) check_close(got.final[state], wanted.final[state], close<T>, what + ": final");
    check_close(written(p, got.cells, what), written(p, wanted.cells, what), close<T>, what + ": cells");
    const auto bare = recurrence.forward(target, *packed, threads, false);
    check_close(bare.output, got.output, close<T>, what + ": output without gates");
}

template <class T> void backward_is_the_same_in_both_precisions(
    const Problem& p, const Arrays<double>& wanted, const Target& target, int threads, const std::string& what) {
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto forwarded = recurrence.forward(target, *packed, threads);
    const auto got = recurrence.backward(target, forwarded, threads);
    for (int name = 0; name < names; ++name)
        check_close(got[name], wanted[name], close_back<T>, what + ": gradient of " + name_of[name]);
    const auto again = recurrence.backward(target, forwarded, threads, true);
    for (int name = 0; name < names; ++name)
        check(again[name] == got[name], what + ": a second backward is not bit-equal, " + name_of[name]);
}

// How far the gradient of one array is from the slope of the loss along a random direction, relative to its own size.
double off_the_slope(const Problem& p, const Arrays<double>& gradients, Name name) {
    std::mt19937 random(name);
    const std::vector<double> direction = draws(gradients[name].size(), 1, random);
    const auto at = [&](double distance) {
        Arrays<double> moved = p.inputs;
        for (size_t i = 0; i < direction.size(); ++i) moved[name][i] += distance * direction[i];
        return loss(p, moved);
    };
    // Five points: the rule's own error is step⁴, and rounding's 1e-16 / step. A short step seldom crosses a bend, of relu or
    // of an sLSTM's m.
    const bool bends = p.one.spec.activation == Activation::relu || is(p.one.spec, "slstm");
    const double step = bends ? 1e-6 : 1e-4;
    const double slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    const double size = std::sqrt(dot(gradients[name], gradients[name]));
    return std::abs(dot(direction, gradients[name]) - slope) / (size + 1e-3);
}

constexpr double close_to_slope = 1e-7;

void backward_is_the_slope(const Problem& p, const Arrays<double>& gradients, const std::string& what) {
    for (int at = 0; at < names; ++at) {
        if (gradients[at].empty()) continue;
        const double distance = off_the_slope(p, gradients, static_cast<Name>(at));
        check(distance < close_to_slope, what + ": gradient of " + name_of[at] + " is off the slope by " +
                                             std::to_string(distance / close_to_slope) + " of what is allowed");
    }
}

template <class T> void a_step_is_a_sequence_of_one(const Problem& p, const Target& target, const std::string& what) {
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, 1);
    const auto wanted = plain(p, p.inputs);
    const auto got = recurrence.step(target, *packed, 2);
    for (int state : {0, 1}) check_close(got.final[state], wanted.final[state], close<T>, what + ": step");
}

// `close` is of relative RMS.
template <class T> void steps_back_are_a_sequence_back(
    const Spec& spec, int64_t steps, int64_t rows, const Target& target, int threads, double close) {
    if (spec.projected || spec.peephole || spec.layer_norm) return;
    Problem p = problem({.spec = spec, .steps = steps, .rows = rows});
    p.grad_cells.assign(p.grad_cells.size(), 0);
    const Recurrence<T> recurrence(p);
    const auto packed = recurrence.pack(target, threads);
    const auto forwarded = recurrence.forward(target, *packed, threads);
    const auto wanted = recurrence.backward(target, forwarded, threads);
    const auto got = recurrence.steps_back(target, forwarded, threads);
    for (int name = 0; name < names; ++name)
        check_close(got[name], wanted[name], close,
            std::string(target.name) + ", " + p.one.name() + ", step by step: gradient of " + name_of[name]);
}

bool same_bits(const auto& one, const auto& other) {
    return one.size() == other.size() &&
           (one.empty() || !std::memcmp(one.data(), other.data(), one.size() * sizeof(one[0])));
}

template <class T> void packed_rows_are_as_padded_ones(Case one, const Target& target, int threads) {
    one.lengths = one.packed = true;
    const Problem in_packed = problem(one);
    Problem in_padded = problem(one);
    in_padded.one.packed = false;
    const Recurrence<T> packed(in_packed), padded(in_padded);
    const auto weights = padded.pack(target, threads);
    const auto wanted = padded.forward(target, *weights, threads), got = packed.forward(target, *weights, threads);
    const std::string what = std::string(target.name) + ", " + one.name();
    check(same_bits(got.output, wanted.output), what + ": output");
    for (int state : {0, 1}) check(same_bits(got.final[state], wanted.final[state]), what + ": final");
    check(same_bits(got.gates, wanted.gates) && same_bits(got.cells, wanted.cells), what + ": gates or cells");
    const auto of_padded = padded.backward(target, wanted, threads), of_packed = packed.backward(target, got, threads);
    for (int name = 0; name < names; ++name)
        check(same_bits(of_packed[name], of_padded[name]), what + ": gradient of " + name_of[name]);
}

void a_wrong_gradient_is_noticed() {
    const Problem p = problem({.spec = {.cell = find_cell("gru"), .inputs = 3, .units = 5}, .steps = 4, .rows = 3});
    const Recurrence<double> recurrence(p);
    const Target& last = *targets().back();
    const auto packed = recurrence.pack(last, 1);
    auto gradients = recurrence.backward(last, recurrence.forward(last, *packed, 1), 1);
    check(off_the_slope(p, gradients, W_HH) < close_to_slope, "a right gradient was not recognised");
    gradients[W_HH][3] += 1e-5;
    check(off_the_slope(p, gradients, W_HH) > close_to_slope, "a wrong gradient was not noticed");
}

void on_one_target(const Target& target) {
    const int64_t shapes[][4] = {
        {1, 1, 1, 1}, {2, 3, 2, 3}, {3, 17, 5, 17}, {5, 2, 33, 33}, {17, 7, 3, 8}, {2, 13, 16, 64}};
    for (const auto& [steps, rows, inputs, units] : shapes)
        for (const Case& one : cases(steps, rows, inputs, units)) {
            const Problem p = problem(one);
            const std::string what = std::string(target.name) + ", " + one.name();
            forward_is_as_the_equations_say<float>(p, target, 1, what + ", float32");
            forward_is_as_the_equations_say<double>(p, target, 1, what + ", float64");
            const Recurrence<double> recurrence(p);
            const auto packed = recurrence.pack(target, 1);
            const auto gradients = recurrence.backward(target, recurrence.forward(target, *packed, 1), 1);
            if (one.spec.units < 30) backward_is_the_slope(p, gradients, what);
            backward_is_the_same_in_both_precisions<float>(p, gradients, target, 1, what + ", float32");
            backward_is_the_same_in_both_precisions<double>(p, gradients, target, 1, what + ", float64");
        }
    for (const Spec& spec : specs(3, 8))
        for (bool masked : {false, true}) {
            const Case one{.spec = spec,
                .steps = 5,
                .rows = 9,
                .reverse = !masked,
                .reset = masked,
                .dropout = masked,
                .zoneout = masked,
                .drawn = spec.bias};
            packed_rows_are_as_padded_ones<float>(one, target, 1);
            packed_rows_are_as_padded_ones<double>(one, target, 1);
        }
    for (const Spec& spec : specs(7, 33))
        for (int64_t rows : {1, 2, 9}) {
            const Problem p = problem({.spec = spec, .steps = 1, .rows = rows});
            a_step_is_a_sequence_of_one<float>(p, target, std::string(target.name) + ", " + p.one.name() + ", float32");
            a_step_is_a_sequence_of_one<double>(
                p, target, std::string(target.name) + ", " + p.one.name() + ", float64");
        }
    // Fewer rows than make one product, more, and more in a single step.
    for (const Spec& spec : specs(3, 8))
        for (const auto& [steps, rows] : {std::pair{4, 3}, {5, 100}, {2, 400}}) {
            steps_back_are_a_sequence_back<float>(spec, steps, rows, target, 1, close_back<float>);
            steps_back_are_a_sequence_back<double>(spec, steps, rows, target, 1, close_back<double>);
        }
}

// Against the same equations with the factors of each product rounded. An h that is off by float32's last digit may now and then
// be rounded the other way, which is 2⁻⁸ of one term of a sum.
constexpr double close_in_halves = 1e-3;
// Of gradients, against those of float64: their own factors are rounded too, each by up to 2⁻⁹ of itself.
constexpr double close_back_in_halves = 1e-2;

void in_halves(const Target& target, int64_t steps, int64_t rows, int64_t inputs, int64_t units, int threads) {
    for (Case one : cases(steps, rows, inputs, units)) {
        // Of an sLSTM's single h the gradient is the small rest of four products that were rounded.
        if (is(one.spec, "slstm") && units == 1) continue;
        const Problem exact = problem(one);
        one.spec.bf16 = true;
        const Problem p = problem(one);
        const std::string what = std::string(target.name) + ", " + one.name() + ", threads " + std::to_string(threads);
        const Plain wanted = plain(p, p.inputs);
        const Recurrence<float> recurrence(p);
        const auto packed = recurrence.pack(target, threads);
        const auto got = recurrence.forward(target, *packed, threads);
        check_close(got.output, wanted.output, close_in_halves, what + ": output");
        for (int state : {0, 1}) check_close(got.final[state], wanted.final[state], close_in_halves, what + ": final");
        const Recurrence<double> real(exact);
        const Recurrence<float> single(exact);
        const Target& last = *targets().back();
        const auto gradients = real.backward(last, real.forward(last, *real.pack(last, 1), 1), 1);
        const auto kept = single.forward(last, *single.pack(last, 1), 1);  // so that only the way back is rounded
        const auto back = recurrence.backward(target, kept, threads);
        const auto again = recurrence.backward(target, kept, threads, true);
        for (int name = 0; name < names; ++name) {
            check_close(back[name], gradients[name], close_back_in_halves, what + ": gradient of " + name_of[name]);
            check(again[name] == back[name], what + ": a second backward is not bit-equal, " + name_of[name]);
        }
    }
}

// By units, with a row for each thread and for not all, by rows, and alone: see `split`.
void on_several_threads(const Target& target) {
    const int64_t shapes[][5] = {
        {10, 1, 90, 130, 2}, {6, 2, 40, 100, 2}, {6, 2, 40, 100, 3}, {22, 12, 9, 40, 3}, {3, 2, 3, 2, 3}};
    for (const auto& [steps, rows, inputs, units, several] : shapes)
        for (const Case& one : cases(steps, rows, inputs, units)) {
            if (!one.spec.bias || one.reverse) continue;  // nothing to do with threads
            const int threads = static_cast<int>(several);
            const Problem p = problem(one);
            const Recurrence<double> recurrence(p);
            const auto packed = recurrence.pack(target, 1);
            const auto gradients = recurrence.backward(target, recurrence.forward(target, *packed, 1), 1);
            const auto what = std::string(target.name) + ", " + one.name() + ", threads " + std::to_string(threads);
            forward_is_as_the_equations_say<float>(p, target, threads, what);
            backward_is_the_same_in_both_precisions<float>(p, gradients, target, threads, what);
        }
}

void packed_on_several_threads(const Target& target) {
    for (const Spec& spec : specs(9, 20))
        if (spec.bias) packed_rows_are_as_padded_ones<float>({.spec = spec, .steps = 6, .rows = 50}, target, 3);
}

void steps_back_on_several_threads(const Target& target) {
    for (const Spec& spec : specs(90, 130))
        for (const int64_t rows : {2, 40})
            if (spec.bias) steps_back_are_a_sequence_back<float>(spec, 3, rows, target, 3, close_back<float>);
}

void calls_side_by_side(const Target& target) {
    const Problem p = problem(
        {.spec = {.cell = find_cell("lstm"), .inputs = 20, .units = 40}, .steps = 9, .rows = 8, .lengths = true});
    const Recurrence<float> recurrence(p);
    const auto packed = recurrence.pack(target, 2);
    const auto wanted = recurrence.forward(target, *packed, 2);
    const auto gradients = recurrence.backward(target, wanted, 2);
    std::array<bool, 3> same{};
    std::vector<std::thread> callers;
    for (bool& mine : same)
        callers.emplace_back([&] {
            mine = true;
            for (int round = 0; round < 10; ++round) {
                const auto got = recurrence.forward(target, *packed, 2);
                const auto back = recurrence.backward(target, got, 2);
                // How many threads a call gets depends on who else calls, and with it the order of sums.
                mine &= relative_rms(got.output, wanted.output) < close<float>;
                for (int name = 0; name < names; ++name)
                    mine &= relative_rms(back[name], gradients[name]) < close_back<float>;
            }
        });
    for (auto& caller : callers) caller.join();
    for (bool mine : same) check(mine, std::string(target.name) + ": calls side by side disturb each other");
}

void a_target_is_asked_for_by_name() {
    const auto all = targets();
    check(!all.empty() && !std::strcmp(all.back()->name, "portable"), "the last target is not the portable one");
    for (const Target* one : all) check(&target(one->name) == one, "a target is not found by its name");
    bool refused = false;
    try {
        target("avx1024");
    } catch (const std::invalid_argument&) { refused = true; }
    check(refused, "a target that does not exist was not refused");
}

// Any bit that is changed, and equal parts that change places.
void a_watch_sees_every_change(const Target& target) {
    for (int64_t bytes : {1, 15, 64, 129, 1000, 2048}) {
        std::vector<char> memory(bytes);
        for (int64_t at = 0; at < bytes; ++at) memory[at] = static_cast<char>(at * 37 + at / 256);
        const auto before = target.hash(memory.data(), bytes);
        bool seen = true;
        for (int64_t bit = 0; bit < 8 * bytes; ++bit) {
            memory[bit / 8] ^= static_cast<char>(1 << bit % 8);
            seen &= target.hash(memory.data(), bytes) != before;
            memory[bit / 8] ^= static_cast<char>(1 << bit % 8);
        }
        for (int64_t sign = 3; sign < bytes; sign += 4)  // of two floats, however far apart
            for (int64_t other = sign + 4; other < bytes; other += 4) {
                memory[sign] ^= char(-128), memory[other] ^= char(-128);
                seen &= target.hash(memory.data(), bytes) != before;
                memory[sign] ^= char(-128), memory[other] ^= char(-128);
            }
        for (int64_t apart = 4; 2 * apart <= bytes; apart *= 2) {
            std::swap_ranges(memory.begin(), memory.begin() + apart, memory.begin() + apart);
            seen &= target.hash(memory.data(), bytes) != before;
            std::swap_ranges(memory.begin(), memory.begin() + apart, memory.begin() + apart);
        }
        const std::string what = std::string(target.name) + ", " + std::to_string(bytes) + " bytes";
        check(seen, what + ": a change was not seen");
        check(target.hash(memory.data(), bytes) == before, what + ": a change was seen where there was none");
    }
}

void a_watch_comes_round() {
    std::vector<char> small(100), large(5'000'000);
    const MemoryFingerprint watch({{small.data(), 100}, {large.data(), 5'000'000}, {nullptr, 0}}, 2);
    check(watch.whole(2) && watch.whole(1) && watch.some(), "a watch sees what is not there");
    for (char* changed : {&small[99], &large[0], &large[3'000'000], &large[4'999'999]}) {
        *changed = 1;
        check(!watch.whole(1) && !watch.whole(2), "a watch does not see everything");
        int calls = 1;
        while (watch.some() && calls < 1000) ++calls;
        check(calls <= (changed == &small[99] ? 1 : (5'000'000 >> 12) + 1), "a watch does not come round");
        *changed = 0;
    }
}

// Numbers too small for a full mantissa are 0 inside, and only inside.
void tiny_numbers_are_flushed(int threads) {
    volatile float tiny = 1e-39f, half = 0.5f;
    std::atomic<int> kept{0};
    in_parallel(threads, [&](Team&, int) { kept += tiny * half != 0.0f; });
    check(tiny * half != 0.0f, "tiny numbers are 0 after a call");
#if defined(__x86_64__) || defined(__aarch64__)
    check(kept == 0, "tiny numbers are not 0 inside a call");
#endif
}

void what_is_expected_stays() {
    const size_t bytes = size_t{40} << 20;
    std::vector<char> memory(bytes, 7);
    announce_write(memory.data() + 5, bytes - 5);
    announce_write(memory.data(), 100);
    check(std::ranges::count(memory, 7) == static_cast<int64_t>(bytes), "memory that was to be written has changed");
}

// Fewer rows, units and values of k than a matrix tile has, as many, and more; then by batch and by units.
void on_matrix_tiles(const Target& target, bool everything) {
    const int64_t shapes[][5] = {{2, 1, 1, 1, 1}, {3, 3, 5, 17, 1}, {2, 33, 33, 16, 1}, {3, 17, 40, 33, 1},
        {3, 70, 20, 40, 3}, {10, 1, 90, 130, 2}};
    for (const auto& [steps, rows, inputs, units, threads] : shapes)
        if (everything || threads > 1) in_halves(target, steps, rows, inputs, units, threads);
    for (Spec spec : specs(9, 20)) {
        spec.bf16 = true;
        if (spec.bias) packed_rows_are_as_padded_ones<float>({.spec = spec, .steps = 6, .rows = 50}, target, 3);
        steps_back_are_a_sequence_back<float>(spec, 3, 50, target, 3, close_back_in_halves);
    }
}

int run(bool everything, bool tiles_alone) {
    std::string named;
    if (everything) {
        a_target_is_asked_for_by_name();
        a_wrong_gradient_is_noticed();
        what_is_expected_stays();
    }
    if (!tiles_alone) {
        scans(everything ? 1 : 3);
        a_watch_comes_round();
        for (int threads : {1, 3}) tiny_numbers_are_flushed(threads);
        for (const Target* one : targets()) {
            if (everything) {
                on_one_target(*one);
                a_watch_sees_every_change(*one);
            }
            on_several_threads(*one);
            packed_on_several_threads(*one);
            steps_back_on_several_threads(*one);
            calls_side_by_side(*one);
            named += std::string(" ") + one->name;
        }
    }
    for (const Target* one : targets_for_halves()) {
        on_matrix_tiles(*one, everything || tiles_alone);
        named += std::string(" ") + one->name + "'s tiles";
    }
    std::printf("%d checks, %d failed, on%s; amx: %s\n", checks, failures, named.c_str(), amx_state().c_str());
    return failures ? 1 : 0;
}

}  // namespace seriatim::test

int main(int count, char** words) {
    const std::string which = count < 2 ? "all" : words[1];
    return seriatim::test::run(which == "all", which == "tiles");
}
