// What each file of the binding adds to the module.
#pragma once

#include <nanobind/nanobind.h>

namespace seriatim {

void bind_scan(nanobind::module_& module);         // scan, scan_backward
void bind_fingerprint(nanobind::module_& module);  // Fingerprint

}  // namespace seriatim
