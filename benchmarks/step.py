"""One step of one stream: batch 1, one thread, with the state carried; nanoseconds per call, Python included.

    python benchmarks/step.py --cells lstm gru rnn --sizes 64 128 256 512 --json step.json

I = H. The native stream is compared with onnxruntime (a model of one node whose state is an input and an output: with
plain ``run``, and with arrays bound once), with the cells of ``torch.nn`` and with ours. All sides run in alternation
in one process. A ratio is the median over rounds of onnxruntime's plain call ÷ the side's call. The error compares h,
from zero state on random input, with the twin in float64: the largest absolute difference, and the root mean square
relative to h.
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
from seriatim.kernels.cell_stream import CellStream
from seriatim.kernels.weights import Weights
from seriatim.nn.registry import CELLS
from seriatim.notation import GATES, STATES
from seriatim.spec import CellSpec

Array = np.ndarray[Any, Any]
State = tuple[Array, ...]
Step = Callable[[Array, State], State]

THEIR_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
ONNX_GATES = {"lstm": "iofg", "gru": "zrn", "rnn": "h"}
"""The order of ONNX's gate blocks in our letters (its c is our g, its h is our n)."""
PRECISIONS = {"full": "float32", "bf16": "bf16 weights", "int8": "int8 weights"}
ERROR_STEPS = 200


def main() -> None:
    """Measure and print."""
    options = arguments()
    torch.set_num_threads(1)
    report = Report(("cell", "size", "side"), options.json)
    for cell in options.cells:
        for size in options.sizes:
            for row in measure_sides(cell, size, options.seconds, options.rounds):
                report.add(row)
    columns = ["cell", "H", "side", "per step", "times as fast as onnxruntime", "largest error", "relative RMS"]
    print(f"native engine: {native.target()}, onnxruntime {onnxruntime_version()}, torch {torch.__version__}\n")
    print(markdown(columns, [table_row(row) for row in report.rows]))


def measure_sides(cell: str, size: int, seconds: float, rounds: int) -> list[Row]:
    """Measure every side on one cell of one size."""
    torch.manual_seed(0)
    their_cell = THEIR_CELLS[cell](size, size)
    weights = Weights(*(parameter.detach().numpy() for parameter in their_cell.parameters()))
    streams = native_streams(cell, size, weights)
    steps = {name: stream_step(stream) for name, stream in streams.items()}
    steps["onnxruntime"] = onnx_step(cell, size, weights)
    x = np.random.default_rng(0).standard_normal((1, size)).astype(np.float32)
    sides = {name: Side(stream_call(stream, x)) for name, stream in streams.items()}
    sides["onnxruntime"] = Side(onnx_call(cell, size, weights, x))
    sides["onnxruntime, bound"] = Side(bound_call(cell, size, weights, x))
    sides |= {name: Side(torch_call(layer, size, cell)) for name, layer in torch_cells(cell, size, their_cell).items()}
    timings = race(sides, seconds=seconds, min_rounds=rounds)
    rows = []
    for name in sides:
        row: Row = {"cell": cell, "size": size, "side": name, "target": native.target()}
        row |= {"seconds": timings.seconds(name).to_json(), "ratio": timings.ratio(name, "onnxruntime").to_json()}
        row |= errors(steps[name], cell, size, weights) if name in steps else {}
        rows.append(row)
    return rows


def native_streams(cell: str, size: int, weights: Weights[Array]) -> dict[str, CellStream]:
    """Native streams by name, one for each precision of the weights."""
    spec = CellSpec(cell, size, size)
    streams = {}
    for precision, name in PRECISIONS.items():
        try:
            streams[f"seriatim {name}"] = CellStream(spec, weights, precision=precision)
        except UsageError as error:
            print(f"seriatim {name}: {error}")
    return streams


def stream_step(stream: CellStream) -> Step:
    """A stream as a step from any state, to measure its error."""

    def step(x: Array, state: State) -> State:
        for own_state, new_state in zip(stream.state, state, strict=True):
            own_state[...] = new_state
        stream.step(x)
        return tuple(array.copy() for array in stream.state)

    return step


def onnx_step(cell: str, size: int, weights: Weights[Array]) -> Step:
    """onnxruntime as a step from any state, to measure its error."""
    model = session(cell, size, weights)
    names = STATES[cell]

    def step(x: Array, state: State) -> State:
        states = {name: array[None] for name, array in zip(names, state, strict=True)}
        outputs = model.run(None, {"x": x[None], **states})
        return tuple(output[0] for output in outputs)

    return step


def torch_cells(cell: str, size: int, their_cell: nn.Module) -> dict[str, nn.Module]:
    """PyTorch's cell and ours, with the same weights."""
    our_cell = CELLS[cell](size, size)
    our_cell.load_state_dict(their_cell.state_dict())
    return {"seriatim.nn cell": our_cell, "torch.nn cell": their_cell}


def stream_call(stream: CellStream, x: Array) -> Callable[[], None]:
    """A call of a native stream that continues from the previous call."""
    stream.reset()

    def call() -> None:
        stream.step(x)

    return call


def torch_call(layer: nn.Module, size: int, cell: str) -> Callable[[], None]:
    """A call of a module that continues from the previous call."""
    x = torch.randn(1, size)
    state: Any = tuple(torch.zeros(1, size) for _ in STATES[cell])
    state = state if len(state) > 1 else state[0]

    def call() -> None:
        nonlocal state
        with torch.inference_mode():
            state = layer(x, state)

    return call


def onnx_call(cell: str, size: int, weights: Weights[Array], x: Array) -> Callable[[], None]:
    """A plain call of onnxruntime that continues from the previous call: its outputs are its next inputs."""
    run = session(cell, size, weights).run
    names = STATES[cell]
    inputs = {"x": x[None], **{name: np.zeros((1, 1, size), np.float32) for name in names}}

    def call() -> None:
        inputs.update(zip(names, run(None, inputs), strict=True))

    return call


def session(cell: str, size: int, weights: Weights[Array]) -> Any:
    """An onnxruntime session of one node on one thread, with the cell's weights as constants."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    reordered = {"w": weights.w_ih, "r": weights.w_hh}
    biases = [reorder(cell, bias) for bias in (weights.b_ih, weights.b_hh) if bias is not None]
    constants = {name: reorder(cell, array)[None] for name, array in reordered.items()}
    constants["b"] = np.concatenate(biases)[None]
    names = STATES[cell]
    attributes = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(
        cell.upper(), ["x", "w", "r", "b", "", *names], ["", *(f"{name}_next" for name in names)],
        hidden_size=size, **attributes,
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


def bound_call(cell: str, size: int, weights: Weights[Array], x: Array) -> Callable[[], None]:
    """A call of onnxruntime with x and two sets of states bound once: a step reads one set and writes the other."""
    import onnxruntime

    run = session(cell, size, weights)
    names = STATES[cell]

    def value(array: Array) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))

    inputs = value(x[None])
    sets = [{name: value(np.zeros((1, 1, size), np.float32)) for name in names} for _ in range(2)]
    bindings = []
    for old, new in (sets, sets[::-1]):
        binding = run.io_binding()
        binding.bind_ortvalue_input("x", inputs)
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


def reorder(cell: str, array: Array) -> Array:
    """Reorder blocks of H rows from our gate order to ONNX's."""
    blocks = dict(zip(GATES[cell], np.split(array, len(GATES[cell])), strict=True))
    return np.concatenate([blocks[gate] for gate in ONNX_GATES[cell]])


def errors(step: Step, cell: str, size: int, weights: Weights[Array]) -> Row:
    """The error of h against the twin in float64."""
    spec = CellSpec(cell, size, size)
    exact_weights = weights.like(array.astype(np.float64) for array in weights.present())
    generator = np.random.default_rng(1)
    our_state: State = tuple(np.zeros((1, size), np.float32) for _ in spec.states)
    exact_state: State = tuple(np.zeros((1, size)) for _ in spec.states)
    differences, values = [], []
    for _ in range(ERROR_STEPS):
        x = generator.standard_normal((1, size)).astype(np.float32)
        our_state = step(x, our_state)
        exact_state = reference.step(spec, x.astype(np.float64), exact_state, exact_weights)
        differences.append(our_state[0] - exact_state[0])
        values.append(exact_state[0])
    return {
        "largest_error": float(np.abs(differences).max()),
        "relative_rms": float(np.sqrt(np.mean(np.square(differences)) / np.mean(np.square(values)))),
    }


def table_row(row: Row) -> list[str]:
    """A row as cells of the printed table."""
    error_texts = [f"{row[name]:.1e}" if name in row else "" for name in ("largest_error", "relative_rms")]
    nanoseconds = spread(row["seconds"], lambda value: f"{value * 1e9:,.0f} ns" if value < 1e-4 else duration(value))
    times = spread(row["ratio"], lambda value: f"{value:.2f}")
    return [row["cell"], str(row["size"]), row["side"], nanoseconds, times, *error_texts]


def onnxruntime_version() -> str:
    """onnxruntime's version."""
    import onnxruntime

    return str(onnxruntime.__version__)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru", "rnn"], choices=THEIR_CELLS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 256, 512])
    parser.add_argument("--seconds", type=float, default=4.0, help="approximate time for each cell and size")
    parser.add_argument("--rounds", type=int, default=15, help="least number of rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    return parser.parse_args()


if __name__ == "__main__":
    main()
