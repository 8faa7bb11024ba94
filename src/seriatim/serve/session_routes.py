"""Sessions over HTTP."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from seriatim.serve.inputs import check_step
from seriatim.serve.operations import Close, Create, Describe, Fork, GetState, PutState, Step
from seriatim.serve.schemas import NewFork, NewSession, NewStep, Seq, SessionId
from seriatim.serve.service import Service

SessionPath = Annotated[SessionId, Path(alias="session")]
BINARY = {"schema": {"type": "string", "format": "binary"}}


def new_id() -> str:
    """Return a random id of a session, which nobody can guess."""
    return secrets.token_urlsafe(18)


def session_routes(service: Service) -> APIRouter:
    """Return the routes of sessions."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    def answer(result: Any, status: int = 200) -> Response:
        content = result if isinstance(result, bytes) else to_json(result)
        return Response(content, status, media_type="application/json")

    @router.post("", status_code=201)
    async def create(body: NewSession) -> Response:
        """Create a session. Its first step has the number 1."""
        return answer(await service.ask(Create(body.id or new_id(), body.seed, body.series)), 201)

    @router.get("/{session}")
    async def describe(session: SessionPath) -> Response:
        """Tell the number of the last step, and when the session expires."""
        return answer(await service.ask(Describe(session)))

    @router.delete("/{session}", status_code=204)
    async def close(session: SessionPath) -> Response:
        """End a session."""
        await service.ask(Close(session))
        return Response(status_code=204)

    @router.post("/{session}/steps")
    async def step(session: SessionPath, body: NewStep) -> Response:
        """Take a step. The last step sent again returns the stored answer; any other wrong number is a conflict."""
        check_step(body.x)
        return answer(await service.ask(Step(session, body.seq, body.x, body.top, body.hidden)))

    @router.post("/{session}/fork", status_code=201)
    async def fork(session: SessionPath, body: NewFork) -> Response:
        """Create a session with the same past."""
        return answer(await service.ask(Fork(session, body.to or new_id())), 201)

    @router.get("/{session}/state", responses={200: {"content": {"application/octet-stream": BINARY}}})
    async def get_state(session: SessionPath) -> Response:
        """Return the state as bytes. The header `Seriatim-Seq` has the number of the last step."""
        state = await service.ask(GetState(session))
        assert isinstance(state, dict)
        headers = {"Seriatim-Seq": str(state["seq"])}
        return Response(state["snapshot"], headers=headers, media_type="application/octet-stream")

    @router.put(
        "/{session}/state",
        openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": BINARY}}},
    )
    async def put_state(session: SessionPath, seq: Annotated[Seq, Query()], request: Request) -> Response:
        """Replace the state by one that `GET` returned. This counts as step `seq`."""
        return answer(await service.ask(PutState(session, seq, await request.body())))

    return router
