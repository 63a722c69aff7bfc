"""`lorafw verify`: train a config's first steps in every way there is and compare the results."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lorafw.assembly.registry import Registry
from lorafw.cli.flags import ConfigFlags, config_flags
from lorafw.errors import LorafwError

if TYPE_CHECKING:
    from lorafw.verification.report import Report


class Numbers(click.ParamType[Any]):
    """Whole numbers from 1, separated by commas."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers, each once, in the order given."""
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isdecimal() and int(word) for word in words):
            self.fail(f"{value!r} is not of the form 1,2.", param, ctx)
        return tuple(dict.fromkeys(map(int, words)))


@click.command()
@config_flags
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Optimizer steps of every run.",
)
@click.option(
    "--ranks", metavar="N,N", type=Numbers(), help="Rank counts; by default what the machine bears."
)
@click.option(
    "--against",
    "trainers",
    metavar="NAME",
    multiple=True,
    help="Compare this trainer; repeatable; by default all that are installed.",
)
@click.option(
    "--budget",
    "budgets",
    metavar="N,N",
    type=Numbers(),
    help="Tokens of a micro-batch; by default the plan's, and 1 for one row at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    flags: ConfigFlags,
    *,
    steps: int,
    ranks: tuple[int, ...] | None,
    trainers: tuple[str, ...],
    budgets: tuple[int, ...] | None,
    as_json: bool,
) -> None:
    """Train a config's first steps in every way this machine offers, and compare the results.

    Trainers, injectors, rank counts, layouts and micro-batches must not change what is learned.
    Ends with 0 if nothing is further off than rounding explains, with 1 otherwise.
    """
    from lorafw.cli.verification_table import show
    from lorafw.verification.verify import Request
    from lorafw.verification.verify import verify as compare

    config = flags.read(Registry())
    request = Request(steps, ranks or (), trainers, budgets or ())
    with _ended_by_signal():
        report = compare(config, request, say=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        show(report)
    if not report.holds:
        raise LorafwError(_fault(report))


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """While open, SIGTERM unwinds this process, so that nothing is left of what it started."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _fault(report: Report) -> str:
    """Why a comparison does not hold, in one sentence."""
    wrong = [row for row in report.rows if row.verdict in {"differs", "failed"}]
    if not wrong:
        return "nothing could be compared."
    first = wrong[0]
    return (
        f"{len(wrong)} of {len(report.rows)} rows do not hold, first {first.trainer} on "
        f"{first.ranks} rank{'s' if first.ranks != 1 else ''}: {first.reason}."
    )
