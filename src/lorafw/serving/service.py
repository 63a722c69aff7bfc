"""From a request to its response, by way of the engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lorafw.serving.asking import Asking
from lorafw.serving.body import json_body
from lorafw.serving.chat_reply import ChatReply
from lorafw.serving.chat_request import ChatRequest
from lorafw.serving.completion_reply import CompletionReply
from lorafw.serving.completion_request import CompletionRequest
from lorafw.serving.metrics import Metrics, mark_model
from lorafw.serving.streaming import EventStream, unless_gone
from lorafw.serving.wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from lorafw.serving.catalogue import Catalogue
    from lorafw.serving.engine import Engine
    from lorafw.serving.job import Grown, Job
    from lorafw.serving.reply import Reply
    from lorafw.types import Tokenizer

W = TypeVar("W", bound=Wishes)


class Service:
    """The handlers that ask models.

    Args:
        catalogue: who can be asked.
        engine: continues their answers.
        metrics: where tokens are counted.
        longest: most tokens that an answer may be asked to have.
    """

    def __init__(
        self, catalogue: Catalogue, engine: Engine, metrics: Metrics, *, longest: int
    ) -> None:
        self._catalogue, self._engine, self._metrics = catalogue, engine, metrics
        self._asking = Asking(catalogue, longest=longest)
        self._reader = ThreadPoolExecutor(1, "lorafw-reader")

    def close(self) -> None:
        """Read no more prompts."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        return await self._respond(request, ChatRequest, self._asking.chat, ChatReply)

    async def complete(self, request: Request) -> Response:
        """`POST /v1/completions`."""
        ask = self._asking.completion
        return await self._respond(request, CompletionRequest, ask, CompletionReply)

    async def _respond(
        self,
        request: Request,
        kind: type[W],
        ask: Callable[[W], Job],
        reply_to: Callable[[Job, W, Tokenizer], Reply],
    ) -> Response:
        asked = kind.read(await json_body(request))
        self._catalogue.adapter_of(asked.model)
        mark_model(request.scope, asked.model)
        # Reading a long prompt takes its time, and must not hold up what others are told.
        loop = asyncio.get_running_loop()
        job = await loop.run_in_executor(self._reader, ask, asked)
        reply = reply_to(job, asked, self._catalogue.model.bundle.tokenizer)
        if job.streams:
            return EventStream(self._chunks(job, reply, asked.model))
        ended = await unless_gone(request.receive, self._ends(job, asked.model))
        return JSONResponse(reply.whole(ended))

    async def _ends(self, job: Job, model: str) -> list[Grown]:
        """The answers of a job, in the order of their ends."""
        with self._at_work(job, model):
            return [await job.hear() for _ in job.answers]

    async def _chunks(self, job: Job, reply: Reply, model: str) -> AsyncGenerator[dict[str, Any]]:
        """What a stream says, one JSON object after the other."""
        with self._at_work(job, model):
            for chunk in reply.first_chunks():
                yield chunk
            left = len(job.answers)
            while left:
                grown = await job.hear()
                left -= grown.end is not None
                for chunk in reply.chunks(grown):
                    yield chunk
        for chunk in reply.last_chunks():
            yield chunk

    @contextmanager
    def _at_work(self, job: Job, model: str) -> Iterator[None]:
        with self._engine.at_work(job):
            try:
                yield
            finally:
                self._metrics.count_tokens(model, job)
