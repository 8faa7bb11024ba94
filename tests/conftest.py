"""What all tests share: one thread, laws that do not depend on the clock, and a compiler that remembers nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Before anything imports NumPy or PyTorch: equal bits on every machine, and no fight over cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("seriatim", deadline=None, derandomize=True)
settings.load_profile("seriatim")


@pytest.fixture(scope="session", autouse=True)
def _compiler_without_a_past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PyTorch's compiler keeps what it made between runs, and may have been told of another instruction set then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield
