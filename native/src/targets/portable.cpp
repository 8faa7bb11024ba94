// Any processor: the compiler translates vectors of 16 bytes.
#define SERIATIM_TARGET portable
#define VECTOR_BYTES 16
#define TILE_ROWS 3

#include "../target.h"

#include <vector>

namespace seriatim {

// Every target has the same cells; this one is always there.
const std::vector<CellLayout>& cell_layouts() {
    static const std::vector<CellLayout> all = [] {
        std::vector<CellLayout> layouts(std::begin(portable::Cells::layouts), std::end(portable::Cells::layouts));
        for (size_t index = 0; index < layouts.size(); ++index) layouts[index].index = static_cast<int>(index);
        return layouts;
    }();
    return all;
}

const CellLayout* find_cell(const std::string& name) {
    for (const CellLayout& layout : cell_layouts())
        if (name == layout.name) return &layout;
    return nullptr;
}

}  // namespace seriatim
