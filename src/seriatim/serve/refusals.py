"""The answers of the server to a request that it cannot carry out. Each has an HTTP status and a code."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request was refused, and no state has changed.

    ``expected`` is the number of the next step where a step has another number. ``retry_after`` is in seconds.
    """

    def __init__(
        self, status: int, code: str, message: str, *, expected: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.expected = expected
        self.retry_after = retry_after

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer; the names are those of OpenAI's interface."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "type": _TYPES.get(self.status, "error")}
        if self.expected is not None:
            error["expected"] = self.expected
        return {"error": error}


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    410: "gone_error",
    500: "server_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def malformed(message: str) -> Refusal:
    """The request is not what the interface or the model reads."""
    return Refusal(400, "malformed", message)


def unknown(name: str) -> Refusal:
    """There is no such session."""
    return Refusal(404, "unknown_session", f"session '{name}': not there; create it first")


def exists(name: str) -> Refusal:
    """There is such a session, or there was one not long ago."""
    return Refusal(409, "session_exists", f"session '{name}': exists already; take another id")


def gone(name: str, status: str) -> Refusal:
    """The session has expired or was closed. Its state is not replaced by a new one without a word."""
    return Refusal(410, f"session_{status}", f"session '{name}': {status}, and its state is gone; create another one")


def wrong_number(name: str, got: int, expected: int) -> Refusal:
    """A step is missing before this one, or the step is an old one."""
    return Refusal(409, "wrong_seq", f"seq: got {got} for session '{name}', wanted {expected}", expected=expected)


def reused_number(name: str, seq: int) -> Refusal:
    """The number belongs to another step, which was already taken."""
    message = f"seq: step {seq} of session '{name}' was taken with another input; wanted {seq + 1}"
    return Refusal(409, "seq_reused", message, expected=seq + 1)


def other_model(name: str, model: str, current: str) -> Refusal:
    """The session belongs to a model that this server does not run."""
    return Refusal(
        409, "other_model", f"session '{name}': belongs to model {model[:12]}, and this server runs {current[:12]}"
    )


def too_many(limit: int) -> Refusal:
    """The server has as many live sessions as it may have."""
    return Refusal(503, "too_many_sessions", f"{limit} sessions are live, which is the limit", retry_after=10)


def store_failed(reason: str) -> Refusal:
    """The store did not confirm the change, so the step is not acknowledged. The same request may be sent again."""
    return Refusal(503, "store_failed", f"the state could not be stored ({reason}); send the same again", retry_after=1)


def internal() -> Refusal:
    """An error of the server; its log has the traceback."""
    return Refusal(500, "internal", "an error of the server, whose log tells more; the state has not changed")
