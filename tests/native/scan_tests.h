#pragma once

namespace seriatim::test {

// Tests the diagonal recurrence on every target.
void scans(int threads);

}  // namespace seriatim::test
