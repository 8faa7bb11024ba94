"""ONNX's own cases of the nodes RNN, LSTM and GRU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.nn.interchange import OnnxNode, from_onnx, to_onnx

RECORDED = "onnx"


def check(node, x, outputs, tools):
    """Run a node here and compare every output that the case names."""
    layer, call = from_onnx(node, with_call=True)
    output, state = layer(torch.from_numpy(x), **call)
    directions = 2 if layer.bidirectional else 1
    y = output.detach().numpy().reshape(*output.shape[:2], directions, -1)
    found = dict(zip(("Y_h", "Y_c"), (one.detach().numpy() for one in tools.state_of(state)), strict=False))
    if node.attributes.get("layout"):
        found = {name: one.swapaxes(0, 1) for name, one in found.items()} | {"Y": y}
    else:
        found["Y"] = y.swapaxes(1, 2)
    for name, wanted in outputs.items():
        assert tools.difference([found[name]], [wanted]) <= tools.TOLERANCE["float32"], name


def test_onnxs_own_case(case, tools):
    given = case["theirs"]
    kinds = {"sequence_lens": np.int32}
    inputs = {name: tools.as_array(one, kinds.get(name, np.float32)) for name, one in given["inputs"].items()}
    outputs = {name: tools.as_array(one, np.float32) for name, one in case["outputs"].items()}
    check(
        OnnxNode(given["op_type"], given["attributes"], inputs), tools.as_array(case["x"], np.float32), outputs, tools
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
        given = case["theirs"]
        check(OnnxNode(given["op_type"], given["attributes"], given["inputs"]), case["x"], case["outputs"], tools)
    assert len(names) == 18
