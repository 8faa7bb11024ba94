"""Sessions over a WebSocket. One connection may serve many sessions.

A frame is a JSON object, such as ``{"op": "step", "session": "a", "seq": 1, "x": "t"}``, or an array of them, which are
carried out together. The answer is an object, or an array in the same order. A refusal is ``{"error": {…}}`` with the
HTTP status in it. The frames of a connection are answered one after another, so a client that does not read its answers
holds up only itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from seriatim.serve import refusals, schemas
from seriatim.serve.inputs import check_step
from seriatim.serve.operations import Close, Create, Describe, Fork, GetState, Operation, PutState, Step
from seriatim.serve.refusals import Refusal
from seriatim.serve.service import Service
from seriatim.serve.session_routes import new_id

MOST: Final = 1000
"""Operations in one frame."""
_FRAME: Final[TypeAdapter[Any]] = TypeAdapter(schemas.Frame)
_FRAMES: Final[TypeAdapter[Any]] = TypeAdapter(list[Any])


def websocket_routes(service: Service) -> APIRouter:
    """Return the route of the WebSocket."""
    router = APIRouter()

    @router.websocket("/v1/sessions")
    async def connect(socket: WebSocket) -> None:
        await socket.accept()
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None:
                answer = _error(refusals.malformed("frame: bytes, wanted text"))
            else:
                answer = await _answer_frame(service, text)
            try:
                await socket.send_text(answer.decode())
            except (WebSocketDisconnect, RuntimeError):  # the client has gone; Starlette raises one or the other
                return

    return router


async def _answer_frame(service: Service, text: str) -> bytes:
    """Carry out a frame, and return the answer as JSON."""
    try:
        if not text.lstrip().startswith("["):
            (answer,) = await _answers(service, [_FRAME.validate_json(text, strict=True)])
            return answer
        entries = _FRAMES.validate_json(text)
        if len(entries) > MOST:
            raise refusals.malformed(f"frame: {len(entries)} operations, wanted at most {MOST}")
        answers = await _answers(service, entries)
        return b"[" + b",".join(answers) + b"]"
    except ValidationError as error:
        return _error(refusals.malformed(first_fault(error.errors())))
    except Refusal as refusal:
        return _error(refusal)


async def _answers(service: Service, entries: Sequence[Any]) -> list[bytes]:
    """Carry out operations that arrived together; each is answered or refused by itself."""
    waiting: list[asyncio.Future[Any] | Refusal] = []
    for entry in entries:
        try:
            frame = entry if isinstance(entry, schemas.Body) else _FRAME.validate_python(entry, strict=True)
            waiting.append(service.batcher.submit(_operation(frame)))
        except ValidationError as error:
            waiting.append(refusals.malformed(first_fault(error.errors())))
        except Refusal as refusal:
            waiting.append(refusal)
    return [_error(entry) if isinstance(entry, Refusal) else await _answer(service, entry) for entry in waiting]


async def _answer(service: Service, future: asyncio.Future[Any]) -> bytes:
    try:
        result = future.result() if future.done() else await service.within_time(future)
    except Refusal as refusal:
        return _error(refusal)
    if isinstance(result, dict) and "snapshot" in result:
        return to_json({"seq": result["seq"], "state": base64.b64encode(result["snapshot"]).decode()})
    return result if isinstance(result, bytes) else to_json(result)


def _operation(frame: Any) -> Operation:
    if isinstance(frame, schemas.StepFrame):
        check_step(frame.x)
        return Step(frame.session, frame.seq, frame.x, frame.top, frame.hidden)
    if isinstance(frame, schemas.CreateFrame):
        return Create(frame.id or new_id(), frame.seed, frame.series)
    if isinstance(frame, schemas.ForkFrame):
        return Fork(frame.session, frame.to or new_id())
    if isinstance(frame, schemas.PutStateFrame):
        try:
            return PutState(frame.session, frame.seq, base64.b64decode(frame.state, validate=True))
        except binascii.Error:
            raise refusals.malformed("state: not base64") from None
    simple: dict[type[Any], type[Close] | type[Describe] | type[GetState]] = {
        schemas.CloseFrame: Close, schemas.DescribeFrame: Describe, schemas.GetStateFrame: GetState
    }  # fmt: skip
    return simple[type(frame)](frame.session)


def _error(refusal: Refusal) -> bytes:
    content = refusal.to_json()
    content["error"]["status"] = refusal.status
    if refusal.retry_after is not None:
        content["error"]["retry_after"] = refusal.retry_after
    return to_json(content)


def first_fault(faults: Sequence[Any]) -> str:
    """Return the first fault that pydantic found: the field, and what is wrong with it."""
    fault = faults[0]
    words = [str(word) for word in fault.get("loc", ()) if word not in ("body", "query", "path")]
    return f"{'.'.join(words) or 'body'}: {fault.get('msg', 'malformed')}"[:300]
