// The diagonal linear recurrence as functions of the module. Everything is checked here; native/README.md is the contract.
#include "arrays.h"
#include "binding.h"

namespace seriatim {
namespace {

// A call's arrays, each of which is one of real numbers or two of complex ones.
template <class Array> using Parts = std::vector<Array>;

struct Reader {
    Type type;
    int64_t steps, rows, units;
    size_t parts;

    template <class Array> void states(const char* argument, const Parts<Array>& given, Pointer<Array> (&to)[2]) const {
        for (size_t part = 0; part < parts; ++part)
            to[part] = dense(argument, one(argument, given, part, parts), type, {rows, units});
    }
    // With `may_repeat`, at one step or for one row where the call has more.
    template <class Array> void sequences(
        const char* argument, const Parts<Array>& given, SequenceOf<Array> (&to)[2], bool may_repeat = false) const {
        for (size_t part = 0; part < parts; ++part)
            to[part] = sequence(argument, one(argument, given, part, parts), type, {steps, rows, units}, may_repeat);
    }

    // What scans of a and b and those of gates have in common.
    Scan<void> call(const Parts<Given>& first, const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset,
        const Parts<Written>& h) const {
        Scan<void> call{.steps = steps, .rows = rows, .units = units, .complex = parts == 2, .reverse = reverse};
        call.lengths = lengths_of(lengths, steps, rows);
        call.reset = dense<bool>("reset", reset, {steps, rows});
        states("first", first, call.first);
        sequences("h", h, call.h);
        return call;
    }
};

Reader reader_of(const Parts<Given>& b) {
    constexpr const char* wanted = "[T, B, H], or two such";
    if (b.empty() || b.size() > 2) refuse("b", std::to_string(b.size()) + " arrays", wanted);
    const Shape shape = shape_of("b", b[0], 3, wanted);
    return {real("b", b[0]), shape[0], shape[1], shape[2], b.size()};
}

Reader reader_of(const Given& u, const Given& first) {
    const Shape shape = shape_of("u", u, 3, "[T, B, G·H]");
    return {real("u", u), shape[0], shape[1], shape_of("first", first, 2, "[B, H]")[1], 1};
}

void run(Type type, const Scan<void>& call, int threads) {
    checked_threads(threads);
    const nb::gil_scoped_release released;
    with_kernels(target(), type,
        [&]<class T>(const Kernels<T>& kernels) { kernels.scan_forward(std::bit_cast<Scan<T>>(call), threads); });
}

void run(Type type, const Scan<void>& call, const ScanGradients<void>& grad, int threads) {
    checked_threads(threads);
    const nb::gil_scoped_release released;
    with_kernels(target(), type, [&]<class T>(const Kernels<T>& kernels) {
        kernels.scan_backward(std::bit_cast<Scan<T>>(call), std::bit_cast<ScanGradients<T>>(grad), threads);
    });
}

void run_scan(const Parts<Given>& a, const Parts<Given>& b, const Parts<Given>& first, const Maybe<Given>& lengths,
    bool reverse, const Maybe<Given>& reset, const Parts<Written>& h, const Parts<Written>& last, int threads) {
    const Reader read = reader_of(b);
    Scan<void> call = read.call(first, lengths, reverse, reset, h);
    read.sequences("a", a, call.a, true);
    read.sequences("b", b, call.b);
    read.states("last", last, call.last);
    run(read.type, call, threads);
}

void run_scan_backward(const Parts<Given>& a, const Parts<Given>& b, const Parts<Given>& first,
    const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Parts<Written>& h,
    const Parts<Given>& grad_h, const Parts<Given>& grad_last, const Parts<Written>& grad_a,
    const Parts<Written>& grad_b, const Parts<Written>& grad_first, int threads) {
    Reader read = reader_of(b);
    Scan<void> call = read.call(first, lengths, reverse, reset, h);
    read.sequences("a", a, call.a, true);
    read.sequences("b", b, call.b);
    ScanGradients<void> grad{.over_time = call.steps > 1 && call.a[0].by_step == 0};
    read.sequences("grad_h", grad_h, grad.h);
    read.states("grad_last", grad_last, grad.last);
    read.sequences("grad_b", grad_b, grad.b);
    read.states("grad_first", grad_first, grad.first);
    if (grad.over_time) read.steps = 1;
    read.sequences("grad_a", grad_a, grad.a);
    run(read.type, call, grad, threads);
}

// minGRU and minLSTM out of their input part u [T, B, G·H].
Scan<void> gated(const Reader& read, const std::string& kind, const Given& u, const Given& first,
    const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Written& h) {
    Scan<void> call = read.call({first}, lengths, reverse, reset, {h});
    call.gates = named<Gates>("kind", kind, {{"mingru", Gates::mingru}, {"minlstm", Gates::minlstm}});
    const int64_t blocks = call.gates == Gates::mingru ? 2 : 3;
    call.u = sequence("u", u, read.type, {read.steps, read.rows, blocks * read.units});
    return call;
}

void run_gated(const std::string& kind, const Given& u, const Given& first, const Maybe<Given>& lengths, bool reverse,
    const Maybe<Given>& reset, const Written& h, const Written& last, int threads) {
    const Reader read = reader_of(u, first);
    Scan<void> call = gated(read, kind, u, first, lengths, reverse, reset, h);
    read.states<Written>("last", {last}, call.last);
    run(read.type, call, threads);
}

void run_gated_backward(const std::string& kind, const Given& u, const Given& first, const Maybe<Given>& lengths,
    bool reverse, const Maybe<Given>& reset, const Written& h, const Given& grad_h, const Given& grad_last,
    const Written& grad_u, const Written& grad_first, int threads) {
    const Reader read = reader_of(u, first);
    const Scan<void> call = gated(read, kind, u, first, lengths, reverse, reset, h);
    ScanGradients<void> grad;
    read.sequences<Given>("grad_h", {grad_h}, grad.h);
    read.states<Given>("grad_last", {grad_last}, grad.last);
    grad.u = sequence("grad_u", grad_u, read.type, shape_of(u));
    read.states<Written>("grad_first", {grad_first}, grad.first);
    run(read.type, call, grad, threads);
}

}  // namespace

void bind_scan(nb::module_& module) {
    module.def("scan", run_scan, "a"_a, "b"_a, "first"_a, "lengths"_a.none(), "reverse"_a, "reset"_a.none(), "h"_a,
        "last"_a, "threads"_a);
    module.def("scan_backward", run_scan_backward, "a"_a, "b"_a, "first"_a, "lengths"_a.none(), "reverse"_a,
        "reset"_a.none(), "h"_a, "grad_h"_a, "grad_last"_a, "grad_a"_a, "grad_b"_a, "grad_first"_a, "threads"_a);
    module.def("gated_scan", run_gated, "kind"_a, "u"_a, "first"_a, "lengths"_a.none(), "reverse"_a, "reset"_a.none(),
        "h"_a, "last"_a, "threads"_a);
    module.def("gated_scan_backward", run_gated_backward, "kind"_a, "u"_a, "first"_a, "lengths"_a.none(), "reverse"_a,
        "reset"_a.none(), "h"_a, "grad_h"_a, "grad_last"_a, "grad_u"_a, "grad_first"_a, "threads"_a);
}

}  // namespace seriatim
