"""Checks each request before the application sees it: host, origin, key, size and time of its body."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any, Final, final
from urllib.parse import parse_qsl, urlsplit

from pydantic_core import to_json

from seriatim.serve.metrics import Metrics
from seriatim.serve.options import ServeOptions
from seriatim.serve.refusals import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS: Final = ("/", "/healthz", "/readyz", "/openapi.json")
OPEN_PREFIX: Final = "/page/"
"""Paths that need no key: the page, which asks its user for the key, and those that a load balancer reads."""
KEY_WORDS: Final = frozenset(("api_key", "apikey", "api-key", "key", "token", "access_token", "authorization"))
LOCAL_NAMES: Final = frozenset(("localhost", "127.0.0.1", "::1"))
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
)


@final
class Guard:
    """ASGI middleware. It reads the whole body, at most ``max_body`` bytes, in at most ``timeout`` seconds.

    A client that sends slowly therefore occupies no thread and no place in a batch.
    """

    def __init__(self, application: Application, options: ServeOptions, metrics: Metrics) -> None:
        self._application, self._options, self._metrics = application, options, metrics
        self._key_digest = sha256(options.api_key.encode()).digest() if options.api_key is not None else None
        names = {name.lower().strip("[]") for name in options.allowed_hosts}
        if options.is_loopback:
            names |= LOCAL_NAMES
        elif names:
            names.add(options.host.lower())
        self._hosts = names
        self._largest = options.max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        is_socket = scope["type"] == "websocket"
        method = "WEBSOCKET" if is_socket else scope["method"]

        async def send_checked(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count_request(method, message["status"])
                message["headers"] = [*message.get("headers", ()), *HEADERS]
                if scope["path"].startswith("/v1/"):
                    message["headers"].append((b"cache-control", b"no-store"))
            elif message["type"] == "websocket.accept":
                self._metrics.count_request(method, 101)
            await send(message)

        try:
            self._check(scope)
            if not is_socket:
                receive = await self._read_body(scope, receive)
        except Refusal as refusal:
            if is_socket:
                await receive()  # websocket.connect
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
                self._metrics.count_request(method, 403)
            else:
                await send_refusal(send_checked, refusal)
            return
        except Disconnected:
            return
        await self._application(scope, receive, send_checked)

    def _check(self, scope: Scope) -> None:
        headers = {name: value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._hosts and _name_of(host) not in self._hosts:
            raise Refusal(403, "host", "the Host header names another server; see --allowed-hosts")
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1").lower()).netloc != host:
            raise Refusal(403, "origin", "requests from pages of other sites are refused")
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if any(name.lower() in KEY_WORDS for name, _ in query):
            raise Refusal(400, "key_in_url", "a key in the URL is seen in logs; send 'Authorization: Bearer KEY'")
        path = scope["path"]
        if self._key_digest is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return
        word, _, key = headers.get(b"authorization", b"").partition(b" ")
        is_right = hmac.compare_digest(sha256(key.strip()).digest(), self._key_digest)
        if word.lower() != b"bearer" or not is_right:
            raise Refusal(401, "wrong_key", "send 'Authorization: Bearer KEY' with the key of this server")

    async def _read_body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, and return a ``receive`` that hands it over in one message."""
        too_large = Refusal(413, "too_large", f"a body of more than {self._largest} bytes")
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > self._largest:
            raise too_large
        parts: list[bytes] = []
        read = 0

        async def read_all() -> None:
            nonlocal read
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                parts.append(message.get("body", b""))
                read += len(parts[-1])
                if read > self._largest:
                    raise too_large
                if not message.get("more_body"):
                    return

        try:
            await asyncio.wait_for(read_all(), self._options.timeout)
        except asyncio.TimeoutError:
            raise Refusal(408, "slow_body", f"the body took more than {self._options.timeout:g} s") from None
        body: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

        async def receive_body() -> Message:
            return body.pop() if body else await receive()

        return receive_body


class Disconnected(Exception):
    """The client has gone before its request was complete."""


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer a request with a refusal."""
    headers = [(b"content-type", b"application/json"), *refusal_headers(refusal, bytes_only=True)]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": to_json(refusal.to_json())})


def refusal_headers(refusal: Refusal, *, bytes_only: bool) -> list[Any]:
    """Return the headers that go with a refusal, as pairs of bytes or of text."""
    pairs = []
    if refusal.retry_after is not None:
        pairs.append(("retry-after", str(refusal.retry_after)))
    if refusal.status == 401:
        pairs.append(("www-authenticate", "Bearer"))
    if refusal.status in (408, 413):
        pairs.append(("connection", "close"))
    return [(name.encode(), value.encode()) for name, value in pairs] if bytes_only else pairs


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
