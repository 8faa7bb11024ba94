from __future__ import annotations

from seriatim.kernels.weights import Weights


def test_present_weights_have_pytorchs_order():
    assert Weights("ih", "hh").present() == ["ih", "hh"]
    assert Weights("ih", "hh", w_hr="hr").present() == ["ih", "hh", "hr"]
    assert Weights("ih", "hh", "b_ih", "b_hh", "hr").present() == ["ih", "hh", "b_ih", "b_hh", "hr"]
