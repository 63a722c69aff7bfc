"""What every request passes: host, key, and what is noted of it on its way out."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from lorafw.serving.metrics import model_of, status_of
from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lorafw.serving.metrics import Metrics

_GUARDED = "/v1/"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """Lets requests in that name this server and have its key, and counts all of them.

    A page elsewhere can make a browser's user send requests to a name that it lets lead to this
    machine; such a request names another host.

    Args:
        app: what lies behind.
        metrics: where requests are counted.
        key: what clients must have for the models; empty for nothing.
        hosts: names this server is called by; empty for any.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, key: str = "", hosts: Collection[str] = ()
    ) -> None:
        self._app, self._metrics = app, metrics
        self._key, self._hosts = key.encode(), frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            await self._handler(scope)(scope, receive, sending)
        finally:
            if scope["path"].startswith(_GUARDED):
                seconds = time.perf_counter() - began
                self._metrics.count_request(model_of(scope), status_of(scope, status), seconds)

    def _handler(self, scope: Scope) -> ASGIApp:
        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status, refusal.headers)
        return self._app

    def _check(self, path: str, headers: Headers) -> None:
        if self._hosts and _host(headers) not in self._hosts:
            fault = f"This server is not {_host(headers)!r}; it is called {min(self._hosts)}."
            raise Refusal(400, fault, code="wrong_host")
        if self._key and path.startswith(_GUARDED) and not self._has_key(headers):
            fault = "The API key is missing or wrong: Authorization: Bearer KEY."
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Refusal(401, fault, code="invalid_api_key", headers=challenge)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(key.strip().encode(), self._key)
        return same and scheme.lower() == "bearer"


def _host(headers: Headers) -> str:
    """The name in the Host header, without port and without the brackets of IPv6."""
    host = headers.get("host", "").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
