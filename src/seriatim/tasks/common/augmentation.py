"""Epochs of recordings that change at random each time they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, final

import numpy as np

from seriatim.encoding.sound_augmentation import augmented
from seriatim.tasks.common.epochs import Epoch, epochs
from seriatim.tasks.options import SequenceOptions

Array = np.ndarray[Any, Any]


class Recordings(Protocol):
    """A dataclass of examples, whose ``inputs`` may be the frames of recordings [T, M]."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def inputs(self) -> Sequence[Array]: ...

    @property
    def lengths(self) -> Array: ...

    def batch(self, indices: Array) -> Any: ...


ExamplesT = TypeVar("ExamplesT", bound=Recordings)


@final
class _Changed(Sequence[Array]):
    """The frames of each recording, changed at random. In one epoch a recording always changes in the same way."""

    def __init__(self, inputs: Sequence[Array], seed: int, epoch: int) -> None:
        self._inputs, self._seed, self._epoch = inputs, seed, epoch

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: Any) -> Any:
        return augmented(self._inputs[index], np.random.default_rng((self._seed, self._epoch, int(index))))


def sequence_epochs(examples: ExamplesT, options: SequenceOptions) -> Callable[[int], Epoch[Any]]:
    """Return the epochs of ``examples``; with ``--augment`` its recordings change at random, by the seed and the epoch.

    The order and the sizes of batches are the same with and without.
    """
    plain: Callable[[int], Epoch[Any]] = epochs(examples, options, batch_tokens=options.batch_tokens)
    if not options.augment:
        return plain

    def epoch(number: int) -> Epoch[Any]:
        changed = dataclasses.replace(examples, inputs=_Changed(examples.inputs, options.seed, number))
        return Epoch(changed.batch, plain(number).order)

    return epoch
