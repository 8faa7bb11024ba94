// Whether weights are still what was packed. Each call asks, single steps too, and in Python that took a quarter of such a step.
#include "binding.h"
#include "calls.h"
#include "fingerprint.h"

namespace seriatim {
namespace {

// Tensors as they are now: which they are, of what version, where they stand, and by a watch what values they hold.
class Fingerprint {
public:
    // What stands there must outlive it.
    Fingerprint(const std::vector<nb::object>& tensors, int threads) {
        std::vector<MemoryRange> ranges;
        for (const nb::object& one : tensors) {
            seen_.push_back({one.ptr(), number(one.ptr(), version()), address(one.ptr())});
            const auto bytes = nb::cast<int64_t>(one.attr("nbytes"));
            if (bytes && !seen_.back().address) refuse("weights", "no memory", "tensors with memory");
            ranges.push_back({static_cast<const char*>(at(seen_.back().address)), bytes});
        }
        const nb::gil_scoped_release released;
        watch_ = std::make_unique<MemoryFingerprint>(ranges, checked_threads(threads));
    }

    // Whether these are they, but for None between them; `all` of their values are compared, or some.
    bool same(const nb::tuple& tensors, bool all, int threads) const {
        size_t next = 0;
        for (nb::handle one : tensors) {
            if (one.is_none()) continue;
            if (next == seen_.size() || one.ptr() != seen_[next].tensor) return false;
            if (number(one.ptr(), version()) != seen_[next].version || address(one.ptr()) != seen_[next].address)
                return false;
            ++next;
        }
        if (next != seen_.size()) return false;
        if (!all) return watch_->some();
        const nb::gil_scoped_release released;
        return watch_->whole(checked_threads(threads));
    }

private:
    struct Tensor {
        const PyObject* tensor;  // alone to tell it from others
        Address version, address;
    };
    static Address taken(PyObject* given) {
        const nb::object value = nb::steal(given);
        if (!value) throw nb::python_error();
        return PyLong_AsUnsignedLongLong(value.ptr());
    }
    static Address number(PyObject* of, PyObject* name) { return taken(PyObject_GetAttr(of, name)); }
    static Address address(PyObject* of) {
        static PyObject* const name = PyUnicode_InternFromString("data_ptr");
        return taken(PyObject_VectorcallMethod(name, &of, 1, nullptr));
    }
    static PyObject* version() {
        static PyObject* const name = PyUnicode_InternFromString("_version");
        return name;
    }

    std::vector<Tensor> seen_;
    std::unique_ptr<MemoryFingerprint> watch_;
};

}  // namespace

void bind_fingerprint(nb::module_& module) {
    nb::class_<Fingerprint>(module, "Fingerprint")
        .def(nb::init<const std::vector<nb::object>&, int>(), "tensors"_a, "threads"_a)
        .def("same", &Fingerprint::same);
}

}  // namespace seriatim
