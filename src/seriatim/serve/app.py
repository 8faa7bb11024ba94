"""The application: routes, the page, errors as JSON, and the guard around all of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from seriatim.errors import RunError, SeriatimError
from seriatim.serve import refusals
from seriatim.serve.guard import Application, Guard, refusal_headers
from seriatim.serve.model_routes import model_routes
from seriatim.serve.refusals import Refusal
from seriatim.serve.service import Service
from seriatim.serve.session_routes import session_routes
from seriatim.serve.websocket import first_fault, websocket_routes
from seriatim.serve.writing_routes import writing_routes
from seriatim.version import __version__

LOG: Final = logging.getLogger("seriatim.serve")
TYPES: Final = {
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}  # fmt: skip


class Fault(BaseModel):
    """Why a request was refused."""

    code: str
    message: str
    type: str
    expected: int | None = None


class FaultBody(BaseModel):
    """The body of every refusal."""

    error: Fault


STATUSES: Final = {
    400: "malformed", 401: "wrong key", 403: "wrong host or origin", 404: "unknown", 408: "the body came too slowly",
    409: "conflict", 410: "the session has ended", 413: "too large", 500: "an error of the server",
    503: "busy; see Retry-After", 504: "took too long",
}  # fmt: skip


def make_app(service: Service) -> Application:
    """Return the ASGI application of ``service``, with the guard around it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": FaultBody, "description": text} for status, text in STATUSES.items()
    }
    app = FastAPI(
        title="Seriatim", version=__version__, lifespan=lifespan, responses=responses, docs_url=None, redoc_url=None,
        description="A recurrent model that runs one step at a time, with sessions whose state survives.",
    )  # fmt: skip
    for routes in (session_routes, websocket_routes, writing_routes, model_routes):
        app.include_router(routes(service))
    _add_page(app)
    _add_errors(app)
    _describe(app)
    return Guard(app, service.options, service.metrics)


def _add_page(app: FastAPI) -> None:
    """Serve the page's files, which are read once."""
    contents = {
        file.name: (file.read_bytes(), TYPES[file.name.rpartition(".")[2]])
        for file in files("seriatim.serve").joinpath("page").iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        content, type_ = contents["index.html"]
        return Response(content, media_type=type_)

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in contents:
            raise HTTPException(404, "not found")
        content, type_ = contents[name]
        return Response(content, media_type=type_, headers={"Cache-Control": "no-cache"})


def _add_errors(app: FastAPI) -> None:
    """Answer every error in one form."""

    def answer(refusal: Refusal) -> Response:
        headers = dict(refusal_headers(refusal, bytes_only=False))
        return Response(to_json(refusal.to_json()), refusal.status, headers, "application/json")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return answer(error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(refusals.malformed(first_fault(error.errors())))

    async def model_failed(request: Request, error: Exception) -> Response:
        if isinstance(error, RunError):
            LOG.error("the model failed", exc_info=error)
            return answer(refusals.internal())
        return answer(refusals.malformed(str(error)))

    async def http_failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        codes = {404: "not_found", 405: "method_not_allowed"}
        response = answer(Refusal(error.status_code, codes.get(error.status_code, "malformed"), str(error.detail)))
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response

    async def unexpected(request: Request, error: Exception) -> Response:
        LOG.error("a request failed", exc_info=error)
        return answer(refusals.internal())

    for type_, handler in (
        (Refusal, refused), (RequestValidationError, invalid), (SeriatimError, model_failed),
        (HTTPException, http_failed), (Exception, unexpected),
    ):  # fmt: skip
        app.add_exception_handler(type_, handler)


def _describe(app: FastAPI) -> None:
    """Correct the OpenAPI description: malformed requests are answered with 400, and a key may be needed."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"key": []}, {}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
