"""The options of the server. Each is also a variable of the environment: ``max_sessions`` is SERIATIM_MAX_SESSIONS."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seriatim.errors import UsageError
from seriatim.options import duration, fill, option, size

PREFIX: Final = "SERIATIM_"
SHORTEST_KEY: Final = 16


def _bytes(text: str) -> int:
    return int(size(text))


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of ``seriatim serve``."""

    host: str = option("127.0.0.1", "address to listen at; one that other machines reach needs --api-key")
    port: int = option(8000, "port to listen at; 0: any free one", minimum=0, below=65536)
    state: str | None = option(None, "where sessions are kept: a file, or redis://… (default: DIR.sessions.db)")
    durability: str = option(
        "full",
        "full: an acknowledged step survives a power failure; normal: a crash of the system may lose the last steps; "
        "memory: sessions end with the server",
        choices=("full", "normal", "memory"),
    )
    api_key: str | None = option(
        None, "key that clients send as 'Authorization: Bearer KEY'; better as SERIATIM_API_KEY"
    )
    max_sessions: int = option(100_000, "maximum number of live sessions", minimum=1)
    max_in_memory: int = option(10_000, "sessions with their state in memory; the others are read when used", minimum=0)
    idle: float = option(
        86_400.0, "a session ends when it was not used for this time, such as 90s or 24h", above=0.0, parse=duration
    )
    timeout: float = option(60.0, "longest time of one request", above=0.0, parse=duration)
    max_body: int = option(8_000_000, "largest body of a request, such as 8MB", minimum=1024, parse=_bytes)
    max_length: int = option(100_000, "longest text or series, in characters or rows", minimum=1)
    max_connections: int = option(12_000, "maximum number of connections", minimum=1)
    allowed_hosts: tuple[str, ...] = option(
        (), "names under which clients reach the server (default: localhost; elsewhere any name)"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_redis(self) -> bool:
        """Whether sessions are kept in Redis."""
        return self.state is not None and self.state.startswith(("redis://", "rediss://", "unix://"))

    def check(self) -> None:
        """Raise ``UsageError`` for options that do not fit together."""
        if not self.is_loopback and self.api_key is None:
            raise UsageError(f"host: other machines reach {self.host}, so --api-key (SERIATIM_API_KEY) is needed")
        key = self.api_key
        if key is not None and (len(key) < SHORTEST_KEY or not key.isascii()):
            raise UsageError(f"api_key: wanted at least {SHORTEST_KEY} ASCII characters")
        if self.is_redis and self.durability != "full":
            raise UsageError("durability: for state in a file; Redis' own settings decide what it keeps")


def read_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Return the options that the environment sets. Raises ``UsageError`` that names the variable."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(ServeOptions):
        variable = PREFIX + field.name.upper()
        text = environment.get(variable, "")
        if not text:
            continue
        try:
            values[field.name] = getattr(fill(ServeOptions, {field.name: text}), field.name)
        except UsageError as error:
            raise UsageError(f"{variable}: {str(error).partition(': ')[2]}") from None
    return values
