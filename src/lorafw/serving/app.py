"""The HTTP interface: which path does what."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lorafw.inference.generation.decoding import BATCH_TOKENS
from lorafw.serving.engine import MAX_WAITING, Engine
from lorafw.serving.gate import Gate
from lorafw.serving.metrics import CONTENT_TYPE, GONE, Metrics, mark_gone
from lorafw.serving.page import page_response
from lorafw.serving.refusals import Refusal
from lorafw.serving.service import Service
from lorafw.serving.streaming import Gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lorafw.serving.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is run.

    Attributes:
        key: what clients must send for the models; empty for nothing.
        hosts: names the server is called by; empty for any.
        origins: of pages elsewhere that may talk to it.
        batch_tokens: most tokens, padding included, in the batch.
        max_waiting: how many answers may wait for their first token.
    """

    key: str = ""
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    batch_tokens: int = BATCH_TOKENS
    max_waiting: int = MAX_WAITING


def create_app(catalogue: Catalogue, settings: Settings) -> FastAPI:
    """The application; its `state.engine` runs from its start to its end.

    Args:
        catalogue: what is served.
        settings: how.
    """
    engine = Engine(
        catalogue.model, batch_tokens=settings.batch_tokens, max_waiting=settings.max_waiting
    )

    metrics = Metrics(engine)
    service = Service(catalogue, engine, metrics, longest=settings.batch_tokens)

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        service.close()
        await engine.stop()

    app = FastAPI(title="lorafw", lifespan=running, openapi_url=None)
    app.state.engine = engine
    _add_models(app, catalogue, service)
    _add_rest(app, engine, metrics)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Gone, _note_departure)
    app.add_exception_handler(Exception, _apologise)
    app.add_middleware(Gate, metrics=metrics, key=settings.key, hosts=settings.hosts)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
        )
    return app


def _add_models(app: FastAPI, catalogue: Catalogue, service: Service) -> None:
    async def models() -> Response:
        return JSONResponse(catalogue.cards())

    async def model(name: str) -> Response:
        return JSONResponse(catalogue.card(name))

    app.add_api_route("/v1/models", models)
    app.add_api_route("/v1/models/{name:path}", model)
    app.add_api_route("/v1/chat/completions", service.chat, methods=["POST"])
    app.add_api_route("/v1/completions", service.complete, methods=["POST"])


def _add_rest(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    page = page_response()

    async def health() -> Response:
        if engine.alive:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "no answers can be given"}, 503)

    async def measured() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def chat_page() -> Response:
        return page

    app.add_api_route("/", chat_page)
    app.add_api_route("/health", health)
    app.add_api_route("/metrics", measured)


async def _refuse(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """What no route takes, in the shape of the rest."""
    assert isinstance(error, HTTPException)
    fault = f"{request.method} {request.url.path}: {error.detail}."
    refusal = Refusal(error.status_code, fault, headers=error.headers)
    return await _refuse(request, refusal)


async def _note_departure(request: Request, _gone: Exception) -> Response:
    mark_gone(request.scope)
    return Response(status_code=GONE)


async def _apologise(request: Request, _error: Exception) -> Response:
    """For faults of the server's own; the error itself goes to its log."""
    return await _refuse(request, Refusal(500, "The server failed; its log says more."))
