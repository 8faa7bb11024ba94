"""Every array of a call that does not fit is refused by name before the engine reads memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.errors import UsageError
from seriatim.kernels.call_arrays import address, call_shapes, check_call, masks, row_strides, weight_addresses
from seriatim.spec import CellSpec

SPEC = CellSpec("lstm", 3, 4, proj_size=2)
SHAPES = call_shapes(SPEC, steps=5, rows=6, inputs=3, slots=4)
LIBRARIES = {"numpy": np.asarray, "torch": lambda array: torch.from_numpy(np.array(array))}


@pytest.fixture(params=LIBRARIES)
def arrays(request):
    """One array of each name, of the right shape and dtype."""
    dtypes = {"lengths": np.int64, "reset": np.bool_}
    values = {name: np.zeros(shape, dtypes.get(name, np.float32)) for name, shape in SHAPES.items()}
    values |= {f"grad_{name}": np.zeros(SHAPES[name], np.float32) for name in ("x", "output", "h", "c", "h_n", "cells")}
    return {name: LIBRARIES[request.param](value) for name, value in values.items()}


def test_arrays_that_fit_pass(arrays):
    check_call(SHAPES, arrays)
    check_call(SHAPES, {name: value if name == "x" else None for name, value in arrays.items()})


@pytest.mark.parametrize("name", [*SHAPES, "grad_x", "grad_output", "grad_h", "grad_c", "grad_h_n", "grad_cells"])
def test_wrong_array_is_refused_by_name(arrays, name):
    value = arrays[name]
    wrong_dtype = value.astype(np.float16) if isinstance(value, np.ndarray) else value.half()
    for wrong in (value[..., :-1], value[1:], value[None], wrong_dtype):
        with pytest.raises(UsageError, match=f"^{name}: got "):
            check_call(SHAPES, arrays | {name: wrong})


@pytest.mark.parametrize("name", ["h", "output", "dropout", "slots", "grad_h_n"])
def test_strides_are_refused_unless_rows_are_dense(arrays, name):
    value = arrays[name]
    wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), np.float32)
    sparse = (wide if isinstance(value, np.ndarray) else torch.from_numpy(wide))[..., ::2]
    with pytest.raises(UsageError, match=f"{name}: got strides"):
        check_call(SHAPES, arrays | {name: sparse})
    with pytest.raises(UsageError, match=f"{name}: got strides"):
        check_call(SHAPES, arrays | {name: sparse}, strided=(name,))


def test_time_and_rows_may_have_strides(arrays):
    x = arrays["x"]
    turned = np.zeros((6, 5, 3), np.float32)
    turned = (turned if isinstance(x, np.ndarray) else torch.from_numpy(turned)).swapaxes(0, 1)
    with pytest.raises(UsageError, match="x: got strides"):
        check_call(SHAPES, arrays | {"x": turned})
    check_call(SHAPES, arrays | {"x": turned}, strided=("x",))
    assert row_strides(turned) == (3, 15)


def test_zoneout_may_repeat_and_may_be_boolean(arrays):
    for shape in ((1, 6, 2), (5, 1, 2), (1, 1, 2)):
        check_call(SHAPES, arrays | {"zoneout_h": LIBRARIES["numpy"](np.zeros(shape, np.bool_))})
    with pytest.raises(UsageError, match="zoneout_h: got"):
        check_call(SHAPES, arrays | {"zoneout_h": np.zeros((2, 6, 2), np.bool_)})
    shares = np.zeros((1, 6, 2), np.float32)
    no_mask = (0, 0, 0, False)
    assert masks(None, None, None, (shares,)) == (0, 0, 0, (address(shares), 0, 2, False), no_mask)
    assert masks(None, None, None, ()) == (0, 0, 0, no_mask, no_mask)


def test_strides_that_are_no_whole_values_are_refused():
    packed = np.zeros((5, 6), dtype=[("x", np.float64, 3), ("flag", np.int8)])["x"]
    with pytest.raises(UsageError, match="x: got strides"):
        check_call({"x": (5, 6, 3)}, {"x": packed}, strided=("x",))


def test_integers_are_refused():
    with pytest.raises(UsageError, match="x: got int64, wanted float32 or float64"):
        check_call(SHAPES, {"x": np.zeros((5, 6, 3), np.int64)})


def test_weights_of_a_wrong_shape_or_dtype_are_refused():
    spec = CellSpec("lstm", 3, 4, proj_size=2, peephole=True)
    arrays = [np.zeros(shape) for shape in ((16, 3), (16, 2), (16,), (16,), (2, 4), (3, 4))]
    is_float64, addresses = weight_addresses(spec, arrays)
    assert is_float64 and len(addresses) == 10
    assert addresses[:6] == [array.ctypes.data for array in arrays] and not any(addresses[6:])
    names = ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "w_ch")
    for place, name in enumerate(names):
        wrong = [array[:-1] if index == place else array for index, array in enumerate(arrays)]
        with pytest.raises(UsageError, match=rf"weights.{name}: got \[.*wanted \["):
            weight_addresses(spec, wrong)
    with pytest.raises(UsageError, match=r"weights.b_ih: got \[16\] of float32, wanted \[16\] of float64"):
        weight_addresses(spec, [*arrays[:2], arrays[2].astype(np.float32), *arrays[3:]])
    with pytest.raises(UsageError, match="w_hr: got strides"):
        weight_addresses(spec, [*arrays[:4], np.asfortranarray(arrays[4]), arrays[5]])
    with pytest.raises(UsageError, match="w_hh: got None"):
        weight_addresses(spec, [arrays[0], None])
