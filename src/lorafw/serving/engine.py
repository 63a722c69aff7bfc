"""The one thread that lets the answers of all requests grow, a token at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from lorafw.errors import LorafwError
from lorafw.inference.generation.decoding import BATCH_TOKENS, Decoding
from lorafw.serving.job import Grown, Job
from lorafw.serving.refusals import Refusal, busy, closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lorafw.inference.generation.answer import Answer
    from lorafw.inference.speaking import SpeakingModel

MAX_WAITING = 256
"""Default of how many answers may wait for their first token."""

logger = logging.getLogger(__name__)


class Engine:
    """Continues the answers of many requests in one batch.

    An answer joins at the next token, and leaves it as soon as nobody waits for it. The event loop
    and the engine's thread share nothing but a queue of orders one way and calls into the loop the
    other; `open_work`, `start` and `stop` belong to the loop.

    Args:
        model: who answers; nobody else may use it meanwhile.
        batch_tokens: most tokens, padding included, in the batch.
        max_waiting: how many answers may wait.
    """

    def __init__(
        self,
        model: SpeakingModel,
        *,
        batch_tokens: int = BATCH_TOKENS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._decoding = Decoding(model, batch_tokens=batch_tokens)
        self._max_waiting = max_waiting
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._asked: dict[Answer, tuple[Job, int]] = {}  # the thread's own
        self._jobs: set[Job] = set()  # the loop's own
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._run, name="lorafw-engine", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether answers can be expected."""
        return self._thread.is_alive() and not self._closing

    @property
    def growing(self) -> int:
        """How many answers are being continued."""
        return self._decoding.growing

    @property
    def waiting(self) -> int:
        """How many answers were asked for and have not begun."""
        return max(0, sum(len(job.unfinished) for job in self._jobs) - self.growing)

    def start(self) -> None:
        """Begin, in the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """End after the step that is under way; answers that are not done fail."""
        self.refuse_all()
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def refuse_all(self) -> None:
        """Let all answers fail, and take no more."""
        self._closing = True
        for job in self._jobs:
            job.tell(closing())

    @contextmanager
    def at_work(self, job: Job) -> Iterator[None]:
        """While open, a job's answers grow; those that have not ended are given up behind it.

        Raises:
            Refusal: too many wait, or the server is about to end.
        """
        if self._closing:
            raise closing()
        if (waiting := self.waiting) >= self._max_waiting:
            raise busy(waiting)
        self._jobs.add(job)
        self._orders.put(lambda: self._begin(job))
        try:
            yield
        finally:
            self._jobs.discard(job)
            if job.unfinished:
                self._orders.put(lambda: self._give_up(job.answers))

    def _run(self) -> None:
        while self._heed_orders():
            self._step()

    def _heed_orders(self) -> bool:
        """Do what was ordered since the last step; wait while there is nothing to continue.

        Returns:
            False once there is nothing more to be done at all.
        """
        while not self._asked or not self._orders.empty():
            order = self._orders.get()
            if order is None:
                return False
            order()
        return True

    def _begin(self, job: Job) -> None:
        for index, answer in enumerate(job.answers):
            self._asked[answer] = job, index
            self._decoding.add(answer)

    def _give_up(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if self._asked.pop(answer, None):
                self._decoding.give_up(answer)

    def _step(self) -> None:
        try:
            grown = self._decoding.advance()
            news = [(self._asked[answer][0], self._news_of(answer)) for answer in grown]
        except Exception as error:
            logger.exception("a step failed; the answers in the batch are given up")
            self._fail(error)
            return
        for answer in grown:
            if answer.end is not None:
                del self._asked[answer]
        self._tell([(job, told) for job, told in news if told is not None])

    def _news_of(self, answer: Answer) -> Grown | None:
        job, index = self._asked[answer]
        if not job.streams:
            ended = answer.end is not None
            return Grown(index, answer.text, len(answer.ids), answer.end) if ended else None
        piece = answer.piece()
        if piece or answer.end or answer.sampling.logprobs is not None:
            return Grown(index, piece, len(answer.ids), answer.end)
        return None

    def _fail(self, error: Exception) -> None:
        """Let the requests of the batch know; answers that have not begun are kept."""
        kept = self._decoding.clear()
        lost = set(self._asked).difference(kept) or set(self._asked)
        jobs = {self._asked[answer][0] for answer in lost}
        for job in jobs:
            for answer in job.answers:
                self._asked.pop(answer, None)
        for answer in kept:
            if answer in self._asked:
                self._decoding.add(answer)
        self._tell([(job, _broken(error)) for job in jobs])

    def _tell(self, news: Sequence[tuple[Job, Grown | Exception]]) -> None:
        """In one call for a step: waking the loop costs more than what it is told."""
        if news and self._loop is not None:
            self._loop.call_soon_threadsafe(_pass_on, news)


def _pass_on(news: Sequence[tuple[Job, Grown | Exception]]) -> None:
    for job, told in news:
        job.tell(told)


def _broken(error: Exception) -> Refusal:
    """What a client is told of a step that failed; the log tells the rest."""
    if isinstance(error, LorafwError):
        return Refusal(500, str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        message = "The server ran out of memory. Ask for less, or later."
        return Refusal(500, message, code="out_of_memory")
    return Refusal(500, f"The server failed at a {type(error).__name__}; its log says more.")
