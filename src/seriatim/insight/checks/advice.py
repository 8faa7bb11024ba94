"""The flags of an advice, with values that depend on the options of the training."""

from __future__ import annotations

from seriatim.insight.evidence import Evidence


def rate(evidence: Evidence, factor: float) -> str:
    """The learning rate times ``factor``, as a flag."""
    current = evidence.options.get("lr")
    if not isinstance(current, (int, float)):
        return "--lr find"
    return f"--lr {current * factor:.3g}"


def without(flag: str, current: object, names: tuple[str, ...]) -> str:
    """The columns ``now`` of an option without ``names``, as a flag; an instruction where none would be left."""
    remaining = [name for name in current if name not in names] if isinstance(current, (list, tuple)) else []
    return f"{flag} {','.join(remaining)}" if remaining else f"leave out {', '.join(names)}"
