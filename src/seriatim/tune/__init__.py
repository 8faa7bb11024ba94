"""Search over the options of ``seriatim.train`` with Optuna: a trial is a run.

    search = seriatim.tune.search("classify", "messages.tsv", {"hidden": "32..256:log", "model": "lstm,gru"}, trials=20)
    search.best["params"], search.run.result["scores"]

Several processes that start the same search share its trials. A trial that was killed goes on from its checkpoint.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.tune.results import Search as Search
    from seriatim.tune.searching import search as search
    from seriatim.tune.space import default_space as default_space

__all__ = ["Search", "default_space", "search"]

_MODULES = {
    "Search": "seriatim.tune.results",
    "default_space": "seriatim.tune.space",
    "search": "seriatim.tune.searching",
}


def __getattr__(name: str) -> object:
    """Import a name, and Optuna with it, when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seriatim.tune' has no attribute '{name}'")
    try:
        value: object = getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "seriatim":
            raise
        from seriatim.errors import MissingExtra

        raise MissingExtra(f"seriatim.tune.{name}", "train,tune") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
