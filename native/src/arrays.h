// Arrays as Python hands them over, checked: what is wrong is said with the argument, what came and what was wanted.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <type_traits>

#include "engine.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace seriatim {
using Given = nb::ndarray<nb::ro, nb::device::cpu>;
using Written = nb::ndarray<nb::device::cpu>;
template <class Array>
using Maybe = std::optional<Array>;
template <class Array>
using Several = std::vector<Maybe<Array>>;
using Shape = std::vector<int64_t>;

[[noreturn]] inline void refuse(const std::string& argument, const std::string& got, const std::string& wanted) {
    throw std::invalid_argument(argument + ": got " + got + ", wanted " + wanted);
}

inline std::string words(const Shape& shape) {
    std::ostringstream text;
    text << "[";
    for (size_t i = 0; i < shape.size(); ++i) text << (i ? ", " : "") << shape[i];
    text << "]";
    return text.str();
}

template <class Array>
Shape shape_of(const Array& array) {
    Shape shape;
    for (size_t axis = 0; axis < array.ndim(); ++axis) shape.push_back(static_cast<int64_t>(array.shape(axis)));
    return shape;
}

template <class T>
const char* type_name() {
    if constexpr (std::is_same_v<T, float>) return "float32";
    else if constexpr (std::is_same_v<T, double>) return "float64";
    else if constexpr (std::is_same_v<T, int64_t>) return "int64";
    else return "bool";
}

template <class T, class Array>
void check(const std::string& argument, const Array& array, const Shape& wanted) {
    if (array.dtype() != nb::dtype<T>()) refuse(argument, "another type", type_name<T>());
    if (shape_of(array) != wanted) refuse(argument, words(shape_of(array)), words(wanted));
}

template <class Array>
bool dense_from(const Array& array, size_t axis) {
    int64_t stride = 1;
    for (size_t at = array.ndim(); at-- > axis;) {
        if (array.shape(at) != 1 && array.stride(at) != stride) return false;
        stride *= static_cast<int64_t>(array.shape(at));
    }
    return true;
}

// Whether an address is there, where it must be, and is one of a value.
template <class T>
void check_address(const char* argument, const T* data, bool needed = true) {
    if (!data && needed) refuse(argument, "None", "an array");
    if (reinterpret_cast<uintptr_t>(data) % sizeof(T))
        refuse(argument, "unaligned memory", "values at their own places");
}

// A contiguous array of that shape; null for None where that is allowed.
template <class T, class Array>
auto dense(const std::string& argument, const Maybe<Array>& array, const Shape& wanted, bool needed = true) {
    using Pointer = std::conditional_t<std::is_same_v<Array, Given>, const T*, T*>;
    if (!array) {
        if (needed) refuse(argument, "None", words(wanted));
        return Pointer(nullptr);
    }
    check<T>(argument, *array, wanted);
    if (array->size() && !dense_from(*array, 0)) refuse(argument, "strides", "a contiguous array");
    return static_cast<Pointer>(array->data());
}

// [T, B, width] with any strides in T and B; with `may_repeat`, T and B may be 1 where the call has more.
template <class T, class Array>
auto sequence(const std::string& argument, const Maybe<Array>& array, Shape wanted, bool needed = true,
              bool may_repeat = false) {
    using Value = std::conditional_t<std::is_same_v<Array, Given>, const T, T>;
    Sequence<Value> found;
    if (!array) {
        if (needed) refuse(argument, "None", words(wanted));
        return found;
    }
    if (may_repeat && array->ndim() == 3)
        for (size_t axis : {0, 1})
            if (array->shape(axis) == 1) wanted[axis] = 1;
    check<T>(argument, *array, wanted);
    if (array->size() && !dense_from(*array, 2))
        refuse(argument, "strides", "values that stand dense in the last axis");
    found.data = static_cast<Value*>(array->data());
    found.by_step = may_repeat && array->shape(0) == 1 ? 0 : array->stride(0);
    found.by_row = may_repeat && array->shape(1) == 1 ? 0 : array->stride(1);
    return found;
}

template <class Array>
const Maybe<Array>& one(const std::string& argument, const Several<Array>& list, size_t at, size_t wanted) {
    if (list.size() != wanted) refuse(argument, std::to_string(list.size()) + " arrays", std::to_string(wanted));
    return list[at];
}

template <class Value>
Value named(const char* argument, const std::string& name, const std::map<std::string, Value>& table) {
    if (const auto found = table.find(name); found != table.end()) return found->second;
    std::string known;
    for (const auto& [key, value] : table) known += (known.empty() ? "" : ", ") + key;
    refuse(argument, "'" + name + "'", known);
}

// `work(T{})` for the type of an array.
template <class Array, class Work>
auto by_type(const std::string& argument, const Array& array, const Work& work) {
    if (array.dtype() == nb::dtype<float>()) return work(float{});
    if (array.dtype() == nb::dtype<double>()) return work(double{});
    refuse(argument, "another type", "float32 or float64");
}

inline int checked_threads(int threads) {
    if (threads < 1 || threads > 1024) refuse("threads", std::to_string(threads), "1 to 1024");
    return threads;
}

template <class T>
const Kernels<T>& kernels_of(const Target& target) {
    if constexpr (std::is_same_v<T, float>) return target.single();
    else return target.real();
}

// Lengths [B], each from 1 to `steps`; may be None.
inline const int64_t* lengths_of(const Maybe<Given>& array, int64_t steps, int64_t rows) {
    const int64_t* lengths = dense<int64_t>("lengths", array, {rows}, false);
    for (int64_t row = 0; lengths && row < rows; ++row)
        if (lengths[row] < 1 || lengths[row] > steps)
            refuse("lengths", std::to_string(lengths[row]), "1 to " + std::to_string(steps));
    return lengths;
}

}  // namespace seriatim
