"""``seriatim info``: what this installation can do on this machine."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from seriatim.cli.extras import installed
from seriatim.cli.output import Json, say, write_json

EXAMPLE = "seriatim info --json"

INSTRUCTION_SETS = {"avx2": "avx2", "avx512f": "avx512f", "amx_bf16": "amx_bf16", "asimd": "neon", "neon": "neon"}
"""Flags of ``/proc/cpuinfo`` that matter to the recurrence, and what they are called here."""


VARIANTS: dict[str, dict[str, object]] = {
    "rnn tanh": {"kind": "rnn"},
    "rnn relu": {"kind": "rnn", "activation": "relu"},
    "rnn sigmoid": {"kind": "rnn", "activation": "sigmoid"},
    "rnn projection": {"kind": "rnn", "proj_size": 4},
    "rnn layer-norm": {"kind": "rnn", "layer_norm": True},
    "lstm": {"kind": "lstm"},
    "lstm projection": {"kind": "lstm", "proj_size": 4},
    "lstm peephole": {"kind": "lstm", "peephole": True},
    "lstm layer-norm": {"kind": "lstm", "layer_norm": True},
    "gru": {"kind": "gru"},
    "gru reset-before": {"kind": "gru", "reset_after": False},
    "gru layer-norm": {"kind": "gru", "layer_norm": True},
}
"""Cells that there are, in the words of a ``CellSpec``: the engine is asked which of them it runs."""


def info(json: Json = False) -> None:
    """Show versions, processor, threads, extras and the native engine. SERIATIM_TARGET forces its instruction set."""
    facts = describe()
    if json:
        write_json(facts)
        return
    for name, value in facts.items():
        say(f"{name.replace('_', ' ')}: {_words(value)}")


def describe() -> dict[str, object]:
    """Everything that ``seriatim info`` tells; never loads PyTorch.

    Raises ``UsageError`` where ``SERIATIM_TARGET`` names a target that cannot run here.
    """
    from seriatim import __version__
    from seriatim.kernels import native  # loads NumPy

    return {
        "seriatim": __version__,
        "python": platform.python_version(),
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        "instruction_sets": instruction_sets(_cpuinfo()),
        "extras": installed(),
        "native_engine": "built" if native.available() else "not built",
        "targets": native.targets(),
        "target": native.target() if native.available() else None,
        "native_cells": _native_cells() if native.available() else [],
        "recurrence": os.environ.get("SERIATIM_RECURRENCE") or ("native" if native.available() else "pytorch"),
    }


def _native_cells() -> list[str]:
    """Those of ``VARIANTS`` that the engine takes."""
    from seriatim.errors import UsageError
    from seriatim.kernels import native
    from seriatim.spec import CellSpec

    taken = []
    for name, variant in VARIANTS.items():
        settings: Any = {"input_size": 8, "hidden_size": 8, **variant}
        try:
            native.cell(CellSpec(**settings), bool(variant.get("layer_norm")))
        except UsageError:
            continue
        taken.append(name)
    return taken


def instruction_sets(cpuinfo: str) -> list[str]:
    """Those of ``INSTRUCTION_SETS`` that the text of ``/proc/cpuinfo`` lists; on Apple's ARM it is NEON."""
    if not cpuinfo:
        return ["neon"] if platform.machine() == "arm64" else []
    flags: set[str] = set()
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            flags.update(value.split())
    return list(dict.fromkeys(name for flag, name in INSTRUCTION_SETS.items() if flag in flags))


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _processor() -> str:
    for line in _cpuinfo().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _threads() -> int:
    """Cores that this process may use, or what ``OMP_NUM_THREADS`` allows."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    if allowed.isdigit() and int(allowed) > 0:
        return int(allowed)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _version(distribution: str) -> str | None:
    from importlib import metadata  # slow to import, and every command loads this file

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
