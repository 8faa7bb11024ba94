// Scratch memory and lists of one target.
//
// Not std::vector or std::min here or in any header of a target: two targets would instantiate the same function for
// different processors, and the linker keeps one for all.
#pragma once

#include <cstdint>
#include <type_traits>

#include "memory.h"

namespace seriatim::SERIATIM_TARGET {

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t up_to(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }

template <class T>
void copy(const T* from, int64_t count, T* to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

template <class T>
void fill(T* to, int64_t count, T value) {
    for (int64_t i = 0; i < count; ++i) to[i] = value;
}

// `count` values of T for as long as the lease lives; not cleared.
template <class T>
class Lease {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    Lease() = default;
    explicit Lease(int64_t count)
        : bytes_(static_cast<size_t>(count) * sizeof(T)),
          data_(count > 0 ? static_cast<T*>(lease_bytes(bytes_)) : nullptr) {}
    Lease(int64_t count, T value) : Lease(count) { fill(data_, count, value); }
    Lease(Lease&& other) noexcept : bytes_(other.bytes_), data_(other.data_) { other.data_ = nullptr; }
    Lease& operator=(Lease&& other) noexcept {
        T* mine = data_;
        const size_t bytes = bytes_;
        data_ = other.data_, bytes_ = other.bytes_;
        other.data_ = mine, other.bytes_ = bytes;
        return *this;
    }
    ~Lease() {
        if (data_) give_back(data_, bytes_);
    }
    T* get() const { return data_; }
    T& operator[](int64_t at) const { return data_[at]; }
    explicit operator bool() const { return data_ != nullptr; }

private:
    size_t bytes_ = 0;
    T* data_ = nullptr;
};

// The same on the stack, where it is no more than `few`.
template <class T, int64_t few>
class Brief {
public:
    explicit Brief(int64_t count) : lease_(count > few ? count : 0) {}
    T* get() { return lease_ ? lease_.get() : reinterpret_cast<T*>(here_); }

private:
    alignas(64) unsigned char here_[few * sizeof(T)];
    const Lease<T> lease_;
};

// A list that is filled up to a size that is known beforehand.
template <class T>
class List {
public:
    List() = default;
    explicit List(int64_t room) : items_(room) {}
    void add(const T& item) { items_[size_++] = item; }
    void clear() { size_ = 0; }
    int64_t size() const { return size_; }
    T& operator[](int64_t at) const { return items_[at]; }
    T* begin() const { return items_.get(); }
    T* end() const { return items_.get() + size_; }

private:
    Lease<T> items_;
    int64_t size_ = 0;
};

}  // namespace seriatim::SERIATIM_TARGET
