"""What ``river`` wants to see in an estimator: its own base classes where it is installed, nothing where it is not.

Its metrics, pipelines and checks ask whether a model is an instance of them. They bring ``clone``, ``|`` and a
printed form; what this package needs is its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or find_spec("river") is None:

    class Classifier:
        """In place of ``river.base.Classifier``."""

    class Regressor:
        """In place of ``river.base.Regressor``."""

else:
    from river.base import Classifier, Regressor

__all__ = ["Classifier", "Regressor"]
