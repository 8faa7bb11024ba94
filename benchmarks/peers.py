"""Other frameworks on this processor: a recurrent layer of each, in processes of their own.

    python benchmarks/peers.py --group speed --shapes 100,32,128,128 --cells lstm gru --threads 2 --json peers.json
    python benchmarks/peers.py --group extremes --threads 1

``speed`` starts several processes for each peer, in random order. It measures the time per call (training is forward
and backward with gradients of the input and of every weight), the time from the start of the process to the end of
the first call (with imports and compilation), and the peak memory of the process (``ru_maxrss``). Before it imports
anything, each process is restricted to the first N processors that it may use, since the thread pools of TensorFlow
and XLA take their size from that. PyTorch, OpenMP and TensorFlow get N as their number of threads, too.

``extremes`` runs torch.nn and Seriatim without biases on ordinary, saturated (× 1e3) and denormal (× 1e-40) inputs, in
alternation in this process. It prints the time relative to ordinary inputs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

START = time.perf_counter()

# The imports count as part of the first call.
import numpy as np  # noqa: E402

import seriatim  # noqa: E402

Row = dict[str, Any]
Calls = tuple[Callable[[], object], Callable[[], object] | None]
"""The timed call, and a call that prepares it."""

TIMEOUT = 900
DRIFT = 1 - 1e-6
"""Factor on the weights between steps."""


def main() -> None:
    """Measure and print, or be one of the measured processes."""
    options = arguments()
    if options.one:
        print(json.dumps(measure_here(json.loads(options.one))))
        return
    from _report import Report

    report = Report(("group", "peer", "cell", "shape", "mode", "threads"), options.json)
    for group in options.group:
        for cell in options.cells:
            for shape in options.shapes:
                for mode in options.modes:
                    for threads in options.threads:
                        for row in GROUPS[group](cell, shape, mode, threads, options):
                            report.add(row)
                            print(line(row), flush=True)


def speed(cell: str, shape: list[int], mode: str, threads: int, options: argparse.Namespace) -> list[Row]:
    """Measure every peer on one workload."""
    spread_of = paired_timing().Spread.of
    results: dict[str, list[Row]] = {peer: [] for peer in options.peers}
    for _ in range(options.passes):
        order = list(options.peers)
        random.shuffle(order)
        for peer in order:
            work = {"peer": peer, "cell": cell, "shape": shape, "mode": mode, "threads": threads}
            results[peer].append(measure_in_process({**work, "seconds": options.seconds}))
    rows = []
    for peer, passes in results.items():
        row: Row = {"group": "speed", "peer": peer, "cell": cell, "shape": shape, "mode": mode, "threads": threads}
        failures = [result["failed"] for result in passes if "failed" in result]
        if failures:
            rows.append(row | {"failed": failures[0]})
            continue
        row["seconds"] = spread_of(value for result in passes for value in result["samples"]).to_json()
        row["first"] = spread_of(result["first"] for result in passes).to_json()
        rows.append(
            row | {"peak_bytes": max(result["peak_bytes"] for result in passes), "version": passes[0]["version"]}
        )
    return rows


def extremes(cell: str, shape: list[int], mode: str, threads: int, options: argparse.Namespace) -> list[Row]:
    """Measure ordinary, saturated and denormal inputs, in alternation."""
    from seriatim.bench.layer_timing import TORCH_LAYERS, Workload, side, using_threads
    from seriatim.nn.registry import LAYERS

    rows = []
    work = Workload(cell, *shape, mode=mode)
    for peer, layers in (("seriatim", LAYERS), ("torch.nn", TORCH_LAYERS)):
        scales = {"ordinary": 1.0, "saturated": 1e3, "denormal": 1e-40}
        with using_threads(threads):
            sides = {name: side(layers[cell](*shape[2:], bias=False), work, scale) for name, scale in scales.items()}
            timings = paired_timing().race(sides, seconds=options.seconds * options.passes, min_rounds=5)
        row: Row = {"group": "extremes", "peer": peer, "cell": cell, "shape": shape, "mode": mode, "threads": threads}
        row["seconds"] = timings.seconds("ordinary").to_json()
        rows.append(row | {name: timings.ratio("ordinary", name).to_json() for name in ("saturated", "denormal")})
    return rows


GROUPS = {"speed": speed, "extremes": extremes}


def measure_in_process(work: Row) -> Row:
    """Measure one peer in a process of its own."""
    count = str(work["threads"])
    pinned = {"OMP_NUM_THREADS": count, "TF_NUM_INTRAOP_THREADS": count, "TF_NUM_INTEROP_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    backend = {"KERAS_BACKEND": work["peer"].split("-")[1]} if work["peer"].startswith("keras") else {}
    command = [sys.executable, __file__, "--one", json.dumps(work)]
    with tempfile.TemporaryDirectory() as folder:
        compiler_cache = {"TORCHINDUCTOR_CACHE_DIR": folder}  # an empty cache, so that every process compiles
        environment = {**os.environ, **pinned, **quiet, **backend, **compiler_cache}
        try:
            process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return {"failed": f"over {TIMEOUT} s"}
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        return {"failed": next((text for text in reversed(lines) if "Error" in text), lines[-1])[:200]}
    result: Row = json.loads(process.stdout.splitlines()[-1])
    return result


def measure_here(work: Row) -> Row:
    """Measure one peer in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: work["threads"]])
    (run, prepare), version = PEERS[work["peer"]](work)
    run()
    first = time.perf_counter() - START
    timing = paired_timing()
    samples = timing.race({"peer": timing.Side(run, prepare)}, seconds=work["seconds"]).samples["peer"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"first": first, "samples": list(samples), "peak_bytes": peak, "version": version}


def paired_timing() -> ModuleType:
    """The module ``seriatim.bench.paired_timing``, without its package, which would import PyTorch in every process."""
    name = "seriatim_paired_timing"
    if name not in sys.modules:
        file = Path(seriatim.__file__).parent / "bench" / "paired_timing.py"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def random_arrays(work: Row, *, time_major: bool) -> tuple[Any, Any]:
    """x [T, B, I] and the gradient of the output [T, B, H], or with B first."""
    T, B, *widths = work["shape"]
    generator = np.random.default_rng(0)
    x, gradient = (generator.standard_normal((T, B, width), np.float32) for width in widths)
    return (x, gradient) if time_major else (x.swapaxes(0, 1).copy(), gradient.swapaxes(0, 1).copy())


# Each peer returns its calls and its version. Libraries are imported inside the functions that use them.


def torch_nn(work: Row) -> tuple[Calls, str]:
    import torch

    layers = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer = layers[work["cell"]](*work["shape"][2:])
    return torch_calls(layer, layer, work), torch.__version__


def seriatim_nn(work: Row) -> tuple[Calls, str]:
    from seriatim.nn.registry import LAYERS

    layer = LAYERS[work["cell"]](*work["shape"][2:])
    return torch_calls(layer, layer, work), seriatim.__version__


def torch_compile(work: Row) -> tuple[Calls, str]:
    """``torch.compile`` with its defaults: the recurrence stays a call of PyTorch's, outside the graph."""
    import torch

    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[work["cell"]](*work["shape"][2:])
    return torch_calls(layer, torch.compile(layer), work), torch.__version__


def torch_compile_unrolled(work: Row) -> tuple[Calls, str]:
    """``torch.compile`` with the switch that lets it unroll the recurrence into steps."""
    import torch._dynamo

    torch._dynamo.config.allow_rnn = True
    return torch_compile(work)


def torch_calls(layer: Any, call: Any, work: Row) -> Calls:
    import torch

    torch.set_num_threads(work["threads"])
    x, gradient = (torch.from_numpy(array) for array in random_arrays(work, time_major=True))
    weights = list(layer.parameters())

    def infer() -> None:
        with torch.no_grad():
            call(x)

    def train() -> None:
        call(x)[0].backward(gradient)

    def prepare() -> None:
        with torch.no_grad():
            for weight in weights:
                weight.grad = None
                weight.mul_(DRIFT)
        x.grad = None

    if work["mode"] == "infer":
        layer.eval()
        return infer, None
    x.requires_grad_()
    return train, prepare


def keras_layer(work: Row) -> tuple[Any, str]:
    import keras

    layers = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    T, B, inputs, H = work["shape"]
    layer = layers[work["cell"]](H, return_sequences=True)
    layer.build((B, T, inputs))
    return layer, keras.__version__


def keras_tensorflow(work: Row, compiled: bool = True) -> tuple[Calls, str]:
    """Keras on TensorFlow, compiled by XLA as ``Model.compile`` does by default."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(work["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    layer, version = keras_layer(work)
    x, gradient = (tf.constant(array) for array in random_arrays(work, time_major=False))

    @tf.function(jit_compile=compiled)
    def train(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) * gradient)
        return tape.gradient(loss, [x, *layer.trainable_variables])

    @tf.function(jit_compile=compiled)
    def infer(x: Any) -> Any:
        return [layer(x, training=False)]

    def prepare() -> None:
        for weight in layer.trainable_variables:
            weight.assign(weight * DRIFT)

    step = infer if work["mode"] == "infer" else train

    def run() -> None:
        step(x)[-1][..., 0].numpy()  # wait for the result

    return (run, None if work["mode"] == "infer" else prepare), f"{version}, tensorflow {tf.__version__}"


def keras_tensorflow_graph(work: Row) -> tuple[Calls, str]:
    """Keras on TensorFlow as a graph without XLA."""
    return keras_tensorflow(work, compiled=False)


def keras_jax(work: Row) -> tuple[Calls, str]:
    import jax

    layer, version = keras_layer(work)

    def forward(weights: Any, x: Any) -> Any:
        return layer.stateless_call(weights, [variable.value for variable in layer.non_trainable_variables], x)[0]

    weights = [variable.value for variable in layer.trainable_variables]
    return jax_calls(forward, weights, work), f"{version}, jax {jax.__version__}"


def flax_nnx(work: Row) -> tuple[Calls, str]:
    import flax
    import jax
    from flax import nnx

    cells = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}
    layer = nnx.RNN(cells[work["cell"]](*work["shape"][2:], rngs=nnx.Rngs(0)))
    carry = layer.cell.initialize_carry(tuple(work["shape"][1:3]), nnx.Rngs(0))
    graph, weights, rest = nnx.split(layer, nnx.Param, ...)

    def forward(weights: Any, x: Any) -> Any:
        return nnx.merge(graph, weights, rest)(x, initial_carry=carry)

    return jax_calls(forward, weights, work), f"{flax.__version__}, jax {jax.__version__}"


def jax_calls(forward: Callable[[Any, Any], Any], weights: Any, work: Row) -> Calls:
    import jax

    x, gradient = (jax.numpy.asarray(array) for array in random_arrays(work, time_major=False))

    def loss(weights: Any, x: Any) -> Any:
        return (forward(weights, x) * gradient).sum()

    step = jax.jit(forward if work["mode"] == "infer" else jax.grad(loss, argnums=(0, 1)))

    def run() -> None:
        jax.block_until_ready(step(weights, x))

    def prepare() -> None:
        nonlocal weights
        weights = jax.block_until_ready(jax.tree.map(lambda weight: weight * DRIFT, weights))

    return run, None if work["mode"] == "infer" else prepare


PEERS: dict[str, Callable[[Row], tuple[Calls, str]]] = {
    "seriatim": seriatim_nn,
    "torch.nn": torch_nn,
    "torch.compile": torch_compile,
    "torch.compile-unrolled": torch_compile_unrolled,
    "keras-tensorflow": keras_tensorflow,
    "keras-tensorflow-graph": keras_tensorflow_graph,
    "keras-jax": keras_jax,
    "flax-nnx": flax_nnx,
}


def line(row: Row) -> str:
    """A row as a line of text."""
    from _report import duration, spread

    label = (f"{row['group']:<9}{row['cell']:<5}{','.join(map(str, row['shape'])):<16}{row['mode']:<6}"
            f"{row['threads']}t {row['peer']:<23}")  # fmt: skip
    if "failed" in row:
        return f"{label} failed: {row['failed']}"
    text = f"{label} {spread(row['seconds'], duration)}"
    if row["group"] == "extremes":
        return text + "".join(f"  {name} × {row[name]['median']:.2f}" for name in ("saturated", "denormal"))
    return f"{text}  first call after {row['first']['median']:.1f} s  peak {row['peak_bytes'] / 2**20:,.0f} MiB"


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", nargs="+", default=list(GROUPS), choices=GROUPS)
    usual = [peer for peer in PEERS if peer != "torch.compile-unrolled"]  # compiling takes minutes
    parser.add_argument("--peers", nargs="+", default=usual, choices=PEERS, help="default: all except the unrolled")
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=("rnn", "lstm", "gru"))
    shapes = [[100, 32, 128, 128], [35, 20, 650, 650], [100, 1, 64, 64]]
    parser.add_argument("--shapes", nargs="+", default=shapes, help="T,B,I,H",
                        type=lambda text: [int(number) for number in text.split(",")])  # fmt: skip
    parser.add_argument("--modes", nargs="+", default=["train", "infer"], choices=("train", "infer"))
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--passes", type=int, default=3, help="processes for each figure")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of measuring in each process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
