"""The engine's thread and its event loop, with a toy model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lorafw.errors import AdapterError
from lorafw.serving.engine import Engine
from lorafw.serving.refusals import Refusal

if TYPE_CHECKING:
    from lorafw.inference.adapter_set import AdapterSet
    from lorafw.serving.job import Grown, Job

Make = Callable[..., "Job"]


@asynccontextmanager
async def running(model: AdapterSet, **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(model, **options)
    engine.start()
    assert engine.alive
    yield engine
    await engine.stop()
    assert not engine.alive


async def ends(engine: Engine, job: Job) -> list[Grown]:
    with engine.at_work(job):
        return [await job.hear() for _ in job.answers]


async def at_rest(engine: Engine) -> None:
    deadline = time.monotonic() + 10
    while engine.waiting or engine.growing:
        assert time.monotonic() < deadline, (engine.waiting, engine.growing)
        await asyncio.sleep(0.002)


def test_answers_are_those_given_alone(model: AdapterSet, job: Make) -> None:
    names = [None, "a", "b"] * 4
    jobs = [job(name=name, seed=at, temperature=1.5) for at, name in enumerate(names)]
    alone = [job(name=name, seed=at, temperature=1.5).answers[0] for at, name in enumerate(names)]
    for answer in alone:
        assert list(model.grow([answer])) == [answer]

    async def all_at_once() -> list[str]:
        async with running(model) as engine:
            found = await asyncio.gather(*(ends(engine, each) for each in jobs))
            await at_rest(engine)
            return [end.piece for (end,) in found]

    assert asyncio.run(all_at_once()) == [answer.text for answer in alone]


def test_a_stream_hears_every_piece(model: AdapterSet, job: Make) -> None:
    async def pieces() -> list[Grown]:
        streamed, heard = job(streams=True), []
        async with running(model) as engine:
            with engine.at_work(streamed):
                while not heard or heard[-1].end is None:
                    heard.append(await streamed.hear())
        assert streamed.answers[0].text == "".join(each.piece for each in heard)
        return heard

    heard = asyncio.run(pieces())
    assert len(heard) > 10
    assert heard[-1].tokens == 20


def test_who_leaves_is_given_up_and_the_rest_goes_on(model: AdapterSet, job: Make) -> None:
    async def leave() -> None:
        async with running(model) as engine:
            deserter, stayer = job(many=3, streams=True, max_new_tokens=100), job(max_new_tokens=60)
            staying = asyncio.create_task(ends(engine, stayer))
            with engine.at_work(deserter):
                await deserter.hear()
            (end,) = await staying
            assert end.tokens == 60
            await at_rest(engine)
            assert max(len(answer.ids) for answer in deserter.answers) < 100

    asyncio.run(leave())


def test_when_too_many_wait_others_are_sent_away(model: AdapterSet, job: Make) -> None:
    async def crowd() -> None:
        async with running(model, max_waiting=2, batch_tokens=1) as engine:
            first = job(streams=True, max_new_tokens=100)
            with engine.at_work(first):
                await first.hear()
                others = [asyncio.create_task(ends(engine, job())) for _ in range(2)]
                await asyncio.sleep(0)
                with pytest.raises(Refusal) as refused, engine.at_work(job()):
                    pass
            assert refused.value.status == 503
            assert "Retry-After" in refused.value.headers
            await asyncio.gather(*others)
            assert await ends(engine, job())

    asyncio.run(crowd())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("secrets of the machine"), "failed at a RuntimeError"),
        (MemoryError(), "out of memory"),
        (AdapterError("cannot be mixed."), "cannot be mixed"),
    ],
)
def test_a_step_that_fails_fails_its_batch_and_no_other(
    model: AdapterSet,
    job: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    words: str,
) -> None:
    async def fail_once() -> None:
        # Room for one answer at a time: the other waits when the step fails.
        async with running(model, batch_tokens=1) as engine:
            first, second = job(many=1), job(many=1)
            broken = monkeypatch.context()
            with broken as patch:
                patch.setattr(model.bundle.module, "forward", raising(error, patch))
                lost, kept = await asyncio.gather(
                    ends(engine, first), ends(engine, second), return_exceptions=True
                )
            assert isinstance(lost, Refusal)
            assert lost.status == 500
            assert words in lost.message
            assert "secrets" not in lost.message
            assert not isinstance(kept, BaseException)
            assert kept[0].tokens == 20
            await at_rest(engine)

    asyncio.run(fail_once())
    assert "a step failed" in caplog.text


def raising(error: Exception, patch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A forward pass that fails the first time, and puts the real one back."""

    def forward(
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: Any = None,
        logits_to_keep: Any = None,
    ) -> None:
        patch.undo()
        raise error

    return forward


def test_answers_that_are_not_done_at_the_end_fail(model: AdapterSet, job: Make) -> None:
    async def end_early() -> None:
        async with running(model) as engine:
            asking = asyncio.create_task(ends(engine, job(max_new_tokens=120)))
            await asyncio.sleep(0.01)
            engine.refuse_all()
            with pytest.raises(Refusal, match="shutting down"):
                await asking
            with pytest.raises(Refusal, match="shutting down"):
                await ends(engine, job())

    asyncio.run(end_early())
