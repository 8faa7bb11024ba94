// The contract of the engine: one layer in one direction, forward, backward and one step.
//
// Every pointer is the caller's, lives until the call returns, and aliases no other unless it says so. "May be null" is
// said where it holds. Sizes are checked by whoever calls (binding.cpp); here they are trusted.
//
//   T steps · B rows · I inputs · H units · P outputs (H, or the width of the projected h) · G gates · S slots
//   W what a row carries beside h: an LSTM's c, H; an sLSTM's c, n and m, one behind the other, 3H; else 0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Whatever is compiled into several targets must not become a symbol that they share.
#define ALWAYS_INLINE [[gnu::always_inline]] inline

namespace seriatim {

enum class Kind { rnn, lstm, gru, slstm };
enum class Phi { tanh, relu, sigmoid };
enum class Precision { full, bf16, int8 };

// What a step computes. The equations stand in cells.h.
struct Spec {
    Kind kind;
    Phi phi = Phi::tanh;    // of an RNN
    int64_t inputs = 0;     // I; G·H when the input part is given
    int64_t units = 0;      // H
    int64_t projected = 0;  // P, or 0
    bool bias = true;
    bool reset_after = true;  // of a GRU
    bool peephole = false;    // of an LSTM
    bool layer_norm = false;  // asks for `given`
    bool given = false;       // x is u = x W_ihᵀ + b_ih already, [T, B, G·H]
    bool halves = false;  // of float32: products may take their factors rounded to bf16; sums and all else are as ever

    bool operator==(const Spec&) const = default;
    ALWAYS_INLINE int64_t outputs() const { return projected ? projected : units; }
    ALWAYS_INLINE int64_t gates() const { return kind == Kind::rnn ? 1 : kind == Kind::gru ? 3 : 4; }
    ALWAYS_INLINE int64_t carried() const { return kind == Kind::lstm ? units : kind == Kind::slstm ? 3 * units : 0; }
    ALWAYS_INLINE int64_t states() const { return carried() ? 2 : 1; }

    // What a step keeps per unit for its way back: rnn h' · lstm i f g o · gru r z n v_n · slstm i f g o and the slope of
    // log σ of f's sum; then, layer-normalised, the normalised recurrent part (G) and its 1/σ (one, in the first unit).
    ALWAYS_INLINE int64_t kept() const { return kind == Kind::rnn ? 1 : kind == Kind::slstm ? 5 : 4; }
    ALWAYS_INLINE int64_t slots() const { return kept() + (layer_norm ? gates() + 1 : 0); }
};

// [T, B, width], dense in its last axis; or packed, [Σ rows that have a step, width], the rows of a step one after the other.
template <class T>
struct Sequence {
    T* data = nullptr;
    int64_t by_step = 0, by_row = 0;  // strides, in elements; 0 repeats
    const int64_t* starts = nullptr;  // [T], when packed: the first row of each step
    ALWAYS_INLINE T* at(int64_t step, int64_t row) const {
        return data ? data + (starts ? starts[step] * by_row : step * by_step) + row * by_row : nullptr;
    }
    ALWAYS_INLINE explicit operator bool() const { return data != nullptr; }
};

// Gate blocks in PyTorch's order: lstm and slstm i f g o, gru r z n. Null where the spec has none (gradients: where not wanted).
template <class T>
struct Weights {
    T *w_ih = nullptr, *w_hh = nullptr;  // [G·H, I], [G·H, P]
    T *b_ih = nullptr, *b_hh = nullptr;  // [G·H]
    T* w_hr = nullptr;                   // [P, H]
    T* w_ch = nullptr;                   // [3, H]: i f o
    T *g_ih = nullptr, *g_hh = nullptr;  // [G·H]; the first is not read here
    T *g_c = nullptr, *b_c = nullptr;    // [H], both of a layer-normalised LSTM, with biases or without
};

// How a call walks over time. Everything may be null.
template <class T>
struct Walk {
    const int64_t* lengths = nullptr;  // [B], 1 … T
    const int64_t* starts = nullptr;   // [T], when all that is [T, B, ·] is packed; the lengths fall then
    bool reverse = false;              // every row from its own last step back
    const bool* reset = nullptr;       // [T, B]: zero the state before this step
    const T* dropout = nullptr;        // [B, P]: factors on h in products
    Sequence<const T> zoneout[2];      // [T, B, P], [T, B, W]: share of the old state kept
    Sequence<const bool> drawn[2];     // or, in its place, whether it is kept

    // Where a row's step stands among all of a call of `rows` rows.
    ALWAYS_INLINE int64_t place(int64_t step, int64_t row, int64_t rows) const {
        return (starts ? starts[step] : step * rows) + row;
    }
};

template <class T>
struct Forward {
    int64_t steps = 0, rows = 0;
    Sequence<const T> x;     // [T, B, I]
    const T* state[2] = {};  // [B, P], [B, W]
    Walk<T> walk;
    Sequence<T> output;  // [T, B, P], written; 0 beyond a row's length
    T* final[2] = {};    // [B, P], [B, W], written
    T* gates = nullptr;  // [T, B, S, H], written where a row has a step; may be null
    T* cells = nullptr;  // [T, B, W], what is carried after each step, likewise
};

// Weights in the order in which one target reads them on the way back.
template <class T>
struct PackedBack;

// The gradients of weights that many single steps share: each leaves what it has, and some hundred rows make one product.
template <class T>
struct StepGradients;

template <class T>
struct Backward {
    int64_t steps = 0, rows = 0;
    Weights<const T> weights;               // as they were packed
    const PackedBack<T>* packed = nullptr;  // of these weights; may be null, and they are packed for this call alone
    // What `forward` had, and left: from here down to `cells`. x is null when w_ih's gradient is not wanted.
    Sequence<const T> x;
    const T* state[2] = {};
    Walk<T> walk;
    Sequence<const T> output;
    const T* gates = nullptr;
    const T* cells = nullptr;
    Sequence<const T> grad_output;       // [T, B, P]; may be null, as all that follow
    const T* grad_final[2] = {};         // [B, P], [B, W]
    const T* grad_cells = nullptr;       // [T, B, W]
    Sequence<T> grad_x;                  // [T, B, I], written; 0 beyond a row's length
    T* grad_state[2] = {};               // [B, P], [B, W], written
    Weights<T> grad_weights;             // written
    StepGradients<T>* gather = nullptr;  // of a step without a walk: who makes them instead; may be null
};

// Weights in the order in which one target reads them. Made once, used by any number of calls at the same time.
template <class T>
struct Packed;

// A diagonal linear recurrence, h_t = a_t h_{t-1} + b_t for every unit of every row (scan.h); of complex numbers, each
// array comes twice, the real parts and the imaginary ones.
enum class Gates { none, mingru, minlstm };

template <class T>
struct Scan {
    int64_t steps = 0, rows = 0, units = 0;
    Gates gates = Gates::none;         // what a and b are made of, out of u; then these are not read
    bool complex = false;              // not with gates
    bool reverse = false;              // every row from its own last step back
    const int64_t* lengths = nullptr;  // [B], 1 … T; may be null
    const bool* reset = nullptr;       // [T, B]: zero the state before this step; may be null
    Sequence<const T> a[2], b[2];      // [T, B, H]; strides of a may repeat
    Sequence<const T> u;               // [T, B, G·H]: minGRU's z and n, minLSTM's f, i and g before activation
    const T* first[2] = {};            // [B, H], the state before
    Sequence<T> h[2];                  // [T, B, H], written by forward, read by backward; 0 beyond a row's length
    T* last[2] = {};                   // [B, H], written by forward, not read by backward
};

template <class T>
struct ScanGradients {
    bool over_time = false;  // a is the same at every step, and its gradient is summed
    Sequence<const T> h[2];  // of h; may be null
    const T* last[2] = {};   // of the last state; may be null
    Sequence<T> a[2], b[2];  // [T or 1, B, H] and [T, B, H], written; not with gates
    Sequence<T> u;           // [T, B, G·H], written; 0 beyond a row's length
    T* first[2] = {};        // [B, H], written
};

template <class T>
struct Kernels {
    Packed<T>* (*pack)(const Spec&, const Weights<const T>&, Precision, int threads);
    void (*discard)(Packed<T>*);
    PackedBack<T>* (*pack_back)(const Spec&, const Weights<const T>&, int threads);
    void (*discard_back)(PackedBack<T>*);
    // Of a cell without a projection, peepholes and layer norm.
    StepGradients<T>* (*gather)(const Spec&, const Weights<T>& wanted, int threads);
    // To be called before each step of `rows` rows: whether all steps so far have been made into products, and their x and h may go.
    bool (*make_room)(StepGradients<T>&, int64_t rows);
    void (*finish)(StepGradients<T>&);  // writes what was wanted
    void (*discard_gathered)(StepGradients<T>*);
    void (*forward)(const Packed<T>&, const Forward<T>&, int threads);
    void (*backward)(const Spec&, const Backward<T>&, int threads);
    // One step of `rows` rows: x [B, I], state and final [B, ·] as above; final may be state.
    void (*step)(const Packed<T>&, int64_t rows, const T* x, const T* const state[2], T* const final[2], int threads);
    void (*scan_forward)(const Scan<T>&, int threads);
    void (*scan_backward)(const Scan<T>&, const ScanGradients<T>&, int threads);
};

// One instruction set. `kernels<float>()` and `kernels<double>()` are its two tables.
struct Target {
    const char* name;
    bool (*runs_here)();
    const Kernels<float>& (*single)();
    const Kernels<double>& (*real)();
    uint64_t (*digest)(const void* memory, int64_t bytes);  // see digest.h; each target has its own
    const Kernels<float>& (*halves)() = nullptr;            // those of a spec with `halves`; null where there are none
};

// Those compiled in that this processor can run, fastest first, but for those made for tests. The last one runs anywhere.
std::vector<const Target*> targets();

// The one in use: the fastest, or what SERIATIM_TARGET names. Throws std::invalid_argument if it names none that runs here.
const Target& target();

// "used", or why AMX is not.
std::string amx_state();

// The one of this name. Throws std::invalid_argument.
const Target& target(const std::string& name);

}  // namespace seriatim
