"""`python -m benchmarks.serving`: a server that is asked by one client, and by many at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import openai
from rich.console import Console

from benchmarks.environment import environment
from benchmarks.table import Column, comparison
from lorafw.demo.corpus import facts

DEMO = "lorafw:demo"
MODEL = "served"
ALONE, TOGETHER, DESERTED = "one at a time", "all at once", "half of them leave midway"

Ask = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Phase:
    """What came of asking.

    Attributes:
        seconds: wall time.
        answers: how many came whole.
        tokens: what they have together.
        errors: how many failed.
        mixed_up: how many are not what the same prompt is answered alone.
    """

    seconds: float
    answers: int
    tokens: int
    errors: int
    mixed_up: int


COLUMNS = (
    Column[Phase]("answers", lambda row: row.answers, "d", ratio=False),
    Column[Phase]("errors", lambda row: row.errors, "d", ratio=False),
    Column[Phase]("mixed up", lambda row: row.mixed_up, "d", ratio=False),
    Column[Phase]("answers/s", lambda row: row.answers / row.seconds, ".1f"),
    Column[Phase]("tokens/s", lambda row: row.tokens / row.seconds, ".0f"),
)


@click.command()
@click.option("--model", default=DEMO, show_default=True, help="What `lorafw serve` is given.")
@click.option("--clients", default=64, show_default=True, help="How many ask at once.")
@click.option("--tokens", default=48, show_default=True, help="Longest answer.")
@click.option("--rounds", default=3, show_default=True, help="Of all of it; medians are shown.")
@click.option("--threads", default=1, show_default=True, help="Of the server.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    model: str, clients: int, tokens: int, rounds: int, threads: int, report: Path | None
) -> None:
    """Compare every answer with the one that is given alone; exits with 1 if one differs."""
    with (
        tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as place,
        serving(model, Path(place), threads) as url,
    ):
        played = asyncio.run(play(url, clients, tokens, rounds))
        left = _left_behind(url)
    phases = {name: _median([each[name] for each in played]) for name in played[0]}
    title = f"{clients} clients, {tokens} tokens at most, {threads} threads, {rounds} rounds"
    table = comparison(title, phases, COLUMNS, reference=phases[ALONE])
    Console(width=max(Console().width, 120)).print(table)
    click.echo(f"Answers that still wait or grow at the end: {left}.")
    if report is not None:
        told = [{name: asdict(phase) for name, phase in each.items()} for each in played]
        report.write_text(json.dumps({"conditions": title, "rounds": told}, indent=2) + "\n")
    if left or any(phase.errors or phase.mixed_up for phase in phases.values()):
        sys.exit(1)


def _median(phases: Sequence[Phase]) -> Phase:
    """The round of median duration, with the faults of all."""
    middle = sorted(phases, key=lambda phase: phase.seconds)[len(phases) // 2]
    errors, mixed_up = sum(p.errors for p in phases), sum(p.mixed_up for p in phases)
    return replace(middle, errors=errors, mixed_up=mixed_up)


@contextmanager
def serving(model: str, folder: Path, threads: int) -> Iterator[str]:
    """A server in a process of its own; gives its URL."""
    words = [sys.executable, "-m", "lorafw", "serve", model, "--name", MODEL, "--port", "0"]
    surroundings = {**environment(folder, threads=threads), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.partition(" at ")[2].partition("/v1")[0]
        finally:
            process.terminate()


async def play(url: str, clients: int, tokens: int, rounds: int) -> list[dict[str, Phase]]:
    """Ask in every manner, each time the same, in every round."""
    prompts = _prompts(clients)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0) as client:
        counted: list[int] = []

        async def ask(prompt: str) -> str:
            found = await client.completions.create(
                model=MODEL, prompt=prompt, temperature=0, max_tokens=tokens
            )
            assert found.usage is not None
            counted.append(found.usage.completion_tokens)
            return found.choices[0].text

        async def leave(prompt: str) -> str:
            """Read three pieces, and hang up."""
            chunks = await client.completions.create(
                model=MODEL, prompt=prompt, temperature=0, max_tokens=tokens, stream=True
            )
            async with chunks:
                for _ in range(3):
                    await anext(chunks)
            return ""

        async def round_of_all() -> dict[str, Phase]:
            alone = await _timed(counted, _in_turn(ask, prompts), wanted)
            together = await _timed(counted, _at_once([ask] * clients, prompts), wanted)
            some_leave = [leave if at % 2 else ask for at in range(clients)]
            deserted = await _timed(counted, _at_once(some_leave, prompts), wanted)
            return {ALONE: alone, TOGETHER: together, DESERTED: deserted}

        wanted = [await ask(prompt) for prompt in prompts]
        await _at_once([ask] * clients, prompts)  # warm
        return [await round_of_all() for _ in range(rounds)]


def _prompts(count: int) -> list[str]:
    """Beginnings of sentences on what the demo's base knows, each another one."""
    names = list(dict.fromkeys(fact.subject.name for fact in facts()))
    shapes = ("The {}", "A {} is", "One day, the {}")
    return [shape.format(name) for shape in shapes for name in names][:count]


async def _in_turn(ask: Ask, prompts: Sequence[str]) -> list[str | BaseException]:
    return [await ask(prompt) for prompt in prompts]


async def _at_once(asks: Sequence[Ask], prompts: Sequence[str]) -> list[str | BaseException]:
    pairs = zip(asks, prompts, strict=True)
    return await asyncio.gather(*(ask(p) for ask, p in pairs), return_exceptions=True)


async def _timed(
    counted: list[int],
    asking: Awaitable[list[str | BaseException]],
    wanted: Sequence[str],
) -> Phase:
    counted.clear()
    began = time.perf_counter()
    found = await asking
    seconds = time.perf_counter() - began
    errors = sum(isinstance(each, BaseException) for each in found)
    pairs = [(a, w) for a, w in zip(found, wanted, strict=True) if isinstance(a, str) and a]
    mixed_up = sum(answer != right for answer, right in pairs)
    return Phase(seconds, len(pairs), sum(counted), errors, mixed_up)


def _left_behind(url: str, patience: float = 10.0) -> int:
    """How many answers wait or grow once everybody has what they want, or has left."""
    deadline = time.monotonic() + patience
    while (left := _waiting_and_growing(url)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _waiting_and_growing(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics") as found:  # noqa: S310 - our own server
        lines = found.read().decode().splitlines()
    names = ("lorafw_waiting ", "lorafw_growing ")
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(names))


if __name__ == "__main__":
    main()
