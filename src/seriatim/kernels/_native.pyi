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
    """Single steps back by address, as ``backward_at``, whose weights' gradients are made together.

    ``step`` says whether the x and h of all steps before are done with.
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

def forward(
    cell: Cell,
    packed: Packed,
    x: Array,
    state: Sequence[Array],
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    dropout: Maybe,
    zoneout: Sequence[Maybe],
    output: Array,
    final: Sequence[Array],
    gates: Maybe,
    cells: Maybe,
    threads: int,
) -> None: ...
def backward(
    cell: Cell,
    weights: Sequence[Maybe],
    x: Array,
    state: Sequence[Array],
    lengths: Maybe,
    reverse: bool,
    reset: Maybe,
    dropout: Maybe,
    zoneout: Sequence[Maybe],
    output: Array,
    gates: Maybe,
    cells: Maybe,
    grad_output: Maybe,
    grad_final: Sequence[Maybe],
    grad_cells: Maybe,
    grad_x: Maybe,
    grad_state: Sequence[Maybe],
    grad_weights: Sequence[Maybe],
    threads: int,
) -> None: ...
def step(cell: Cell, packed: Packed, x: Array, state: Sequence[Array], final: Sequence[Array], /) -> None: ...

# The same by address, 0 for None, without a walk; ``sizes``, if not empty, say how many rows have each step, and that
# all that is [T, B, ·] holds those rows alone, as a PackedSequence does. Sizes of arrays are not checked.
def forward_at(
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
    threads: int,
    /,
) -> None: ...
def backward_at(
    cell: Cell,
    wide: bool,
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
    grad_x: int,
    grad_h: int,
    grad_c: int,
    grad_weights: Sequence[int],
    threads: int,
    /,
) -> None: ...
def step_at(packed: Packed, rows: int, x: int, h: int, c: int, h_n: int, c_n: int, threads: int, /) -> None: ...
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
