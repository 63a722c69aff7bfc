"""The body of a request, as far as it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES = 4 * 2**20
"""Longest body of a request."""


async def json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON.

    Pages elsewhere may make a browser send any other kind unasked.

    Raises:
        Refusal: it is said to be something else, or too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        fault = f"The body must be sent as application/json, not {kind or 'without a type'}."
        raise Refusal(415, fault, code="unsupported_media_type")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            fault = f"The body is longer than {MOST_BYTES} bytes."
            raise Refusal(413, fault, code="request_too_large")
    return bytes(body)
