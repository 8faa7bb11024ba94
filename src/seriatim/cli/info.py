"""``seriatim info``: the features of this installation on this machine."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from seriatim.cli.extras import installed
from seriatim.cli.output import Json, say, write_json

EXAMPLE = "seriatim info --json"

INSTRUCTION_SETS = {"avx2": "avx2", "avx512f": "avx512f", "amx_bf16": "amx_bf16", "asimd": "neon", "neon": "neon"}
"""Flags of ``/proc/cpuinfo`` that matter to the recurrence, with their names in Seriatim."""

OTHERS = {
    "gru projection": "folded",
    "mingru": "scan",
    "minlstm": "scan",
    "rnn clip": "composed",
    "lstm clip": "composed",
    "lstm coupled clip": "composed",
    "gru clip": "composed",
    "lru": "scan",
}
"""The rows of ``ops.recurrence``'s table for cells that the engine does not fuse. ``folded`` runs another cell that it
fuses, ``scan`` the engine's scan, and ``composed`` plain PyTorch operations, which are several times slower."""


EAGER = ("rnn tanh", "rnn relu", "rnn sigmoid", "lstm", "gru")
"""Cells whose plain layers and single steps take the eager path, the first row of ``ops.recurrence``'s table."""


def info(json: Json = False) -> None:
    """Show versions, processor, threads, extras and the native engine. SERIATIM_TARGET forces its instruction set."""
    facts = describe()
    if json:
        write_json(facts)
        return
    for name, value in facts.items():
        say(f"{name.replace('_', ' ')}: {_words(value)}")


def describe() -> dict[str, object]:
    """Return all facts that ``seriatim info`` shows, without loading PyTorch.

    Raises ``UsageError`` if ``SERIATIM_TARGET`` names a target that cannot run here.
    """
    from seriatim.kernels import native  # loads NumPy
    from seriatim.version import __version__

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
        "amx": native.amx(),
        "native_cells": _native_cells() if native.available() else [],
        "eager_cells": list(EAGER) if native.available() else [],
        "other_cells": OTHERS if native.available() else {},
        "recurrence": os.environ.get("SERIATIM_RECURRENCE") or ("native" if native.available() else "pytorch"),
    }


def _native_cells() -> list[str]:
    """Return the cells of ``spec.VARIANTS`` that the engine runs."""
    from seriatim.errors import UsageError
    from seriatim.kernels import native
    from seriatim.spec import VARIANTS, CellSpec

    fused_variants = []
    for name, variant in VARIANTS.items():
        spec = CellSpec(input_size=8, hidden_size=8, **variant)
        try:
            if native.fuses(spec):
                native.cell(spec, spec.layer_norm)
                fused_variants.append(name)
        except UsageError:
            continue
    return fused_variants


def instruction_sets(cpuinfo: str) -> list[str]:
    """Return the members of ``INSTRUCTION_SETS`` in the text of ``/proc/cpuinfo``; on Apple's ARM this is NEON."""
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
    """Return the number of cores that this process may use, or the limit of ``OMP_NUM_THREADS``."""
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
        words = {True: "yes", False: "no"}
        return ", ".join(f"{name} {words.get(item, item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
