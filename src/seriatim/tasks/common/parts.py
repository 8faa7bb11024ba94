"""Data read and split into three parts, and what the reader should know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from seriatim.data.collection import Collection
from seriatim.data.files import content_hash
from seriatim.data.splits import Indices, split_indices
from seriatim.errors import DataError
from seriatim.notation import UNKNOWN

CollectionT = TypeVar("CollectionT", bound=Collection)

PARTS = ("train", "valid", "test")
MANY_UNKNOWN = 0.2
"""Share of a text's words."""


class SplitOptions(Protocol):
    """What a split depends on."""

    @property
    def valid(self) -> str | None: ...
    @property
    def test(self) -> str | None: ...
    @property
    def drop_duplicates(self) -> bool: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Parts(Generic[CollectionT]):
    """Data, read and split."""

    train: CollectionT
    valid: CollectionT
    test: CollectionT
    hash: str
    notes: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """How many there are in each part."""
        return {name: len(getattr(self, name)) for name in PARTS}


def read_parts(
    options: SplitOptions,
    source: object,
    read: Callable[[object], CollectionT],
    *,
    labels: Callable[[CollectionT], Sequence[str]] | None = None,
    mend: Callable[[CollectionT, dict[str, Indices]], dict[str, Indices]] = lambda whole, cut: cut,
) -> Parts[CollectionT]:
    """Read ``source`` and the files of --valid and --test; what was not given is cut from ``source``.

    The cut is stratified by ``labels``, where there are any, and ``mend`` may move what it put where it cannot stand.
    Raises ``DataError`` for a part that holds nothing.
    """
    whole = read(source)
    fixed = {part: read(path) for part, path in (("valid", options.valid), ("test", options.test)) if path}
    notes = []
    if options.drop_duplicates:
        whole, dropped = whole.without_duplicates()
        notes.append(f"{dropped} duplicates dropped before splitting")
    hash = content_hash(*(part.content for part in (whole, *fixed.values())))
    cut = split_indices(fixed, labels(whole) if labels else [""] * len(whole), whole.groups, options.seed)
    parts = fixed | {name: whole.take(some) for name, some in mend(whole, cut).items()}
    for name in PARTS:
        if not len(parts[name]):
            raise DataError(f"{name} part: no {whole.plural}; too little data")
        shared = 0 if name == "train" else parts[name].count_known(parts["train"])
        if shared:
            known = f"{shared} of {len(parts[name])} {whole.compared} also stand in the training part"
            notes.append(f"{name}: {known} (--drop-duplicates)")
    return Parts(parts["train"], parts["valid"], parts["test"], hash, tuple(notes))


def unknown_notes(words: str, unit: str, valid: Sequence[np.ndarray[Any, Any]]) -> Iterator[str]:
    """Tell when a vocabulary of words knows too little of new text: some languages glue their words together."""
    share = float(np.mean(np.concatenate(valid) == UNKNOWN))
    if unit == "word" and share > MANY_UNKNOWN:
        yield f"valid: {share:.0%} of {words} are unknown; --unit bpe or --unit char reads words in pieces"
