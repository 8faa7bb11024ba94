"""The decoders of an ensemble, which take each step together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.runtime.arithmetic import Floats
from seriatim.runtime.decoder import Decoder

Array = NDArray[Any]


@final
class AveragedDecoder(Decoder):
    """Several decoders that read the same units. ``mix`` averages the log-probabilities of the next unit."""

    def __init__(self, decoders: Sequence[Decoder], mix: Callable[[Sequence[Array]], Array]) -> None:
        self._decoders, self._mix, self.boundary = decoders, mix, decoders[0].boundary

    def begin(self, memory: Any) -> tuple[Any, ...]:
        """Return the states before the first unit; ``memory`` has that of each decoder."""
        return tuple(decoder.begin(own) for decoder, own in zip(self._decoders, memory, strict=True))

    def step(self, tokens: NDArray[np.int64], state: tuple[Any, ...], /) -> tuple[Array, Any, Floats | None]:
        steps = [decoder.step(tokens, own) for decoder, own in zip(self._decoders, state, strict=True)]
        chances, states, alignments = zip(*steps, strict=True)
        alignment = None if alignments[0] is None else np.mean(np.stack(alignments), axis=0)
        return self._mix(chances), states, alignment

    def take(self, state: tuple[Any, ...], rows: NDArray[np.int64], /) -> tuple[Any, ...]:
        return tuple(decoder.take(own, rows) for decoder, own in zip(self._decoders, state, strict=True))

    def to_arrays(self, state: tuple[Any, ...], /) -> dict[str, Array]:
        parts = zip(self._decoders, state, strict=True)
        return {
            f"{number}.{name}": array
            for number, (decoder, own) in enumerate(parts)
            for name, array in decoder.to_arrays(own).items()
        }

    def from_arrays(self, arrays: Mapping[str, Array], /) -> tuple[Any, ...]:
        states = []
        for number, decoder in enumerate(self._decoders):
            prefix = f"{number}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            states.append(decoder.from_arrays(own))
        return tuple(states)

    def step_axis(self, name: str) -> tuple[str, int | None]:
        number, _, own = name.partition(".")
        return self._decoders[int(number)].step_axis(own)
