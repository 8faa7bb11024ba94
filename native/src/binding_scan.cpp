// The diagonal linear recurrence for Python. native/README.md is the contract.
#include <algorithm>

#include "binding.h"

namespace seriatim {
namespace {

// One scan, forward and then backward. Every array is contiguous, except that a may repeat. Arguments that are lists have one array of
// real numbers or two of complex numbers, the real parts and the imaginary parts.
class ScanCall {
public:
    ScanCall(const std::string& gates, bool is_float64, int64_t steps, int64_t rows, int64_t units, Address u,
        const Addresses& a, int64_t a_by_step, int64_t a_by_row, const Addresses& b, const Addresses& first,
        Address lengths, bool reverse, Address reset, const Addresses& h)
        : type_{is_float64}, parts_(first.size()) {
        call_.gates = named<Gates>(
            "gates", gates, {{"none", Gates::none}, {"mingru", Gates::mingru}, {"minlstm", Gates::minlstm}});
        if (steps < 0 || rows < 0 || units < 0) refuse("sizes", std::min(steps, std::min(rows, units)), "0 or more");
        if (parts_ < 1 || parts_ > (call_.gates == Gates::none ? 2 : 1))
            refuse("first", std::to_string(parts_) + " arrays", "1 or 2");
        call_.steps = steps, call_.rows = rows, call_.units = units, call_.complex = parts_ == 2,
        call_.reverse = reverse;
        call_.lengths = static_cast<const int64_t*>(at(lengths)), call_.reset = static_cast<const bool*>(at(reset));
        check_address("lengths", call_.lengths, sizeof(int64_t), false);
        check_lengths(call_.lengths, rows, steps);
        if (call_.gates != Gates::none) set("u", u, call_.u);
        for (size_t p = 0; p < parts_; ++p) {
            call_.first[p] = array("first", first, p), set("h", h, p, call_.h[p]);
            if (call_.gates != Gates::none) continue;
            call_.a[p] = {array("a", a, p), a_by_step, a_by_row}, set("b", b, p, call_.b[p]);
        }
    }
    void forward(const Addresses& last, int threads) {
        for (size_t p = 0; p < parts_; ++p) call_.last[p] = array("last", last, p);
        run(threads,
            [&]<class T>(const Kernels<T>& kernels) { kernels.scan_forward(std::bit_cast<Scan<T>>(call_), threads); });
    }
    void backward(const Addresses& grad_h, const Addresses& grad_last, Address grad_u, const Addresses& grad_a,
        const Addresses& grad_b, const Addresses& grad_first, int threads) const {
        ScanGradients<void> grad{.over_time = call_.steps > 1 && call_.a[0].by_step == 0};
        if (call_.gates != Gates::none) set("grad_u", grad_u, grad.u);
        for (size_t p = 0; p < parts_; ++p) {
            set("grad_h", grad_h, p, grad.h[p]), grad.last[p] = array("grad_last", grad_last, p);
            grad.first[p] = array("grad_first", grad_first, p);
            if (call_.gates != Gates::none) continue;
            set("grad_a", grad_a, p, grad.a[p]), set("grad_b", grad_b, p, grad.b[p]);
        }
        run(threads, [&]<class T>(const Kernels<T>& kernels) {
            kernels.scan_backward(std::bit_cast<Scan<T>>(call_), std::bit_cast<ScanGradients<T>>(grad), threads);
        });
    }

private:
    void* array(const char* argument, Address address) const {
        type_.check(argument, at(address), call_.steps && call_.rows && call_.units);
        return at(address);
    }
    void* array(const char* argument, const Addresses& list, size_t part) const {
        check_count(argument, list.size(), parts_);
        return array(argument, list[part]);
    }
    template <class Value>
    void set(const char* argument, const Addresses& list, size_t part, Sequence<Value>& to) const {
        to = {array(argument, list, part), call_.rows * call_.units, call_.units};
    }
    // All blocks of gates, or their gradient.
    template <class Value> void set(const char* argument, Address address, Sequence<Value>& to) const {
        const int64_t by_row = (call_.gates == Gates::mingru ? 2 : 3) * call_.units;
        to = {array(argument, address), call_.rows * by_row, by_row};
    }
    template <class Work> void run(int threads, const Work& work) const {
        check_threads(threads);
        const nb::gil_scoped_release released;
        type_.with_kernels(target(), work);
    }
    const Type type_;
    const size_t parts_;
    Scan<void> call_;
};

}  // namespace

void bind_scan(nb::module_& module) {
    nb::class_<ScanCall>(module, "Scan")
        .def(nb::init<const std::string&, bool, int64_t, int64_t, int64_t, Address, const Addresses&, int64_t, int64_t,
            const Addresses&, const Addresses&, Address, bool, Address, const Addresses&>())
        .def("forward", &ScanCall::forward)
        .def("backward", &ScanCall::backward);
}

}  // namespace seriatim
