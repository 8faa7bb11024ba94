// What each file of the binding adds to the module.
#pragma once

#include <nanobind/nanobind.h>

namespace seriatim {

void bind_scan(nanobind::module_& module);  // scan, scan_backward
void bind_seen(nanobind::module_& module);  // Seen

}  // namespace seriatim
