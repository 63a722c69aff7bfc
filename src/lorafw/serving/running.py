"""A server from its start to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket

    from fastapi import FastAPI

GRACE = 5.0
"""Seconds that answers may take once the server was asked to end."""


class GracefulServer(uvicorn.Server):
    """Lets answers that have begun come to an end, for a while.

    Args:
        app: with the engine as its `state.engine`.
        grace: seconds; what is not done by then fails, in words that its client understands.
    """

    def __init__(self, app: FastAPI, *, grace: float = GRACE) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=round(grace) + 2,
        )
        super().__init__(config)
        self._engine, self._grace = app.state.engine, grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, as `uvicorn` does when it is told to."""
        asyncio.get_running_loop().call_later(self._grace, self._engine.refuse_all)
        await super().shutdown(sockets)
