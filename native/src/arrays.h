// Arrays from Python, and their checks. An error names the argument, the value and what was expected.
//
// A call is first built with pointers to void (Forward<void>) and becomes a call in float or double when its kernels are chosen.
// None becomes null; the caller of a kernel checks whether an array is required.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <bit>
#include <optional>
#include <stdexcept>
#include <utility>

#include "engine.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace seriatim {
using Given = nb::ndarray<nb::ro, nb::device::cpu>;
using Written = nb::ndarray<nb::device::cpu>;
template <class Array> using Maybe = std::optional<Array>;
template <class Array> using Several = std::vector<Maybe<Array>>;
template <class Array> using Pointer = typename Array::VoidPtr;  // to const void where it is only read
template <class Array> using SequenceOf = Sequence<std::remove_pointer_t<Pointer<Array>>>;
using Shape = std::vector<int64_t>;
using Type = nb::dlpack::dtype;

[[noreturn]] inline void refuse(const std::string& argument, const std::string& got, const std::string& wanted) {
    throw std::invalid_argument(argument + ": got " + got + ", wanted " + wanted);
}

inline std::string words(Type type) {
    const std::pair<Type, const char*> known[] = {{nb::dtype<float>(), "float32"}, {nb::dtype<double>(), "float64"},
        {nb::dtype<int64_t>(), "int64"}, {nb::dtype<bool>(), "bool"}};
    for (const auto& [one, name] : known)
        if (one == type) return name;
    return "another type";
}

inline std::string words(const Shape& shape) {
    std::string text;
    for (int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
}

template <class Array> Shape shape_of(const Array& array) {
    return {array.shape_ptr(), array.shape_ptr() + array.ndim()};
}

// The shape of an array that must have so many axes.
inline Shape shape_of(const char* argument, const Given& array, size_t axes, const char* wanted) {
    const Shape shape = shape_of(array);
    if (shape.size() != axes) refuse(argument, words(shape), wanted);
    return shape;
}

// float32 or float64.
inline Type real(const char* argument, const Given& array) {
    const Type type = array.dtype();
    if (type != nb::dtype<float>() && type != nb::dtype<double>()) refuse(argument, words(type), "float32 or float64");
    return type;
}

// Checks type, shape, memory, and that the array is dense from axis `dense` on.
template <class Array>
void check(const std::string& argument, const Array& array, Type type, const Shape& wanted, size_t dense) {
    if (array.dtype() != type) refuse(argument, words(array.dtype()), words(type));
    if (shape_of(array) != wanted) refuse(argument, words(shape_of(array)), words(wanted));
    if (array.size() && !array.data()) refuse(argument, "no memory", "an array with memory");
    int64_t stride = 1;
    for (size_t axis = array.size() ? array.ndim() : 0; axis-- > dense; stride *= wanted[axis])
        if (wanted[axis] != 1 && array.stride(axis) != stride)
            refuse(argument, "strides", dense ? "values that stand dense in the last axis" : "a contiguous array");
}

// A contiguous array of that type and shape.
template <class Array>
Pointer<Array> dense(const std::string& argument, const Array& array, Type type, const Shape& wanted) {
    check(argument, array, type, wanted, 0);
    return array.data();
}

template <class Array>
Pointer<Array> dense(const std::string& argument, const Maybe<Array>& array, Type type, const Shape& wanted) {
    return array ? dense(argument, *array, type, wanted) : nullptr;
}

template <class T> const T* dense(const char* argument, const Maybe<Given>& array, const Shape& wanted) {
    return static_cast<const T*>(dense(argument, array, nb::dtype<T>(), wanted));
}

// [T, B, width] with any strides in T and B; with `may_repeat`, T and B may be 1 where the call has more.
template <class Array>
SequenceOf<Array> sequence(const char* argument, const Array& array, Type type, Shape wanted, bool may_repeat = false) {
    const auto single = [&](size_t axis) { return array.ndim() == 3 && array.shape(axis) == 1; };
    for (size_t axis : {0, 1})
        if (may_repeat && single(axis)) wanted[axis] = 1;
    check(argument, array, type, wanted, 2);
    return {array.data(), single(0) ? 0 : array.stride(0), single(1) ? 0 : array.stride(1)};
}

template <class Array> SequenceOf<Array> sequence(
    const char* argument, const Maybe<Array>& array, Type type, const Shape& wanted, bool may_repeat = false) {
    return array ? sequence(argument, *array, type, wanted, may_repeat) : SequenceOf<Array>{};
}

template <class Entry>
const Entry& one(const char* argument, const std::vector<Entry>& list, size_t at, size_t wanted) {
    if (list.size() != wanted) refuse(argument, std::to_string(list.size()) + " arrays", std::to_string(wanted));
    return list[at];
}

// Checks that an address is not null if it is needed, and that it is aligned.
inline void check_address(const char* argument, const void* data, Type type, bool needed = true) {
    if (!data && needed) refuse(argument, "None", "an array");
    if (reinterpret_cast<uintptr_t>(data) & (type.bits / 8 - 1))  // a division would cost more than all else here
        refuse(argument, "unaligned memory", "aligned memory");
}

template <class Value>
Value named(const char* argument, const std::string& name, std::initializer_list<std::pair<const char*, Value>> table) {
    std::string known;
    for (const auto& [key, value] : table) {
        if (name == key) return value;
        known += (known.empty() ? "" : ", ") + std::string(key);
    }
    refuse(argument, "'" + name + "'", known);
}

inline int checked_threads(int threads) {
    if (threads < 1 || threads > 1024) refuse("threads", std::to_string(threads), "1 to 1024");
    return threads;
}

// Calls work(kernels) with the kernels of `type`.
template <class Work> void with_kernels(const Target& target, Type type, const Work& work) {
    type == nb::dtype<double>() ? work(target.real()) : work(target.single());
}

// Lengths [B], each from 1 to `steps`; may be None.
inline const int64_t* lengths_of(const Maybe<Given>& array, int64_t steps, int64_t rows) {
    const int64_t* lengths = dense<int64_t>("lengths", array, {rows});
    for (int64_t row = 0; lengths && row < rows; ++row)
        if (lengths[row] < 1 || lengths[row] > steps)
            refuse("lengths", std::to_string(lengths[row]), "1 to " + std::to_string(steps));
    return lengths;
}

}  // namespace seriatim
