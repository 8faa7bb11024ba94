// The contract of the engine: one layer in one direction, forward, backward and one step.
//
// The caller owns every pointer and keeps it valid until the call returns. No pointer aliases another and none is null,
// unless its comment says so. The engine does not check sizes: the caller does.
//
//   T steps · B rows · I inputs · H units · P outputs (H, or the width of the projected h) · G gates · S saved slots
//   W width of the state that a row carries beside h: c of an LSTM (H), c, n and m of an sLSTM one after the other (3H), or 0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// A function that several targets compile must not become a symbol that they share.
#define ALWAYS_INLINE [[gnu::always_inline]] inline

namespace seriatim {

enum class Activation { tanh, relu, sigmoid };
enum class Precision { full, bf16, int8 };

// The facts about a cell that code outside its own file needs. Each file in cells/ defines one or two of them.
struct CellLayout {
    const char* name;
    int index = 0;         // in the list of cells/all.h; filled there
    int gates;             // blocks of H rows in the weights
    int extra_states = 0;  // states of H units beside h
    int saved;             // values per unit and step that the backward pass needs
    int direct_gates =
        gates;  // the recurrent part of these first gates multiplies h itself; the other gates multiply a row of a first stage
    int shared_gates = gates;  // these first gates have one gradient for the input part and the recurrent part
    int peepholes = 0;         // rows of w_ch that the cell may have
    bool has_projection = false, has_layer_norm = false;  // options that the cell may have
    bool normalises_c = false;                            // layer normalisation also normalises c
    bool has_direct_path = false;                         // h reaches the next h past the products, too
    bool output_is_enough = false;                        // the backward pass can read `output` in place of `gates`
};

// All cells, in the order of their indices.
const std::vector<CellLayout>& cell_layouts();
// The cell with this name, or null.
const CellLayout* find_cell(const std::string& name);

// A cell with its sizes and options.
struct Spec {
    const CellLayout* cell = nullptr;
    Activation activation = Activation::tanh;  // of an RNN
    int64_t inputs = 0;                        // I; G·H with `input_projected`
    int64_t units = 0;                         // H
    int64_t projected = 0;                     // P, or 0
    bool bias = true;
    bool peephole = false;
    bool layer_norm = false;       // requires `input_projected`
    bool input_projected = false;  // x is the input part of the gates already, u = x W_ihᵀ + b_ih, [T, B, G·H]
    bool bf16 = false;  // float32 only: the factors of products may be rounded to bf16; sums and all else may not

    bool operator==(const Spec&) const = default;
    ALWAYS_INLINE int64_t outputs() const { return projected ? projected : units; }
    ALWAYS_INLINE int64_t gates() const { return cell->gates; }
    ALWAYS_INLINE int64_t carried() const { return cell->extra_states * units; }
    ALWAYS_INLINE int64_t states() const { return cell->extra_states ? 2 : 1; }
    ALWAYS_INLINE bool has_two_stages() const { return cell->direct_gates < cell->gates; }
    // Whether the input part and the recurrent part of some gates have different gradients.
    ALWAYS_INLINE bool splits_gradients() const { return cell->shared_gates < cell->gates; }

    // S. With layer normalisation a step also saves the normalised recurrent part (G) and its 1/σ (one slot, only the first unit).
    ALWAYS_INLINE int64_t slots() const { return cell->saved + (layer_norm ? gates() + 1 : 0); }
};

// [T, B, width] with a dense last axis; or packed, [Σ rows that have a step, width], where the rows of a step follow each other.
template <class T> struct Sequence {
    T* data = nullptr;
    int64_t by_step = 0, by_row = 0;  // strides, in elements; 0 repeats
    const int64_t* starts = nullptr;  // [T], when packed: the first row of each step
    ALWAYS_INLINE T* at(int64_t step, int64_t row) const {
        return data ? data + (starts ? starts[step] * by_row : step * by_step) + row * by_row : nullptr;
    }
    ALWAYS_INLINE explicit operator bool() const { return data != nullptr; }
};

// Gate blocks are in PyTorch's order: lstm and slstm i f g o, gru r z n. A weight that the spec does not have is null; so is a
// gradient that the caller does not want.
template <class T> struct Weights {
    T *w_ih = nullptr, *w_hh = nullptr;  // [G·H, I], [G·H, P]
    T *b_ih = nullptr, *b_hh = nullptr;  // [G·H]
    T* w_hr = nullptr;                   // [P, H]
    T* w_ch = nullptr;                   // [3, H]: i f o; of a coupled LSTM [2, H]: f o
    T *g_ih = nullptr, *g_hh = nullptr;  // [G·H]; the engine does not read g_ih
    T *g_c = nullptr, *b_c = nullptr;    // [H], of a layer-normalised LSTM, whether it has biases or not
};

// How a call traverses time. Everything may be null.
template <class T> struct Walk {
    const int64_t* lengths = nullptr;  // [B], 1 … T
    const int64_t* starts =
        nullptr;                  // [T]: every [T, B, ·] is packed, with these first rows; then the lengths do not rise
    bool reverse = false;         // every row runs from its own last step to its first
    const bool* reset = nullptr;  // [T, B]: set the state to zero before this step
    const T* dropout = nullptr;   // [B, P]: factors on h in products
    Sequence<const T> zoneout[2];   // [T, B, P], [T, B, W]: the share of the old state that remains
    Sequence<const bool> drawn[2];  // or, in its place, whether all of it remains

    // The number of a row's step among all rows of all steps.
    ALWAYS_INLINE int64_t place(int64_t step, int64_t row, int64_t rows) const {
        return (starts ? starts[step] : step * rows) + row;
    }
};

template <class T> struct Forward {
    int64_t steps = 0, rows = 0;
    Sequence<const T> x;     // [T, B, I]
    const T* state[2] = {};  // [B, P], [B, W]
    Walk<T> walk;
    Sequence<T> output;  // [T, B, P], written; 0 beyond a row's length
    T* final[2] = {};    // [B, P], [B, W], written
    T* gates = nullptr;  // [T, B, S, H], written where a row has a step; may be null
    T* cells = nullptr;  // [T, B, W], the state beside h after each step; likewise
};

// Weights in the order in which one target reads them in the backward pass.
template <class T> struct PackedBackward;

// The weights' gradients of many single steps. Each step adds its rows; some hundred rows make one product.
template <class T> struct StepGradients;

template <class T> struct Backward {
    int64_t steps = 0, rows = 0;
    Weights<const T> weights;                   // the ones that were packed for `forward`
    const PackedBackward<T>* packed = nullptr;  // the same weights; null: pack them for this call alone
    // From here to `cells`: what `forward` read and wrote. x may be null when nobody wants the gradient of w_ih.
    Sequence<const T> x;
    const T* state[2] = {};
    Walk<T> walk;
    Sequence<const T> output;
    const T* gates = nullptr;
    const T* cells = nullptr;
    Sequence<const T> grad_output;  // [T, B, P]; may be null, like all that follow
    const T* grad_final[2] = {};    // [B, P], [B, W]
    const T* grad_cells = nullptr;  // [T, B, W]
    Sequence<T> grad_x;             // [T, B, I], written; 0 beyond a row's length
    T* grad_state[2] = {};          // [B, P], [B, W], written
    Weights<T> grad_weights;        // written
    StepGradients<T>* gather =
        nullptr;  // collects the weights' gradients of a step without a walk, in place of grad_weights
};

// Weights in the order in which one target reads them. Any number of calls may use them at the same time.
template <class T> struct Packed;

// A diagonal linear recurrence, h_t = a_t h_{t-1} + b_t for every unit of every row (scan.h). Of complex numbers each array
// comes twice: the real parts and the imaginary parts.
enum class Gates { none, mingru, minlstm };

template <class T> struct Scan {
    int64_t steps = 0, rows = 0, units = 0;
    Gates gates = Gates::none;         // if any, a and b are computed from u and not read
    bool complex = false;              // never with gates
    bool reverse = false;              // every row runs from its own last step to its first
    const int64_t* lengths = nullptr;  // [B], 1 … T; may be null
    const bool* reset = nullptr;       // [T, B]: zero the state before this step; may be null
    Sequence<const T> a[2], b[2];      // [T, B, H]; strides of a may be 0
    Sequence<const T> u;               // [T, B, G·H]: minGRU's z and n, minLSTM's f, i and g before activation
    const T* first[2] = {};            // [B, H], the state before
    Sequence<T> h[2];                  // [T, B, H], written by forward, read by backward; 0 beyond a row's length
    T* last[2] = {};                   // [B, H], written by forward, not read by backward
};

template <class T> struct ScanGradients {
    bool over_time = false;  // a is the same at every step, and its gradient is summed
    Sequence<const T> h[2];  // of h; may be null
    const T* last[2] = {};   // of the last state; may be null
    Sequence<T> a[2], b[2];  // [T or 1, B, H] and [T, B, H], written; not with gates
    Sequence<T> u;           // [T, B, G·H], written; 0 beyond a row's length
    T* first[2] = {};        // [B, H], written
};

template <class T> struct Kernels {
    Packed<T>* (*pack)(const Spec&, const Weights<const T>&, Precision, int threads);
    void (*discard)(Packed<T>*);
    PackedBackward<T>* (*pack_backward)(const Spec&, const Weights<const T>&, int threads);
    void (*discard_backward)(PackedBackward<T>*);
    // Only for a cell without projection, peepholes and layer normalisation.
    StepGradients<T>* (*gather)(const Spec&, const Weights<T>& gradients, int threads);
    // Call before each step of `rows` rows. Returns true if all earlier steps have been reduced into gradients, so that their x
    // and h may be freed.
    bool (*make_room)(StepGradients<T>&, int64_t rows);
    void (*finish)(StepGradients<T>&);  // writes the gradients
    void (*discard_gathered)(StepGradients<T>*);
    void (*forward)(const Packed<T>&, const Forward<T>&, int threads);
    void (*backward)(const Spec&, const Backward<T>&, int threads);
    // One step of `rows` rows: x [B, I], state and final [B, ·] as above; final may alias state.
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
    uint64_t (*hash)(const void* memory, int64_t bytes);  // see fingerprint.h; each target has its own
    const Kernels<float>& (*bf16)() = nullptr;            // the kernels of a spec with `bf16`, or null
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
