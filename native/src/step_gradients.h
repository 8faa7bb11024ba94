// The weights' gradients of many single steps, computed together: one step has too few rows for a fast product.
#pragma once

#include "weight_gradients.h"

namespace seriatim::SERIATIM_TARGET {

template <class T> class StepGradientSums {
public:
    StepGradientSums(const Spec& spec, const Weights<T>& wanted, int threads)
        : spec_(spec), threads_(threads), sums_(spec_, wanted, 0, threads), stride_(sums_.stride()) {}

    bool make_room(int64_t rows) {
        if (rows_.size() + rows <= room_) return false;
        multiply();
        if (rows > room_) {
            room_ = max(rows, WeightSums<T>::chunk_rows);
            rows_ = List<BackwardRow<T>>(room_);
            grads_ = Scratch<T>(room_ * stride_);
        }
        return true;
    }
    // The memory for the gates' gradient of a row of the next step.
    T* place(int64_t row) const { return grads_.get() + (rows_.size() + row) * stride_; }
    // Adds the rows of a step that wrote its gradients there.
    void add(const Backward<T>& call) {
        const int64_t before = rows_.size();
        for (int64_t b = 0; b < call.rows; ++b) {
            BackwardRow<T> row;
            row.x = call.x.at(0, b);
            row.h = call.state[0] + b * spec_.outputs();
            row.gates = offset(call.gates, b * spec_.slots() * spec_.units);
            row.grad_sums = grads_.get() + (before + b) * stride_;
            rows_.add(row);
        }
    }
    void finish() {
        multiply();
        in_parallel(threads_, [&](Team& team, int me) { sums_.write(team, me); });
    }

private:
    void multiply() {
        for (int64_t first = 0; first < rows_.size(); first += WeightSums<T>::chunk_rows) {
            List<const BackwardRow<T>*> chunk(WeightSums<T>::chunk_rows);
            for (int64_t r = first; r < min(rows_.size(), first + WeightSums<T>::chunk_rows); ++r) chunk.add(&rows_[r]);
            in_parallel(threads_, [&](Team& team, int me) {
                const ProductSession products;
                sums_.add(team, me, chunk);
            });
        }
        rows_.clear();
    }

    const Spec spec_;
    const int threads_;
    WeightSums<T> sums_;
    const int64_t stride_;
    int64_t room_ = 0;  // rows
    List<BackwardRow<T>> rows_;
    Scratch<T> grads_;  // [room][stride]
};

}  // namespace seriatim::SERIATIM_TARGET
