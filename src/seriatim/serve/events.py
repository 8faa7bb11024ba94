"""Server-sent events: the pieces of a text as they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from seriatim.errors import SeriatimError
from seriatim.serve import refusals
from seriatim.serve.refusals import Refusal
from seriatim.serve.service import Service

HEARTBEAT: Final = 10.0
"""Seconds without a piece after which a comment is sent, so that nothing between client and server gives up."""
CHUNK: Final = 0.01
"""Seconds of work for one event. Other requests get their turn after it."""
HEADERS: Final = {"X-Accel-Buffering": "no"}

Pieces = Iterator[str]


def take_chunk(pieces: Pieces) -> tuple[str, bool]:
    """Return the pieces that were written in ``CHUNK`` seconds, at least one, and whether there are more."""
    end, text = time.monotonic() + CHUNK, ""
    for piece in pieces:
        text += piece
        if time.monotonic() >= end:
            return text, True
    return text, False


async def chunks(service: Service, pieces: Pieces) -> AsyncIterator[str | None]:
    """Yield a text in chunks, and None as a heartbeat. Raises ``Refusal`` when the request takes too long.

    The thread that writes is free between two chunks, so a client that reads slowly holds up only itself.
    """
    deadline = time.monotonic() + service.options.timeout
    more = True
    while more:
        if time.monotonic() >= deadline:
            raise Refusal(504, "timeout", f"not done in {service.options.timeout:g} s")
        task = asyncio.ensure_future(service.work(lambda: take_chunk(pieces)))
        try:
            while not (await asyncio.wait({task}, timeout=HEARTBEAT))[0]:
                yield None
        finally:
            task.cancel()  # does nothing if it is done
        text, more = task.result()
        if text:
            yield text


async def whole_text(service: Service, pieces: Pieces) -> str:
    """Return a text as a whole."""
    return "".join([chunk async for chunk in chunks(service, pieces) if chunk])


def event_stream(events: AsyncIterator[dict[str, Any] | None], *, done: bool) -> StreamingResponse:
    """Send events with rising ids. None is a heartbeat. ``done``: end with OpenAI's ``[DONE]``."""

    async def lines() -> AsyncIterator[bytes]:
        number = 0
        try:
            async for event in events:
                if event is None:
                    yield b": keep-alive\n\n"
                    continue
                number += 1
                yield f"id: {number}\ndata: ".encode() + to_json(event) + b"\n\n"
        except (Refusal, SeriatimError) as error:
            refusal = error if isinstance(error, Refusal) else refusals.malformed(str(error))
            yield f"id: {number + 1}\nevent: error\ndata: ".encode() + to_json(refusal.to_json()) + b"\n\n"
            return
        if done:
            yield b"data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers=HEADERS)
