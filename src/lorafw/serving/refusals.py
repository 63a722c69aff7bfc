"""Every answer that is none: an HTTP status, and what OpenAI's clients read beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

RETRY_AFTER = 1
"""Seconds after which a client may come back that was sent away because others wait."""


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what is wrong, and how to mend it.
        param: the part of the request that is.
        code: a word for programs.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @classmethod
    def of_body(cls, error: ValidationError) -> Self:
        """The first fault that was found in a request's body."""
        first = error.errors(include_url=False, include_context=False)[0]
        place = _place(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "is not known here; nothing is passed over silently. Leave it out."
        subject = place or "The body"
        code = "unknown_parameter" if first["type"] == "extra_forbidden" else None
        return cls(400, f"{subject}: {message}", param=place or None, code=code)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that says so."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        shape = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": shape}


def busy(waiting: int) -> Refusal:
    """Too many wait already."""
    message = f"{waiting} answers are waiting already. Come back in a moment."
    headers = {"Retry-After": str(RETRY_AFTER)}
    return Refusal(503, message, code="server_busy", headers=headers)


def closing() -> Refusal:
    """The server is about to end."""
    return Refusal(503, "The server is shutting down.", code="server_closing")


def _place(steps: tuple[int | str, ...]) -> str:
    """Where in the body, as `messages[0].content`."""
    words = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(words).removeprefix(".")
