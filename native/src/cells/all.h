// The list of cells. A new cell is a file like its neighbours and one more name in `Cells`.
#pragma once

#include <iterator>

#include "cifg.h"
#include "gru.h"
#include "lstm.h"
#include "rnn.h"
#include "slstm.h"

namespace seriatim::SERIATIM_TARGET {

template <class... All> struct CellList {
    // work.template operator()<Cell>() for the cell of a spec.
    template <class Work> static void dispatch(const Spec& spec, const Work& work) {
        int index = 0;
        (void)((spec.cell->index == index++ && (work.template operator()<All>(), true)) || ...);
    }
    static constexpr CellLayout layouts[] = {All::layout...};
};

using Cells = CellList<Rnn, Lstm, Cifg, Gru, GruResetBefore, Slstm>;

template <class Work> inline void with_cell(const Spec& spec, const Work& work) { Cells::dispatch(spec, work); }

}  // namespace seriatim::SERIATIM_TARGET
