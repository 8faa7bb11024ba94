"""Comparison of JSON values."""

from __future__ import annotations

import pytest


def close(ours, theirs, tolerance=1e-5):
    """Check that two JSON values are equal, and their numbers close."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            close(ours[key], theirs[key], tolerance)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs, strict=True):
            close(*pair, tolerance)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)
    else:
        assert ours == theirs and type(ours) is type(theirs)
