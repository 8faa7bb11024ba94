"""What the compiled engine promises; ``native/README.md`` says more. Arrays are what speaks DLPack, on the CPU."""

from collections.abc import Sequence
from typing import Any

Array = Any
Maybe = Any | None

def targets() -> list[str]: ...
def target() -> str: ...
def has_bf16() -> bool: ...
def amx() -> str: ...
def draw(seed: int, below: int, to: Array) -> None: ...

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
    def __init__(self, cell: Cell, weights: Sequence[Maybe], threads: int, precision: str = "full") -> None: ...

class Fingerprint:
    def __init__(self, tensors: Sequence[Any], threads: int) -> None: ...
    def same(self, tensors: tuple[Any, ...], all: bool, threads: int, /) -> bool: ...

class PackedBack:
    def __init__(self, cell: Cell, weights: Sequence[Maybe], threads: int) -> None: ...

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
    def __init__(self, packed: Packed, state: Sequence[Array]) -> None: ...
    def step(self, x: Array) -> None: ...

Zoneout = tuple[int, int, int, bool]
"""Address, strides from step to step and from row to row in elements, and whether the values are booleans."""
Masks = tuple[int, int, int, Zoneout, Zoneout] | None
"""lengths, reset, dropout, zoneout of h and zoneout of c."""

# Calls of the recurrence take addresses, 0 for None. ``kernels/call_arrays.py`` checks the arrays before. ``sizes``, if
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
def scan(
    a: Sequence[Array],
    b: Sequence[Array],
    first: Sequence[Array],
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    h: Sequence[Array],
    last: Sequence[Array],
    threads: int,
) -> None: ...
def scan_backward(
    a: Sequence[Array],
    b: Sequence[Array],
    first: Sequence[Array],
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    h: Sequence[Array],
    grad_h: Sequence[Array],
    grad_last: Sequence[Array],
    grad_a: Sequence[Array],
    grad_b: Sequence[Array],
    grad_first: Sequence[Array],
    threads: int,
) -> None: ...
def gated_scan(
    kind: str,
    u: Array,
    first: Array,
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    h: Array,
    last: Array,
    threads: int,
) -> None: ...
def gated_scan_backward(
    kind: str,
    u: Array,
    first: Array,
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    h: Array,
    grad_h: Array,
    grad_last: Array,
    grad_u: Array,
    grad_first: Array,
    threads: int,
) -> None: ...
