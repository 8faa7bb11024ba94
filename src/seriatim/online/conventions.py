"""The base classes of an estimator: ``river``'s if it is installed, else empty classes.

The metrics, pipelines and checks of ``river`` test whether a model is an instance of its base classes. These also add
``clone``, ``|`` and a printed form. This package itself needs none of it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or find_spec("river") is None:

    class Classifier:
        """A stand-in for ``river.base.Classifier``."""

    class Regressor:
        """A stand-in for ``river.base.Regressor``."""

else:
    from river.base import Classifier, Regressor

__all__ = ["Classifier", "Regressor"]
