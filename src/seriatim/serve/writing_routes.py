"""Texts: ``/v1/generate``, and ``/v1/completions`` in the shape of OpenAI's interface."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, final

from fastapi import APIRouter, Response
from pydantic_core import to_json

from seriatim.decoding.stops import cut_at_stop
from seriatim.runtime import Model, Stream
from seriatim.serve import refusals
from seriatim.serve.events import chunks, event_stream, whole_text
from seriatim.serve.inputs import check_length
from seriatim.serve.refusals import Refusal
from seriatim.serve.schemas import NewCompletion, NewText
from seriatim.serve.service import Service

EVENTS = {"schema": {"type": "object", "description": "server-sent events, with `stream`"}}


@final
class Completion:
    """The text after one prompt, and what is counted while it is written."""

    def __init__(self, model: Model, prompt: str, body: NewCompletion, stops: Sequence[str]) -> None:
        self._model, self._prompt, self._body = model, prompt, body
        self._is_whole = False
        self._stream: Stream | None = None
        self.prompt_tokens = 0
        self.pieces: Iterator[str] = cut_at_stop(self._write(), stops)
        if body.echo:
            self.pieces = _with_prompt(prompt, self.pieces)

    def _write(self) -> Iterator[str]:
        body = self._body
        self._stream = self._model.stream(seed=body.seed)
        if self._prompt:
            self._stream.step(self._prompt)
        self.prompt_tokens = self._stream.position
        yield from self._stream.write(
            16 if body.max_tokens is None else body.max_tokens,
            temperature=1.0 if body.temperature is None else body.temperature,
            top_p=1.0 if body.top_p is None else body.top_p,
            top_k=body.top_k,
            repetition_penalty=body.repetition_penalty,
        )
        self._is_whole = True

    @property
    def tokens(self) -> int:
        """The number of units that were written."""
        return 0 if self._stream is None else self._stream.position - self.prompt_tokens

    @property
    def finish_reason(self) -> str:
        """Why the text ended: at a stop string, or at its greatest length."""
        return "length" if self._is_whole else "stop"


def writing_routes(service: Service) -> APIRouter:
    """Return the routes of texts."""
    router = APIRouter(tags=["texts"])

    @router.post("/v1/generate", responses={200: {"content": {"text/event-stream": EVENTS}}})
    async def generate(body: NewText) -> Response:
        """Write a text that continues or answers the prompt."""
        model = service.models.current.model
        check_length("prompt", body.prompt, service.options.max_length)
        options = body.model_dump(exclude={"prompt", "stream"})
        pieces = await service.work(lambda: model.generate(body.prompt, **options))
        if not body.stream:
            return _json({"text": await whole_text(service, pieces), "model": model.hash[:12]})

        async def events() -> AsyncIterator[dict[str, Any] | None]:
            async for chunk in chunks(service, pieces):
                yield None if chunk is None else {"text": chunk}

        return event_stream(events(), done=True)

    @router.post("/v1/completions", responses={200: {"content": {"text/event-stream": EVENTS}}})
    async def complete(body: NewCompletion) -> Response:
        """Complete a text, as OpenAI's interface does. A token is a unit of the model."""
        model = service.models.current.model
        if model.task != "language" or not hasattr(model, "vocabulary"):
            raise refusals.malformed(f"completions: for models of text; this is a {model.task} model")
        if body.model not in (None, model.hash, model.hash[:12], model.name):
            raise Refusal(404, "model_not_found", f"model: this server runs {model.hash[:12]} ({model.name})")
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if not 1 <= len(prompts) <= 16:
            raise refusals.malformed(f"prompt: {len(prompts)} prompts, wanted 1 to 16")
        for prompt in prompts:
            check_length("prompt", prompt, service.options.max_length)
        stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
        completions = [Completion(model, prompt, body, stops) for prompt in prompts]
        shared = {
            "id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion", "created": int(time.time()),
            "model": model.hash[:12],
        }  # fmt: skip
        if body.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            return event_stream(_completion_events(service, shared, completions, with_usage), done=True)
        texts = [await whole_text(service, completion.pieces) for completion in completions]
        choices = [
            _choice(index, text, completion.finish_reason)
            for index, (text, completion) in enumerate(zip(texts, completions, strict=True))
        ]
        return _json({**shared, "choices": choices, "usage": _usage(completions)})

    return router


async def _completion_events(
    service: Service, shared: dict[str, Any], completions: Sequence[Completion], with_usage: bool
) -> AsyncIterator[dict[str, Any] | None]:
    extra: dict[str, Any] = {"usage": None} if with_usage else {}
    for index, completion in enumerate(completions):
        async for chunk in chunks(service, completion.pieces):
            yield None if chunk is None else {**shared, "choices": [_choice(index, chunk, None)], **extra}
        yield {**shared, "choices": [_choice(index, "", completion.finish_reason)], **extra}
    if with_usage:
        yield {**shared, "choices": [], "usage": _usage(completions)}


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _usage(completions: Sequence[Completion]) -> dict[str, int]:
    read = sum(completion.prompt_tokens for completion in completions)
    written = sum(completion.tokens for completion in completions)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _with_prompt(prompt: str, pieces: Iterator[str]) -> Iterator[str]:
    yield prompt
    yield from pieces


def _json(content: dict[str, Any]) -> Response:
    return Response(to_json(content, inf_nan_mode="null"), media_type="application/json")
