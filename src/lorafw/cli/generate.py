"""`lorafw generate`: ask a model one thing, or every row of a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lorafw.cli.generate_rows import Asking, answer_rows
from lorafw.cli.loading_flags import LoadingFlags, loading_flags
from lorafw.cli.row_flags import RowFlags, row_flags
from lorafw.cli.sampling_flags import sampling_flags
from lorafw.cli.spoken_text import listened_to, speak, speak_chances
from lorafw.data.rows.text import checked_text
from lorafw.errors import DataError, UsageError
from lorafw.types import Task

if TYPE_CHECKING:
    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.loaded import LoadedModel

_STDIN = "-"


@click.command()
@loading_flags
@click.option("--prompt", metavar="TEXT", help="What is asked; - reads it from stdin.")
@click.option("--pair", metavar="TEXT", help="With --prompt: the second of two texts to classify.")
@click.option(
    "--system", metavar="TEXT", default="", help="What the model is told before the question."
)
@click.option(
    "--adapter/--no-adapter", default=True, help="Ask with the adapter, the default, or without."
)
@row_flags
@sampling_flags
def generate(
    loading: LoadingFlags,
    *,
    sampling: Sampling,
    rows: RowFlags,
    prompt: str | None,
    pair: str | None,
    system: str,
    adapter: bool,
) -> None:
    """Answer --prompt, or every row of --input, with what is at PATH.

    PATH is the folder of a run, of an adapter, of a merged or of a base model, a hub id,
    lorafw:demo, or a file such as MiniMind's .pth. Prompts are written as they were in training;
    a classifier answers with its classes and their probabilities. Rows are those of .jsonl, .json,
    .csv, .parquet and .arrow files, or the lines of a .txt file.
    """
    _check(prompt, pair, rows)
    if loading.merge and not adapter:
        raise UsageError("--merge leaves no base to ask.", where="--no-adapter")
    asking = Asking(sampling, system, adapter, loading.merge)
    with listened_to():
        if rows.source is not None:
            answer_rows(loading.load, rows.source, rows, asking)
        else:
            asked = checked_text(_stdin() if prompt == _STDIN else prompt, "--prompt")
            _answer_one(loading.load(), asked, pair, asking)


def _check(prompt: str | None, pair: str | None, rows: RowFlags) -> None:
    if (prompt is None) is (rows.source is None):
        raise UsageError("say what is asked: either --prompt TEXT or --input FILE.")
    if prompt == "":
        raise UsageError("the prompt is empty.", where="--prompt")
    if prompt is None and pair is not None:
        raise UsageError("goes with --prompt.", where="--pair")
    if rows.source is None and (rows.output is not None or rows.resume):
        flag = "--resume" if rows.output is None else "--output"
        raise UsageError("goes with --input.", where=flag)


def _answer_one(model: LoadedModel, asked: str, pair: str | None, asking: Asking) -> None:
    if model.bundle.task is Task.CLASSIFICATION:
        text = asked if pair is None else (asked, pair)
        (chances,) = model.classify([text], adapter=asking.adapter)
        speak_chances(chances)
        return
    if pair is not None:
        raise UsageError("this model generates text, it takes no pairs.", where="--pair")
    from lorafw.inference.loaded import TUNED
    from lorafw.inference.prompts import with_system

    prompt = with_system(asked, asking.system)
    answer = model.begin(prompt, asking.sampling, TUNED if asking.adapter else None)
    speak(model.pieces(answer))


def _stdin() -> str:
    """All of stdin but its last line end."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise DataError("is not valid UTF-8.", where="stdin") from None
    if not text.strip():
        raise UsageError("the prompt is empty.", where="stdin")
    return text.removesuffix("\n")
