"""Responses that come piece by piece, and clients that leave before the end."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from lorafw.serving.metrics import mark_gone
from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from starlette.types import Receive, Scope, Send

T = TypeVar("T")


class Gone(Exception):
    """The client has left."""


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """The result of some work, which is given up when the client leaves.

    Raises:
        Gone: it has left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_departure(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events, the last of them `[DONE]`, or an error if something breaks midway.

    Nothing is sent before the first chunk is there, so that a refusal still has its own status.

    Args:
        chunks: what is sent, as JSON; closed in any case.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[dict[str, Any]]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all, unless the client leaves."""
        try:
            await unless_gone(receive, self._send_all(send))
        except Gone:
            mark_gone(scope)

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:
            first = await anext(chunks)
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await _send_event(send, first)
            try:
                async for chunk in chunks:
                    await _send_event(send, chunk)
            except Refusal as refusal:
                await _send_event(send, refusal.body)
            else:
                await send(_body(b"data: [DONE]\n\n"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_event(send: Send, chunk: dict[str, Any]) -> None:
    text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
    await send(_body(f"data: {text}\n\n".encode()))


def _body(content: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": True}
