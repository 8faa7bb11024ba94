"""Epochs of recordings that change at random each time they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, final

import numpy as np

from seriatim.encoding.sound_augmentation import changed, masked
from seriatim.tasks.common.epochs import Epoch, epochs
from seriatim.tasks.common.sequence_inputs import InputCodec
from seriatim.tasks.options import SequenceOptions

Array = np.ndarray[Any, Any]


class Recordings(Protocol):
    """A dataclass of examples, whose ``inputs`` may be the scaled ``frames`` of recordings [T, M]."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def inputs(self) -> Sequence[Array]: ...

    @property
    def frames(self) -> Sequence[Array]: ...

    @property
    def lengths(self) -> Array: ...

    def batch(self, indices: Array) -> Any: ...


ExamplesT = TypeVar("ExamplesT", bound=Recordings)


@final
class _Changed(Sequence[Array]):
    """Recordings that are changed at random, then encoded. In one epoch a recording always changes in the same way."""

    def __init__(self, frames: Sequence[Array], codec: InputCodec, seed: int, epoch: int) -> None:
        self._frames, self._codec, self._seed, self._epoch = frames, codec, seed, epoch

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Any:
        generator = np.random.default_rng((self._seed, self._epoch, int(index)))
        return masked(self._codec.encode_steps(changed(self._frames[index], generator)), generator)


def sequence_epochs(examples: ExamplesT, options: SequenceOptions, codec: InputCodec) -> Callable[[int], Epoch[Any]]:
    """Return the epochs of ``examples``; with ``--augment`` its recordings change at random, by the seed and the epoch.

    The order and the sizes of batches are the same with and without.
    """
    plain: Callable[[int], Epoch[Any]] = epochs(examples, options, batch_tokens=options.batch_tokens)
    if not options.augment:
        return plain

    def epoch(number: int) -> Epoch[Any]:
        changed = dataclasses.replace(examples, inputs=_Changed(examples.frames, codec, options.seed, number))
        return Epoch(changed.batch, plain(number).order)

    return epoch
