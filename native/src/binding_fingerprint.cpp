// Finds out whether weights have changed since they were packed. Every call does this, single steps too, where Python would need a
// quarter of the step for it.
#include <memory>

#include "binding.h"
#include "fingerprint.h"

namespace seriatim {
namespace {

// Identity, version, address and hash of tensors at one moment.
class Fingerprint {
public:
    // The memory of the tensors must outlive it.
    Fingerprint(const std::vector<nb::object>& tensors, int threads) {
        std::vector<MemoryRange> ranges;
        for (const nb::object& tensor : tensors) {
            tensors_.push_back({tensor.ptr(), version(tensor.ptr()), address(tensor.ptr())});
            const auto bytes = nb::cast<int64_t>(tensor.attr("nbytes"));
            if (bytes && !tensors_.back().address) refuse("weights", "no memory", "tensors with memory");
            ranges.push_back({static_cast<const char*>(at(tensors_.back().address)), bytes});
        }
        check_threads(threads);
        const nb::gil_scoped_release released;
        memory_ = std::make_unique<MemoryFingerprint>(ranges, threads);
    }

    // Whether these tensors, without None, are the same and unchanged. With `all`, all of their values are compared, otherwise some.
    bool same(const nb::tuple& tensors, bool all, int threads) const {
        size_t next = 0;
        for (nb::handle tensor : tensors) {
            if (tensor.is_none()) continue;
            if (next == tensors_.size() || tensor.ptr() != tensors_[next].identity) return false;
            if (version(tensor.ptr()) != tensors_[next].version || address(tensor.ptr()) != tensors_[next].address)
                return false;
            ++next;
        }
        if (next != tensors_.size()) return false;
        if (!all) return memory_->some();
        check_threads(threads);
        const nb::gil_scoped_release released;
        return memory_->whole(threads);
    }

private:
    struct Tensor {
        const PyObject* identity;  // compared, never read
        Address version, address;
    };
    // Takes ownership of a Python number.
    static Address number(PyObject* object) {
        const nb::object value = nb::steal(object);
        if (!value) throw nb::python_error();
        return PyLong_AsUnsignedLongLong(value.ptr());
    }
    static Address version(PyObject* tensor) {
        static PyObject* const name = PyUnicode_InternFromString("_version");
        return number(PyObject_GetAttr(tensor, name));
    }
    static Address address(PyObject* tensor) {
        static PyObject* const name = PyUnicode_InternFromString("data_ptr");
        return number(PyObject_VectorcallMethod(name, &tensor, 1, nullptr));
    }

    std::vector<Tensor> tensors_;
    std::unique_ptr<MemoryFingerprint> memory_;
};

}  // namespace

void bind_fingerprint(nb::module_& module) {
    nb::class_<Fingerprint>(module, "Fingerprint")
        .def(nb::init<const std::vector<nb::object>&, int>(), "tensors"_a, "threads"_a)
        .def("same", &Fingerprint::same);
}

}  // namespace seriatim
