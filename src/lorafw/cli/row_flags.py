"""The flags of answering every row of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lorafw.inference.generation.room import BATCH_TOKENS

JSONL, TRACE = "jsonl", "trace"


@dataclass(frozen=True, slots=True)
class RowFlags:
    """What the user said of the rows to answer."""

    source: Path | None
    output: Path | None
    form: str
    resume: bool
    skip_bad: bool
    prompt_field: str | None
    answer_field: str | None
    batch_tokens: int


def row_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of rows; it receives them as one `rows: RowFlags`."""

    @wraps(command)
    def with_flags(**given: Any) -> None:
        own = {field.name: given.pop(field.name) for field in fields(RowFlags)}
        command(rows=RowFlags(**own), **given)

    for option in reversed(_OPTIONS):
        option(with_flags)
    return with_flags


_FILE = click.Path(path_type=Path)
_OPTIONS = [
    click.option("--input", "source", metavar="FILE", type=_FILE, help="Ask every row of a file."),
    click.option(
        "--output", metavar="FILE", type=_FILE, help="Where the answers go; else to stdout."
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice([JSONL, TRACE]),
        default=JSONL,
        show_default=True,
        help="Of the output: a row of JSON for each of the input, or the lists of TRACE's results.",
    ),
    click.option("--resume", is_flag=True, help="Go on behind the last row that is in --output."),
    click.option(
        "--skip-bad", is_flag=True, help="Write the fault of a row that cannot be asked, and go on."
    ),
    click.option(
        "--prompt-field", metavar="NAME", help="Field to ask with, where names do not tell."
    ),
    click.option(
        "--answer-field", metavar="NAME", help="Field with the right answer, where names do not."
    ),
    click.option(
        "--batch-tokens",
        type=click.IntRange(min=1),
        default=BATCH_TOKENS,
        show_default=True,
        help="Most tokens, padding included, that are in memory at once.",
    ),
]
