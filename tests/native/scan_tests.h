#pragma once

namespace seriatim::test {

// The diagonal recurrence on every target.
void scans(int threads);

}  // namespace seriatim::test
