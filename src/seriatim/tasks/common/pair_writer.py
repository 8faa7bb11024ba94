"""A network that answers a text, piece by piece, as ``generate`` asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from seriatim.decoding.pieces import pieces
from seriatim.decoding.sampling import sample
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.pair_reader import PairReader
from seriatim.tasks.common.writing import Stepper, Writer
from seriatim.tasks.task import GenerateRequest

Array = np.ndarray[Any, Any]


def answer(writer: Writer, reader: PairReader, request: GenerateRequest) -> Iterator[str]:
    """Write one text, each unit drawn as the request says."""
    stepper, boundary = Stepper(writer.network), writer.network.boundary

    def step(unit: int, state: Any) -> tuple[Array, Any]:
        chances, state, _ = stepper.step(np.array([unit]), state)
        row = chances[0].astype(np.float64)
        row[UNKNOWN] = -np.inf  # <unk> says nothing
        return row, state

    units = sample(
        step,
        stepper.begin(reader.shown(reader.read([request.prompt]))),
        boundary,
        min(request.length, writer.most),
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        repetition_penalty=request.repetition_penalty,
        generator=np.random.default_rng(request.seed),
        stop=(boundary,),
    )
    return pieces(reader.script.decode, units)
