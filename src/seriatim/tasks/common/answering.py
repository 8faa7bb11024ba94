"""``generate`` for ``translate``: a network answers a prompt, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from seriatim.decoding.pieces import pieces
from seriatim.decoding.sampling import sample
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.pair_codec import PairCodec
from seriatim.tasks.common.writing import Stepper, Writer
from seriatim.tasks.task import GenerateRequest

Array = np.ndarray[Any, Any]


def answer(writer: Writer, codec: PairCodec, request: GenerateRequest) -> Iterator[str]:
    """Write one text. Each unit is drawn as ``request`` says."""
    stepper, boundary = Stepper(writer.network), writer.network.boundary

    def step(unit: int, state: Any) -> tuple[Array, Any]:
        chances, state, _ = stepper.step(np.array([unit]), state)
        row = chances[0].astype(np.float64)
        row[UNKNOWN] = -np.inf  # <unk> cannot be written as text
        return row, state

    units = sample(
        step,
        stepper.begin(codec.input_batch(codec.encode_inputs([request.prompt]))),
        boundary,
        min(request.length, writer.max_length),
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        repetition_penalty=request.repetition_penalty,
        generator=np.random.default_rng(request.seed),
        stop=(boundary,),
    )
    return pieces(codec.script.decode, units)
