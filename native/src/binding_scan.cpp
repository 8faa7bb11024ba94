// The diagonal linear recurrence as functions of the module. Everything is checked here; native/README.md is the contract.
#include "arrays.h"
#include "binding.h"

namespace seriatim {
namespace {

// One array of real numbers, or two of complex ones.
template <class T, class Array>
void scanned(const std::string& argument, const Several<Array>& given, const Shape& wanted, auto (&into)[2],
             bool complex, bool needed = true, bool may_repeat = false) {
    const size_t parts = complex ? 2 : 1;
    for (size_t part = 0; part < parts; ++part)
        into[part] = sequence<T>(argument, one(argument, given, part, parts), wanted, needed, may_repeat);
}

template <class T, class Array>
void scan_states(const std::string& argument, const Several<Array>& given, const Shape& wanted, auto* (&into)[2],
                 bool complex, bool needed = true) {
    const size_t parts = complex ? 2 : 1;
    for (size_t part = 0; part < parts; ++part)
        into[part] = dense<T>(argument, one(argument, given, part, parts), wanted, needed);
}

template <class T, class Array>
Scan<T> scan_call(const Several<Given>& a, const Several<Given>& b, const Several<Given>& first,
                  const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Several<Array>& h) {
    const Shape shape = shape_of(*b[0]), state{shape[1], shape[2]};
    Scan<T> call;
    call.steps = shape[0], call.rows = shape[1], call.units = shape[2];
    call.complex = b.size() == 2, call.reverse = reverse;
    call.lengths = lengths_of(lengths, call.steps, call.rows);
    call.reset = dense<bool>("reset", reset, {call.steps, call.rows}, false);
    scanned<T>("a", a, shape, call.a, call.complex, true, true);
    scanned<T>("b", b, shape, call.b, call.complex);
    scan_states<T>("first", first, state, call.first, call.complex);
    for (size_t part = 0; part < b.size(); ++part) {
        const auto found = sequence<T>("h", one("h", h, part, b.size()), shape);
        call.h[part] = {const_cast<T*>(found.data), found.by_step, found.by_row};
    }
    return call;
}

void check_pairs(const Several<Given>& b) {
    if (b.empty() || b.size() > 2 || !b[0] || b[0]->ndim() != 3)
        refuse("b", "something else", "[T, B, H], or two such");
}

void run_scan(const Several<Given>& a, const Several<Given>& b, const Several<Given>& first,
              const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Several<Written>& h,
              const Several<Written>& last, int threads) {
    check_pairs(b);
    by_type("b", *b.front(), [&]<class T>(T) {
        Scan<T> call = scan_call<T>(a, b, first, lengths, reverse, reset, h);
        scan_states<T>("last", last, {call.rows, call.units}, call.last, call.complex);
        const nb::gil_scoped_release released;
        kernels_of<T>(target()).scan_forward(call, checked_threads(threads));
    });
}

void run_scan_backward(const Several<Given>& a, const Several<Given>& b, const Several<Given>& first,
                       const Maybe<Given>& lengths, bool reverse, const Maybe<Given>& reset, const Several<Given>& h,
                       const Several<Given>& grad_h, const Several<Given>& grad_last, const Several<Written>& grad_a,
                       const Several<Written>& grad_b, const Several<Written>& grad_first, int threads) {
    check_pairs(b);
    by_type("b", *b.front(), [&]<class T>(T) {
        const Scan<T> call = scan_call<T>(a, b, first, lengths, reverse, reset, h);
        const Shape shape{call.steps, call.rows, call.units}, state{call.rows, call.units};
        ScanGradients<T> grad;
        grad.over_time = call.steps > 1 && call.a[0].by_step == 0;
        scanned<T>("grad_h", grad_h, shape, grad.h, call.complex, false);
        scan_states<T>("grad_last", grad_last, state, grad.last, call.complex, false);
        scanned<T>("grad_a", grad_a, {grad.over_time ? 1 : call.steps, call.rows, call.units}, grad.a, call.complex);
        scanned<T>("grad_b", grad_b, shape, grad.b, call.complex);
        scan_states<T>("grad_first", grad_first, state, grad.first, call.complex);
        const nb::gil_scoped_release released;
        kernels_of<T>(target()).scan_backward(call, grad, checked_threads(threads));
    });
}

// minGRU and minLSTM out of their input part u [T, B, G·H].
template <class T>
Scan<T> gated_call(const std::string& kind, const Given& u, const Maybe<Given>& first, const Maybe<Given>& lengths,
                   bool reverse, const Maybe<Given>& reset) {
    Scan<T> call;
    call.gates = named<Gates>("kind", kind, {{"mingru", Gates::mingru}, {"minlstm", Gates::minlstm}});
    if (u.ndim() != 3) refuse("u", words(shape_of(u)), "[T, B, G·H]");
    if (!first || first->ndim() != 2) refuse("first", first ? words(shape_of(*first)) : "None", "[B, H]");
    const Shape shape = shape_of(u);
    call.steps = shape[0], call.rows = shape[1], call.units = shape_of(*first)[1], call.reverse = reverse;
    const int64_t blocks = call.gates == Gates::mingru ? 2 : 3;
    call.u = sequence<T>("u", Maybe<Given>(u), {call.steps, call.rows, blocks * call.units});
    call.first[0] = dense<T>("first", first, {call.rows, call.units});
    call.lengths = lengths_of(lengths, call.steps, call.rows);
    call.reset = dense<bool>("reset", reset, {call.steps, call.rows}, false);
    return call;
}

void run_gated(const std::string& kind, const Given& u, const Maybe<Given>& first, const Maybe<Given>& lengths,
               bool reverse, const Maybe<Given>& reset, const Maybe<Written>& h, const Maybe<Written>& last,
               int threads) {
    by_type("u", u, [&]<class T>(T) {
        Scan<T> call = gated_call<T>(kind, u, first, lengths, reverse, reset);
        call.h[0] = sequence<T>("h", h, {call.steps, call.rows, call.units});
        call.last[0] = dense<T>("last", last, {call.rows, call.units});
        const nb::gil_scoped_release released;
        kernels_of<T>(target()).scan_forward(call, checked_threads(threads));
    });
}

void run_gated_backward(const std::string& kind, const Given& u, const Maybe<Given>& first, const Maybe<Given>& lengths,
                        bool reverse, const Maybe<Given>& reset, const Maybe<Given>& h, const Maybe<Given>& grad_h,
                        const Maybe<Given>& grad_last, const Maybe<Written>& grad_u, const Maybe<Written>& grad_first,
                        int threads) {
    by_type("u", u, [&]<class T>(T) {
        Scan<T> call = gated_call<T>(kind, u, first, lengths, reverse, reset);
        const Shape shape{call.steps, call.rows, call.units}, state{call.rows, call.units};
        const auto read = sequence<T>("h", h, shape);
        call.h[0] = {const_cast<T*>(read.data), read.by_step, read.by_row};
        ScanGradients<T> grad;
        grad.h[0] = sequence<T>("grad_h", grad_h, shape, false);
        grad.last[0] = dense<T>("grad_last", grad_last, state, false);
        grad.u = sequence<T>("grad_u", grad_u, shape_of(u));
        grad.first[0] = dense<T>("grad_first", grad_first, state);
        const nb::gil_scoped_release released;
        kernels_of<T>(target()).scan_backward(call, grad, checked_threads(threads));
    });
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
               "reset"_a.none(), "h"_a, "grad_h"_a.none(), "grad_last"_a.none(), "grad_u"_a, "grad_first"_a,
               "threads"_a);
}

}  // namespace seriatim
