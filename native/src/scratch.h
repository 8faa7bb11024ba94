// Scratch memory and lists, for use inside a target.
//
// No header of a target uses std::vector or std::min: two targets would instantiate the same function for different processors,
// and the linker keeps one of them for all. min and max here belong to each target's own namespace.
#pragma once

#include <cstdint>
#include <type_traits>

#include "memory.h"

namespace seriatim::SERIATIM_TARGET {

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t round_up(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }

template <class T> void copy(const T* from, int64_t count, T* to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

template <class T> void fill(T* to, int64_t count, T value) {
    for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// Memory for `count` values of T, returned by the destructor. It is not cleared.
template <class T> class Scratch {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    Scratch() = default;
    explicit Scratch(int64_t count)
        : bytes_(static_cast<size_t>(count) * sizeof(T)),
          data_(count > 0 ? static_cast<T*>(take_scratch(bytes_)) : nullptr) {}
    Scratch(int64_t count, T value) : Scratch(count) { fill(data_, count, value); }
    Scratch(Scratch&& other) noexcept : bytes_(other.bytes_), data_(other.data_) { other.data_ = nullptr; }
    Scratch& operator=(Scratch&& other) noexcept {
        T* mine = data_;
        const size_t bytes = bytes_;
        data_ = other.data_, bytes_ = other.bytes_;
        other.data_ = mine, other.bytes_ = bytes;
        return *this;
    }
    ~Scratch() {
        if (data_) return_scratch(data_, bytes_);
    }
    T* get() const { return data_; }
    T& operator[](int64_t at) const { return data_[at]; }
    explicit operator bool() const { return data_ != nullptr; }

private:
    size_t bytes_ = 0;
    T* data_ = nullptr;
};

// The same, but on the stack for at most `few` values.
template <class T, int64_t few> class SmallScratch {
public:
    explicit SmallScratch(int64_t count) : scratch_(count > few ? count : 0) {}
    T* get() { return scratch_ ? scratch_.get() : reinterpret_cast<T*>(stack_); }

private:
    alignas(64) unsigned char stack_[few * sizeof(T)];
    const Scratch<T> scratch_;
};

// A list with a fixed capacity.
template <class T> class List {
public:
    List() = default;
    explicit List(int64_t capacity) : items_(capacity) {}
    void add(const T& item) { items_[size_++] = item; }
    void clear() { size_ = 0; }
    int64_t size() const { return size_; }
    T& operator[](int64_t at) const { return items_[at]; }
    T* begin() const { return items_.get(); }
    T* end() const { return items_.get() + size_; }

private:
    Scratch<T> items_;
    int64_t size_ = 0;
};

}  // namespace seriatim::SERIATIM_TARGET
