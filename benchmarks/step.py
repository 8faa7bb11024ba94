"""One step of one stream: batch 1, one thread, the state kept; nanoseconds per call, Python's part included.

    python benchmarks/step.py --cells lstm gru --sizes 64 128 256 512 --json step.json

I = H. Beside the native stream stand onnxruntime (a model of one node whose state is fed and returned: plain ``run``,
and with its arrays bound once), ``torch.nn``'s cells and ours. Every side runs by turns in one process, and a ratio is
the median over rounds of onnxruntime's plain call ÷ the side's. The error is that of h over some steps from zero on
random input, against the plain twin in float64: largest absolute difference, and root mean square relative to h's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import Report, Row, duration, markdown, spread
from torch import nn

from seriatim.bench.paired_timing import Side, race
from seriatim.errors import UsageError
from seriatim.kernels import native, reference
from seriatim.kernels.native import Stream
from seriatim.kernels.weights import Weights
from seriatim.nn.registry import CELLS
from seriatim.notation import GATES, STATES
from seriatim.spec import CellSpec

Array = np.ndarray[Any, Any]
State = tuple[Array, ...]
Step = Callable[[Array, State], State]

THEIR_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}
ONNX_GATES = {"lstm": "iofg", "gru": "zrn"}
"""The order of ONNX's blocks, in our letters (its c is our g, its h our n)."""
PRECISIONS = {"full": "float32", "bf16": "bf16 weights", "int8": "int8 weights"}
ERROR_STEPS = 200


def main() -> None:
    """Measure and print."""
    asked = arguments()
    torch.set_num_threads(1)
    report = Report(("cell", "size", "side"), asked.json)
    for cell in asked.cells:
        for size in asked.sizes:
            for row in compared(cell, size, asked.seconds, asked.rounds):
                report.add(row)
    columns = ["cell", "H", "side", "per step", "times as fast as onnxruntime", "largest error", "relative RMS"]
    print(f"native engine: {native.target()}, onnxruntime {onnxruntime_version()}, torch {torch.__version__}\n")
    print(markdown(columns, [words(row) for row in report.rows]))


def compared(cell: str, size: int, seconds: float, rounds: int) -> list[Row]:
    """Every side on one cell of one size."""
    torch.manual_seed(0)
    theirs = THEIR_CELLS[cell](size, size)
    weights = Weights(*(parameter.detach().numpy() for parameter in theirs.parameters()))
    streams = precisions(cell, size, weights)
    steps = {name: free(stream) for name, stream in streams.items()} | {"onnxruntime": onnx_step(cell, size, weights)}
    x = np.random.default_rng(0).standard_normal((1, size)).astype(np.float32)
    timed = {name: Side(streaming(stream, x)) for name, stream in streams.items()}
    timed["onnxruntime"] = Side(onnx_keeping(cell, size, weights, x))
    timed["onnxruntime, bound"] = Side(bound(cell, size, weights, x))
    timed |= {name: Side(torch_keeping(layer, size, cell)) for name, layer in torch_cells(cell, size, theirs).items()}
    found = race(timed, seconds=seconds, min_rounds=rounds)
    rows = []
    for name in timed:
        row: Row = {"cell": cell, "size": size, "side": name, "target": native.target()}
        row |= {"seconds": found.seconds(name).to_json(), "ratio": found.ratio(name, "onnxruntime").to_json()}
        row |= errors(steps[name], cell, size, weights) if name in steps else {}
        rows.append(row)
    return rows


def precisions(cell: str, size: int, weights: Weights[Array]) -> dict[str, Stream]:
    """Native streams by name."""
    spec = CellSpec(cell, size, size)
    streams = {}
    for precision, name in PRECISIONS.items():
        try:
            streams[f"seriatim {name}"] = Stream(spec, weights, precision=precision)
        except UsageError as error:
            print(f"seriatim {name}: {error}")
    return streams


def free(stream: Stream) -> Step:
    """A stream as a step from any state, for the errors."""

    def step(x: Array, state: State) -> State:
        for own, one in zip(stream.state, state, strict=True):
            own[...] = one
        stream.step(x)
        return tuple(one.copy() for one in stream.state)

    return step


def onnx_step(cell: str, size: int, weights: Weights[Array]) -> Step:
    """onnxruntime as a step from any state."""
    run = session(cell, size, weights)
    names = STATES[cell]

    def step(x: Array, state: State) -> State:
        found = run.run(None, {"x": x[None], **{name: one[None] for name, one in zip(names, state, strict=True)}})
        return tuple(one[0] for one in found)

    return step


def torch_cells(cell: str, size: int, theirs: nn.Module) -> dict[str, nn.Module]:
    """PyTorch's cell and ours."""
    ours = CELLS[cell](size, size)
    ours.load_state_dict(theirs.state_dict())
    return {"seriatim.nn cell": ours, "torch.nn cell": theirs}


def streaming(stream: Stream, x: Array) -> Callable[[], None]:
    """A call that steps on from where the last one ended."""
    stream.reset()

    def call() -> None:
        stream.step(x)

    return call


def torch_keeping(layer: nn.Module, size: int, cell: str) -> Callable[[], None]:
    """The same for a module."""
    x = torch.randn(1, size)
    state: Any = tuple(torch.zeros(1, size) for _ in STATES[cell])
    state = state if len(state) > 1 else state[0]

    def call() -> None:
        nonlocal state
        with torch.inference_mode():
            state = layer(x, state)

    return call


def onnx_keeping(cell: str, size: int, weights: Weights[Array], x: Array) -> Callable[[], None]:
    """The same for onnxruntime's plain call, in its own shapes: what it returns goes back in as it is."""
    run = session(cell, size, weights).run
    names = STATES[cell]
    given = {"x": x[None], **{name: np.zeros((1, 1, size), np.float32) for name in names}}

    def call() -> None:
        given.update(zip(names, run(None, given), strict=True))

    return call


def session(cell: str, size: int, weights: Weights[Array]) -> Any:
    """An onnxruntime session of one node on one thread, with this cell's weights as constants."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    reordered = {"w": weights.w_ih, "r": weights.w_hh}
    biases = [in_order(cell, bias) for bias in (weights.b_ih, weights.b_hh) if bias is not None]
    constants = {name: in_order(cell, array)[None] for name, array in reordered.items()}
    constants["b"] = np.concatenate(biases)[None]
    names = STATES[cell]
    placement = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(
        cell.upper(), ["x", "w", "r", "b", "", *names], ["", *(f"{name}_next" for name in names)],
        hidden_size=size, **placement,
    )  # fmt: skip

    def described(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size])

    graph = helper.make_graph(
        [node], cell, [described(name) for name in ("x", *names)], [described(f"{name}_next") for name in names],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def bound(cell: str, size: int, weights: Weights[Array], x: Array) -> Callable[[], None]:
    """onnxruntime with x and two sets of states bound once: a step reads one set and writes the other."""
    import onnxruntime

    run = session(cell, size, weights)
    names = STATES[cell]

    def value(array: Array) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))

    given = value(x[None])
    sets = [{name: value(np.zeros((1, 1, size), np.float32)) for name in names} for _ in range(2)]
    bindings = []
    for old, new in (sets, sets[::-1]):
        binding = run.io_binding()
        binding.bind_ortvalue_input("x", given)
        for name in names:
            binding.bind_ortvalue_input(name, old[name])
            binding.bind_ortvalue_output(f"{name}_next", new[name])
        bindings.append(binding)
    turn = 0

    def call() -> None:
        nonlocal turn
        run.run_with_iobinding(bindings[turn])
        turn = 1 - turn

    return call


def in_order(cell: str, array: Array) -> Array:
    """Blocks of H rows from our order to ONNX's."""
    blocks = dict(zip(GATES[cell], np.split(array, len(GATES[cell])), strict=True))
    return np.concatenate([blocks[gate] for gate in ONNX_GATES[cell]])


def errors(step: Step, cell: str, size: int, weights: Weights[Array]) -> Row:
    """How far h is from the twin's in float64."""
    spec = CellSpec(cell, size, size)
    exact = weights.like(one.astype(np.float64) for one in weights.present())
    draw = np.random.default_rng(1)
    ours: State = tuple(np.zeros((1, size), np.float32) for _ in spec.states)
    true: State = tuple(np.zeros((1, size)) for _ in spec.states)
    off, all_of = [], []
    for _ in range(ERROR_STEPS):
        x = draw.standard_normal((1, size)).astype(np.float32)
        ours, true = step(x, ours), reference.step(spec, x.astype(np.float64), true, exact)
        off.append(ours[0] - true[0])
        all_of.append(true[0])
    return {
        "largest_error": float(np.abs(off).max()),
        "relative_rms": float(np.sqrt(np.mean(np.square(off)) / np.mean(np.square(all_of)))),
    }


def words(row: Row) -> list[str]:
    """A row as text."""
    told = [f"{row[name]:.1e}" if name in row else "" for name in ("largest_error", "relative_rms")]
    nanoseconds = spread(row["seconds"], lambda value: f"{value * 1e9:,.0f} ns" if value < 1e-4 else duration(value))
    times = spread(row["ratio"], lambda value: f"{value:.2f}")
    return [row["cell"], str(row["size"]), row["side"], nanoseconds, times, *told]


def onnxruntime_version() -> str:
    """onnxruntime's version."""
    import onnxruntime

    return str(onnxruntime.__version__)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=THEIR_CELLS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--seconds", type=float, default=4.0, help="about so long for each cell and size")
    parser.add_argument("--rounds", type=int, default=15, help="at least so many rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; rows there already stay")
    return parser.parse_args()


if __name__ == "__main__":
    main()
