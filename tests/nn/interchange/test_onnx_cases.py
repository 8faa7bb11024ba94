"""ONNX's own cases of the nodes RNN, LSTM and GRU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.nn.interchange import OnnxNode, from_onnx, to_onnx

RECORDED = "onnx"


def check(node, x, outputs, tools):
    """Run a node here and compare all outputs that the case names."""
    layer, call = from_onnx(node, with_call=True)
    output, state = layer(torch.from_numpy(x), **call)
    directions = 2 if layer.bidirectional else 1
    y = output.detach().numpy().reshape(*output.shape[:2], directions, -1)
    results = dict(zip(("Y_h", "Y_c"), (value.detach().numpy() for value in tools.state_of(state)), strict=False))
    if node.attributes.get("layout"):
        results = {name: value.swapaxes(0, 1) for name, value in results.items()} | {"Y": y}
    else:
        results["Y"] = y.swapaxes(1, 2)
    for name, expected in outputs.items():
        assert tools.difference([results[name]], [expected]) <= tools.TOLERANCE["float32"], name


def test_case_of_onnx(case, tools):
    recorded = case["theirs"]
    kinds = {"sequence_lens": np.int32}
    inputs = {name: tools.as_array(value, kinds.get(name, np.float32)) for name, value in recorded["inputs"].items()}
    outputs = {name: tools.as_array(value, np.float32) for name, value in case["outputs"].items()}
    check(
        OnnxNode(recorded["op_type"], recorded["attributes"], inputs),
        tools.as_array(case["x"], np.float32),
        outputs,
        tools,
    )


@pytest.mark.filterwarnings("default")
def test_live_onnxs_own_cases(record, tools):
    pytest.importorskip("onnx")
    names = set()
    for case in record.onnx():
        names.add(case["name"])
        layer, call = from_onnx(case["node"], case["theirs"]["inputs"], with_call=True)
        if set(call) <= {"reverse"} and not layer.batch_first:
            (node,) = to_onnx(layer, **call)
            check(node, case["x"], case["outputs"], tools)
        recorded = case["theirs"]
        check(
            OnnxNode(recorded["op_type"], recorded["attributes"], recorded["inputs"]), case["x"], case["outputs"], tools
        )
    assert len(names) == 18
