"""The split: data are read and divided into a training, a validation and a test part."""

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
from seriatim.percent import percent

CollectionT = TypeVar("CollectionT", bound=Collection)

PARTS = ("train", "valid", "test")
MANY_UNKNOWN = 0.2
"""Share of unknown words in a text from which on a note is shown."""


class SplitOptions(Protocol):
    """The options that a split depends on."""

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
    """Data that were read and split."""

    train: CollectionT
    valid: CollectionT
    test: CollectionT
    hash: str
    notes: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of items in each part."""
        return {name: len(getattr(self, name)) for name in PARTS}


def read_parts(
    options: SplitOptions,
    source: object,
    read: Callable[[object], CollectionT],
    *,
    labels: Callable[[CollectionT], Sequence[str]] | None = None,
    adjust: Callable[[CollectionT, dict[str, Indices]], dict[str, Indices]] = lambda whole, indices: indices,
) -> Parts[CollectionT]:
    """Read ``source`` and the files of --valid and --test, and cut the missing parts from ``source``.

    The cut is stratified by ``labels``, if they are passed. ``adjust`` may then move items between the parts. Raises
    ``DataError`` for an empty part.
    """
    whole = read(source)
    fixed = {name: read(path) for name, path in (("valid", options.valid), ("test", options.test)) if path}
    notes = []
    if options.drop_duplicates:
        whole, dropped = whole.without_duplicates()
        notes.append(f"{dropped} duplicates dropped before splitting")
    hash = content_hash(*(part.content for part in (whole, *fixed.values())))
    indices = split_indices(fixed, labels(whole) if labels else [""] * len(whole), whole.groups, options.seed)
    parts = fixed | {name: whole.take(selected) for name, selected in adjust(whole, indices).items()}
    for name in PARTS:
        if not len(parts[name]):
            distinct = len(set(labels(whole))) if labels and len(whole) else 0
            if name not in fixed and distinct > 1 and len(whole) >= 10:
                raise DataError(
                    f"label: {distinct} different labels for {len(whole)} {whole.plural}, too few of each label to "
                    "split; is this the column of the labels?"
                )
            raise DataError(f"{name} part: no {whole.plural}; too little data")
        shared = 0 if name == "train" else parts[name].count_known(parts["train"])
        if shared:
            duplicates = f"{shared} of {len(parts[name])} {whole.compared} are also in the training part"
            notes.append(f"{name}: {duplicates} (--drop-duplicates)")
    return Parts(parts["train"], parts["valid"], parts["test"], hash, tuple(notes))


def unknown_notes(words: str, unit: str, valid: Sequence[np.ndarray[Any, Any]]) -> Iterator[str]:
    """Yield a note if many words of the validation part are unknown, as in languages with long compound words."""
    share = float(np.mean(np.concatenate(valid) == UNKNOWN))
    if unit == "word" and share > MANY_UNKNOWN:
        yield f"valid: {percent(share)} of {words} are unknown; --unit bpe or --unit char reads words in pieces"
