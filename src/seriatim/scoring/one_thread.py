"""The first call in a new worker. This file imports no library: libraries read these variables when they load."""

from __future__ import annotations

import os

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def use_one_thread() -> None:
    """Give the libraries of this process one thread each: there are as many workers as processors."""
    for name in VARIABLES:
        os.environ[name] = "1"
