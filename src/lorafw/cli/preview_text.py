"""A preview in words: the row, its tokens, the split it is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import click

from lorafw.cli.printable import printable
from lorafw.cli.statistics_text import class_name, duplicates_lines, statistics_lines
from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.cli.data_preview import Preview
    from lorafw.data.inspection.row_view import RowView, SeenToken

WIDTH = 80
"""Longest line of a list of tokens."""
OPEN, CLOSE = "⟦", "⟧"
"""What stands around trained text where there is no colour."""


def preview_text(found: Preview, *, coloured: bool) -> str:
    """Everything there is to tell; ANSI colours if asked for, else brackets."""
    row = found.row
    blocks = [
        printable(_heading(found)),
        _paint(row, coloured=coloured),
        "\n".join(_token_lines(row, coloured=coloured)),
    ]
    if found.statistics is not None:
        lines = statistics_lines(found.statistics, found.split, found.labels)
        blocks.append(printable("\n".join(lines)))
    if found.duplicates is not None:
        blocks.append("\n".join(duplicates_lines(found.duplicates)))
    return "\n\n".join(blocks)


def _heading(found: Preview) -> str:
    row = found.row
    facts = [f"{len(row.tokens)} tokens"]
    if row.label is None:
        facts += [f"{row.prompt_tokens} before the answer", f"{row.trained_tokens} trained"]
    else:
        facts.append(f"class {class_name(row.label, found.labels)}")
    if row.cut:
        facts.append(f"{row.cut} cut off")
    if row.left_out:
        facts = [f"left out of training ({row.left_out}); the model would be given"]
    return f"Row {found.number:,} of {found.total:,} ({found.split}): {', '.join(facts)}"


def _paint(row: RowView, *, coloured: bool) -> str:
    """The row's text, its trained stretches told apart."""
    stretches = groupby(row.tokens, key=lambda token: token.trained)
    return "".join(
        _mark(printable(_text(tokens)), trained=trained, coloured=coloured)
        for trained, tokens in stretches
    )


def _mark(text: str, *, trained: bool, coloured: bool) -> str:
    if not trained:
        return text
    return click.style(text, fg="green", bold=True) if coloured else f"{OPEN}{text}{CLOSE}"


def _token_lines(row: RowView, *, coloured: bool) -> Iterator[str]:
    """Ids with their texts, one paragraph for each stretch of one part."""
    rows, green = [("PART", "TRAINED", "TOKENS")], [False]
    for (part, trained), tokens in groupby(row.tokens, key=lambda t: (t.part, t.trained)):
        lines = _wrapped(f"{token.id} {token.text!r}" for token in tokens)
        for at, line in enumerate(lines):
            rows.append(("", "", line) if at else (part, "yes" if trained else "-", line))
            green.append(coloured and trained)
    for line, is_green in zip(columns(rows), green, strict=True):
        yield _mark(line, trained=True, coloured=True) if is_green else line


def _wrapped(cells: Iterable[str]) -> Iterator[str]:
    line = ""
    for cell in cells:
        if line and len(line) + len(cell) + 2 > WIDTH:
            yield line
            line = ""
        line = f"{line}  {cell}" if line else cell
    yield line


def _text(tokens: Iterable[SeenToken]) -> str:
    return "".join(token.text for token in tokens)
