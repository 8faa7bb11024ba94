// Vectors of one target, by the vector extensions of GCC and Clang, and the functions of the gates.
//
// For the translation unit of a target, which defines SERIATIM_TARGET (a namespace), VECTOR_BYTES and TILE_ROWS.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <utility>

namespace seriatim::SERIATIM_TARGET {

template <class T> struct Lanes;

template <> struct Lanes<float> {
    typedef float Vec __attribute__((vector_size(VECTOR_BYTES)));
    typedef float Loose __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    typedef int32_t Int __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint8_t Flags __attribute__((vector_size(VECTOR_BYTES / 4), aligned(1), may_alias));
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float highest = 88.0f, tanh_is_one = 9.1f;
    // Adding 1.5 · 2²³ rounds to a whole number in the last bits; here the bias of an exponent is included.
    static constexpr float shift = 12582912.0f + bias;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  // ln 2 in two parts, the first short
    // (eʳ - 1 - r) / r² on |r| ≤ ln 2 / 2, lowest power first; fitted for the least relative error in eʳ, 3e-9.
    static constexpr float series[] = {0.49999994f, 0.16666520f, 0.041668393f, 0.0083687808f, 0.0013814501f};
    // (artanh(s) / s - 1) / s² by powers of s² on s² ≤ 1/9, fitted likewise: 5e-9 in artanh.
    static constexpr float artanh[] = {0.33333215f, 0.20010463f, 0.14005137f, 0.13987449f};
};

template <> struct Lanes<double> {
    typedef double Vec __attribute__((vector_size(VECTOR_BYTES)));
    typedef double Loose __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    typedef int64_t Int __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint8_t Flags __attribute__((vector_size(VECTOR_BYTES / 8), aligned(1), may_alias));
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double highest = 708.0, tanh_is_one = 19.1;
    static constexpr double shift = 6755399441055744.0 + bias;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    // Taylor's 1/2!, 1/3!, … 1/14!: the next term is 3e-20.
    static constexpr double series[] = {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
        1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200};
    // Fitted: 2e-18 in artanh.
    static constexpr double artanh[] = {0.333333333333332112, 0.20000000000061337, 0.142857142757849647,
        0.111111118831102616, 0.0909087519238778407, 0.0769321701087622099, 0.0665125157102265858,
        0.0604739574312149035, 0.0419324788848630506, 0.084686349379449012};
};

template <class T> using Vec = typename Lanes<T>::Vec;

template <class T> inline constexpr int width = VECTOR_BYTES / sizeof(T);

template <class T> inline Vec<T> all(T value) { return value - Vec<T>{}; }

template <class T> inline Vec<T> load(const T* from) {
    return *reinterpret_cast<const typename Lanes<T>::Loose*>(from);
}

template <class T> inline void store(T* to, Vec<T> values) {
    *reinterpret_cast<typename Lanes<T>::Loose*>(to) = values;
}

// Loads or stores only the first `count` lanes. The other lanes are 0 after a load.
template <class T> inline Vec<T> load(const T* from, int64_t count) {
    if (count >= width<T>) return load(from);
    Vec<T> values{};
    for (int64_t lane = 0; lane < count; ++lane) values[lane] = from[lane];
    return values;
}

// 0 or 1 for each flag. This works on bits, because compilers convert bytes to floating-point numbers one by one.
template <class T> inline Vec<T> load_flags(const bool* from, int64_t count) {
    using Int = typename Lanes<T>::Int;
    typename Lanes<T>::Flags flags{};
    if (count >= width<T>) flags = *reinterpret_cast<const typename Lanes<T>::Flags*>(from);
    else
        for (int64_t lane = 0; lane < count; ++lane) flags[lane] = from[lane];
    return std::bit_cast<Vec<T>>(-__builtin_convertvector(flags, Int) & std::bit_cast<Int>(all<T>(1)));
}

template <class T> inline void store(T* to, Vec<T> values, int64_t count) {
    if (count >= width<T>) return store(to, values);
    for (int64_t lane = 0; lane < count; ++lane) to[lane] = values[lane];
}

// A store that bypasses the caches, for data that are read again only after other data have filled the caches. `to` is aligned to a
// vector.
template <class T> inline void store_nontemporal(T* to, Vec<T> values) {
#ifdef STORE_NONTEMPORAL
    STORE_NONTEMPORAL(to, values);
#else
    store(to, values);
#endif
}

// A thread calls this after nontemporal stores and before other threads may read them: locks and barriers do not order such stores.
inline void fence_nontemporal() {
#ifdef FENCE_NONTEMPORAL
    FENCE_NONTEMPORAL();
#endif
}

// Lane l plus lane (l xor D), for each lane.
template <class T, int D, int... L> inline Vec<T> with_partner(Vec<T> values, std::integer_sequence<int, L...>) {
    return values + __builtin_shufflevector(values, values, (L ^ D)...);
}

template <class T, int D = 1> inline T sum(Vec<T> values) {
    if constexpr (D == width<T>) return values[0];
    else return sum<T, 2 * D>(with_partner<T, D>(values, std::make_integer_sequence<int, width<T>>{}));
}

// 1 / b, and a / b. If the target has an estimate of 1 / b (to 2⁻¹⁴), Newton's step and a correction of the quotient improve it to
// 1 ULP in half the time of a division.
template <class T> [[gnu::always_inline]] inline Vec<T> reciprocal(Vec<T> b) {
#ifdef RECIPROCAL_FLOAT
    if constexpr (sizeof(T) == sizeof(float)) {
        const Vec<T> guess = RECIPROCAL_FLOAT(b);
        return guess + guess * (T(1) - b * guess);
    }
#endif
    return T(1) / b;
}

template <class T> [[gnu::always_inline]] inline Vec<T> quotient(Vec<T> a, Vec<T> b) {
#ifdef RECIPROCAL_FLOAT
    if constexpr (sizeof(T) == sizeof(float)) {
        const Vec<T> inverse = reciprocal<T>(b), guess = a * inverse;
        return guess + inverse * (a - guess * b);
    }
#endif
    return a / b;
}

// Σ coefficients[k] xᵏ.
template <class T, int N> [[gnu::always_inline]] inline Vec<T> polynomial(const T (&coefficients)[N], Vec<T> x) {
    Vec<T> sum = all<T>(coefficients[N - 1]);
    for (int k = N - 2; k >= 0; --k) sum = sum * x + coefficients[k];
    return sum;
}

template <class T> [[gnu::always_inline]] inline Vec<T> at_most(Vec<T> x, Vec<T> bound) {  // a NaN stays one
#ifdef AT_MOST_FLOAT
    if constexpr (sizeof(T) == sizeof(float)) return AT_MOST_FLOAT(x, bound);
#endif
    return x > bound ? bound : x;
}

template <class T> [[gnu::always_inline]] inline Vec<T> at_least(Vec<T> x, Vec<T> bound) {
#ifdef AT_LEAST_FLOAT
    if constexpr (sizeof(T) == sizeof(float)) return AT_LEAST_FLOAT(x, bound);
#endif
    return x < bound ? bound : x;
}

template <class T> [[gnu::always_inline]] inline Vec<T> magnitude(Vec<T> x) { return x < T(0) ? -x : x; }

// eˢˣ = 2ⁿ eʳ with n whole and |r| ≤ ln 2 / 2: `power` is 2ⁿ and `less_one` is eʳ - 1. s is -1 or 2, and s x within ±highest.
//
// Several vectors go through each step together: the processor looks ahead over about two such chains of instructions, and chains
// one after the other would wait.
template <class T, int N> struct Exponentials {
    Vec<T> power[N], less_one[N];

    [[gnu::always_inline]] Exponentials(const Vec<T> (&x)[N], const int (&s)[N]) {
        using L = Lanes<T>;
        using Int = typename L::Int;
        Vec<T> n[N], r[N], sum[N];
        for (int k = 0; k < N; ++k)
            power[k] = x[k] * T(s[k] * 1.44269504088896340736) + L::shift;  // n in its last bits
        for (int k = 0; k < N; ++k) n[k] = power[k] - L::shift;
        for (int k = 0; k < N; ++k) r[k] = x[k] * T(s[k]) - n[k] * L::ln2_high;
        for (int k = 0; k < N; ++k) r[k] -= n[k] * L::ln2_low;
        for (int k = 0; k < N; ++k) sum[k] = all<T>(std::end(L::series)[-1]);
        for (int term = std::size(L::series) - 2; term >= 0; --term)
            for (int k = 0; k < N; ++k) sum[k] = sum[k] * r[k] + L::series[term];
        for (int k = 0; k < N; ++k) less_one[k] = r[k] + r[k] * r[k] * sum[k];
        for (int k = 0; k < N; ++k) power[k] = std::bit_cast<Vec<T>>(std::bit_cast<Int>(power[k]) << L::mantissa);
    }
};

// σ and tanh of several vectors together, in place. NaN stays NaN.
//
// σ(x) = 1 / (1 + e⁻ˣ): 2.4 ULP at most, 0.4 on average, in both types (|x| ≤ 87; 700).
// tanh(x) = (e²ˣ - 1) / (e²ˣ + 1), of |x|. e²ˣ - 1 is computed directly, so no digits are lost near 0, and 1 - tanh² keeps its digits
// near 1. 2.5 ULP at most, 0.3 on average, in both types.
//
// Always inlined: a call would cost a tenth of the cell.
enum class Gate { sigma, tanh };

template <class T, Gate... gates> [[gnu::always_inline]] inline void squash(Vec<T> (&x)[sizeof...(gates)]) {
    using Int = typename Lanes<T>::Int;
    constexpr int N = sizeof...(gates);
    constexpr bool is_tanh[] = {(gates == Gate::tanh)...};
    constexpr int s[] = {(gates == Gate::tanh ? 2 : -1)...};
    Int sign[N];
    for (int k = 0; k < N; ++k) {
        sign[k] = std::bit_cast<Int>(x[k]) & std::bit_cast<Int>(all<T>(T(-0.0)));
        const Vec<T> size = std::bit_cast<Vec<T>>(std::bit_cast<Int>(x[k]) ^ sign[k]);
        x[k] = is_tanh[k] ? at_most<T>(size, all<T>(Lanes<T>::tanh_is_one))
                          : at_least<T>(at_most<T>(x[k], all<T>(Lanes<T>::highest)), all<T>(-Lanes<T>::highest));
    }
    const Exponentials<T, N> e(x, s);
    for (int k = 0; k < N; ++k) {
        const Vec<T> one = all<T>(is_tanh[k] ? -1 : 1), sum = (e.power[k] + one) + e.power[k] * e.less_one[k];
        x[k] = is_tanh[k] ? std::bit_cast<Vec<T>>(std::bit_cast<Int>(quotient<T>(sum, sum + T(2))) | sign[k])
                          : reciprocal<T>(sum);
    }
}

template <class T> [[gnu::always_inline]] inline Vec<T> sigmoid(Vec<T> x) {
    Vec<T> a[] = {x};
    squash<T, Gate::sigma>(a);
    return a[0];
}

template <class T> [[gnu::always_inline]] inline Vec<T> tanh(Vec<T> x) {
    Vec<T> a[] = {x};
    squash<T, Gate::tanh>(a);
    return a[0];
}

// e⁻ˣ for x ≥ 0. Beyond 88 (708) the result is the value at 88 (708), which is 0 in float32. 1.0 ULP at most, 0.3 on average (x ≤ 87; 700).
template <class T> [[gnu::always_inline]] inline Vec<T> exp_neg(Vec<T> x) {
    const Exponentials<T, 1> e({at_most<T>(x, all<T>(Lanes<T>::highest))}, {-1});
    return e.power[0] + e.power[0] * e.less_one[0];
}

// log(1 + y) for 0 ≤ y ≤ 1, as 2 artanh(y / (2 + y)). 1.9 ULP at most, 0.4 on average. log σ by exp_neg and this: 2.7 and 0.2.
template <class T> [[gnu::always_inline]] inline Vec<T> log_one_plus(Vec<T> y) {
    const Vec<T> twice = quotient<T>(y + y, y + T(2)), square = T(0.25) * twice * twice;
    return twice + twice * square * polynomial<T>(Lanes<T>::artanh, square);
}

}  // namespace seriatim::SERIATIM_TARGET
