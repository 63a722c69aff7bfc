"""`python -m benchmarks.encoding`: rows encoded and kept, beside the bare tokenizer's time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
from pydantic import PrivateAttr
from rich.console import Console

from benchmarks.questions import drawn_pairs, read_pairs, varied
from benchmarks.table import Column, comparison
from lorafw.builtin.jsonl import Jsonl
from lorafw.contracts import Encoder
from lorafw.data.cache.entry import Entry
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.rows import RowCache
from lorafw.types import Example, PromptExample, Split

ENCODERS = ("prompt", "chat")
RENDERED = "bare tokenizer, rendered"
"""The tokenizer alone, on the texts that the chat template has made before."""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over rounds; CPU seconds are those of all processes and threads."""

    seconds: float
    cpu_seconds: float


COLUMNS = (
    Column[Timing]("seconds", lambda row: row.seconds, ".2f"),
    Column[Timing]("CPU seconds", lambda row: row.cpu_seconds, ".2f"),
)


class Loaded(Jsonl):
    """A file that was read before, so that reading it is not timed."""

    _examples: Sequence[Example] = PrivateAttr(())

    @classmethod
    def of(cls, file: Path, examples: Sequence[Example]) -> Loaded:
        """Examples, as if they had been read from a file."""
        made = cls(path=file)
        made._examples = examples
        return made

    def load(self, split: Split) -> Sequence[Example]:
        """What was read; nothing is held out."""
        return self._examples if split is Split.TRAIN else ()


@click.command()
@click.option("--rows", type=click.Path(path_type=Path), help="GSM8K's train.jsonl.")
@click.option("--tokenizer", type=click.Path(path_type=Path), help="Folder of a tokenizer.")
@click.option("--count", default=100_000, show_default=True, help="Rows to encode.")
@click.option("--rounds", default=3, show_default=True, help="Times each is done, in turn.")
@click.option(
    "--encoder",
    "names",
    multiple=True,
    type=click.Choice(ENCODERS),
    default=("prompt",),
    show_default=True,
    help="What to encode with; repeatable.",
)
def main(
    rows: Path | None, tokenizer: Path | None, count: int, rounds: int, names: tuple[str, ...]
) -> None:
    """Encode and keep rows, find them again, and read them all.

    Rows and tokenizer that are not given are those below LORAFW_SHARED, or else made up.
    """
    rows = rows or _below("data/gsm8k/train.jsonl")
    tokenizer = tokenizer or _below("data/tokenizers/minimind-2026")
    pairs = list(varied(read_pairs(rows) if rows else drawn_pairs(5000), count))
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as place:
        bench = _Bench(Path(place), pairs, _tokenizer(tokenizer, pairs))
        timings = bench.play(names, rounds)
        title = f"{count:,} rows, {rounds} rounds"
        table = comparison(title, timings, COLUMNS, reference=timings["bare tokenizer"])
        Console(width=max(Console().width, 100)).print(table)
        for name in names:
            click.echo(bench.memory(name))


def _below(path: str) -> Path | None:
    shared = os.environ.get("LORAFW_SHARED")
    return Path(shared) / path if shared else None


def _tokenizer(folder: Path | None, pairs: Sequence[tuple[str, str]]) -> Any:
    """The folder's tokenizer, or a byte-level BPE of 8000 tokens made from the rows."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if folder is not None:
        return AutoTokenizer.from_pretrained(folder)
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([text for pair in pairs[:2000] for text in pair], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",  # noqa: S106
        chat_template=CHATML,
    )


class _Bench:
    """The same rows for all."""

    def __init__(self, folder: Path, pairs: Sequence[tuple[str, str]], tokenizer: Any) -> None:
        self._folder, self._tokenizer = folder, tokenizer
        self._texts = [f"{question}\n{answer}" for question, answer in pairs]
        file = folder / "rows.jsonl"
        file.write_text("\n".join(self._texts), encoding="utf-8")  # only its bytes are read
        self._pairs = [PromptExample(*pair) for pair in pairs]
        self._dataset = Loaded.of(file, self._pairs)

    def play(self, names: Sequence[str], rounds: int) -> dict[str, Timing]:
        """Each in turn, round after round."""
        tasks: dict[str, Callable[[int], object]] = {
            "bare tokenizer": lambda _: self._tokenizer(self._texts)
        }
        if "chat" in names:
            rendered = self._rendered()
            tasks[RENDERED] = lambda _: self._tokenizer(rendered, add_special_tokens=False)
        for name in names:
            tasks[f"{name}: encode and keep"] = partial(self._kept, name)
            tasks[f"{name}: find again"] = partial(self._kept, name)
        timings: dict[str, list[Timing]] = {task: [] for task in tasks}
        for number in range(rounds):
            for task, work in tasks.items():
                timings[task].append(_timed(partial(work, number)))
        return {task: _median(each) for task, each in timings.items()}

    def _rendered(self) -> list[str]:
        """The conversations as their chat template writes them."""
        return [
            self._tokenizer.apply_chat_template(
                [
                    {"role": "user", "content": pair.prompt},
                    {"role": "assistant", "content": pair.response},
                ],
                tokenize=False,
            )
            for pair in self._pairs
        ]

    def _kept(self, name: str, number: int) -> Any:
        cache = RowCache(self._folder / f"cache-{number}", click.echo)
        return cache.prepare(
            Recipe(self._dataset, _encoder(name), self._tokenizer, Split.TRAIN)
        ).rows

    def memory(self, name: str) -> str:
        """How much memory of its own a process takes that opens the rows and reads them all."""
        recipe = Recipe(self._dataset, _encoder(name), self._tokenizer, Split.TRAIN)
        file = Entry(self._folder / "cache-0" / recipe.key()).rows
        told = subprocess.check_output([sys.executable, "-m", "benchmarks.reading", str(file)])
        taken = {part: f"{count / 1e6:.1f} MB" for part, count in json.loads(told).items()}
        return (
            f"{name}: opening takes {taken['opening']}, reading all rows {taken['reading']} at "
            f"most, of {taken['size']} that ids and labels are."
        )


def _encoder(name: str) -> Encoder:
    from lorafw.builtin.chat import Chat
    from lorafw.builtin.prompt import Prompt

    return Prompt() if name == "prompt" else Chat()


def _timed(work: Callable[[], object]) -> Timing:
    began, used = time.perf_counter(), sum(os.times()[:4])
    work()
    return Timing(time.perf_counter() - began, sum(os.times()[:4]) - used)


def _median(timings: Sequence[Timing]) -> Timing:
    return Timing(
        median(each.seconds for each in timings), median(each.cpu_seconds for each in timings)
    )


if __name__ == "__main__":
    main()
