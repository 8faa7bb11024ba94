"""What all tests share: one thread, and laws that do not depend on the clock."""

from __future__ import annotations

import os

from hypothesis import settings

# Before anything imports NumPy or PyTorch: equal bits on every machine, and no fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("seriatim", deadline=None, derandomize=True)
settings.load_profile("seriatim")
