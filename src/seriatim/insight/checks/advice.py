"""Flags that an advice names, with values made of the options that the model was trained with."""

from __future__ import annotations

from seriatim.insight.evidence import Evidence


def rate(evidence: Evidence, factor: float) -> str:
    """The learning rate times ``factor``, as a flag."""
    now = evidence.options.get("lr")
    if not isinstance(now, (int, float)):
        return "--lr find"
    return f"--lr {now * factor:.3g}"


def without(flag: str, now: object, names: tuple[str, ...]) -> str:
    """The columns ``now`` of an option without ``names``, as a flag; an instruction where none would be left."""
    left = [name for name in now if name not in names] if isinstance(now, (list, tuple)) else []
    return f"{flag} {','.join(left)}" if left else f"leave out {', '.join(names)}"
