"""The compiled engine. ``native/README.md`` is its contract. Arrays are addresses, 0 for None."""

from collections.abc import Sequence
from typing import Any

def targets() -> list[str]: ...
def target() -> str: ...
def has_bf16() -> bool: ...
def amx() -> str: ...
def draw(seed: int, below: int, to: int, count: int) -> None: ...

class Cell:
    slots: int
    def __init__(
        self,
        name: str,
        inputs: int,
        units: int,
        projected: int,
        activation: str,
        bias: bool,
        peephole: bool,
        layer_norm: bool,
        input_projected: bool,
        bf16: bool = False,
    ) -> None: ...

class Packed:
    def __init__(
        self, cell: Cell, is_float64: bool, weights: Sequence[int], threads: int, precision: str = "full"
    ) -> None: ...

class Fingerprint:
    def __init__(self, tensors: Sequence[Any], threads: int) -> None: ...
    def same(self, tensors: tuple[Any, ...], all: bool, threads: int, /) -> bool: ...

class PackedBack:
    def __init__(self, cell: Cell, is_float64: bool, weights: Sequence[int], threads: int) -> None: ...

class StepsBack:
    """Single steps back, by address. The weights' gradients of all steps are computed together.

    ``step`` returns True if x and h of all earlier steps may be freed.
    """

    def __init__(self, back: PackedBack, grad_weights: Sequence[int], threads: int) -> None: ...
    def step(
        self,
        rows: int,
        x: int,
        h: int,
        c: int,
        h_n: int,
        gates: int,
        c_n: int,
        grad_h_n: int,
        grad_c_n: int,
        grad_x: int,
        grad_h: int,
        grad_c: int,
        /,
    ) -> bool: ...
    def finish(self) -> None: ...

class Stream:
    def __init__(self, packed: Packed, rows: int, h: int, c: int) -> None: ...
    def step(self, x: Any) -> None: ...

Zoneout = tuple[int, int, int, bool]
"""Address, strides from step to step and from row to row in elements, and whether the values are booleans."""
Masks = tuple[int, int, int, Zoneout, Zoneout] | None
"""lengths, reset, dropout, zoneout of h and zoneout of c."""

# ``kernels/call_arrays.py`` checks the arrays before each call. ``sizes``, if
# it is not empty, holds the number of rows of each step; then x, output, gates and cells contain those rows only, as a
# PackedSequence does, and ``masks`` is None.
def forward(
    packed: Packed,
    steps: int,
    rows: int,
    sizes: Sequence[int],
    x: int,
    x_by_step: int,
    x_by_row: int,
    h: int,
    c: int,
    reverse: bool,
    output: int,
    h_n: int,
    c_n: int,
    gates: int,
    cells: int,
    masks: Masks,
    threads: int,
    /,
) -> None: ...
def backward(
    cell: Cell,
    is_float64: bool,
    weights: Sequence[int],
    steps: int,
    rows: int,
    sizes: Sequence[int],
    x: int,
    x_by_step: int,
    x_by_row: int,
    h: int,
    c: int,
    reverse: bool,
    output: int,
    gates: int,
    cells: int,
    grad_output: int,
    grad_by_step: int,
    grad_by_row: int,
    grad_h_n: int,
    grad_c_n: int,
    grad_cells: int,
    grad_x: int,
    grad_h: int,
    grad_c: int,
    grad_weights: Sequence[int],
    masks: Masks,
    threads: int,
    /,
) -> None: ...
def step(packed: Packed, rows: int, x: int, h: int, c: int, h_n: int, c_n: int, threads: int, /) -> None: ...

class Scan:
    """One scan of a and b, or of gates that are computed from u. A list has one array, or two of complex numbers."""

    def __init__(
        self,
        gates: str,
        is_float64: bool,
        steps: int,
        rows: int,
        units: int,
        u: int,
        a: Sequence[int],
        a_by_step: int,
        a_by_row: int,
        b: Sequence[int],
        first: Sequence[int],
        lengths: int,
        reverse: bool,
        reset: int,
        h: Sequence[int],
        /,
    ) -> None: ...
    def forward(self, last: Sequence[int], threads: int, /) -> None: ...
    def backward(
        self,
        grad_h: Sequence[int],
        grad_last: Sequence[int],
        grad_u: int,
        grad_a: Sequence[int],
        grad_b: Sequence[int],
        grad_first: Sequence[int],
        threads: int,
        /,
    ) -> None: ...
