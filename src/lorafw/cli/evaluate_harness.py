"""`lorafw evaluate --harness`: tasks of lm-evaluation-harness, base and adapter side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lorafw.cli.tables import columns
from lorafw.errors import UsageError

if TYPE_CHECKING:
    from lorafw.cli.loading_flags import LoadingFlags
    from lorafw.evaluation.evaluate import Request
    from lorafw.evaluation.harness import HarnessReport


def measure_tasks(loading: LoadingFlags, tasks: str, request: Request, record: Path | None) -> None:
    """Measure tasks, print their figures, and write what the harness returned.

    Raises:
        LorafwError: the harness is not installed, or knows no such task.
        UsageError: a flag is for rows of lorafw's own.
    """
    from lorafw.adapters.files.safe_files import replace_text
    from lorafw.evaluation.harness import need_harness, run_harness

    need_harness()
    if request.metrics or request.source.data or request.source.config:
        raise UsageError("--harness brings its own rows and metrics.", where="--harness")
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    report = run_harness(loading.load(), names, base=request.base, limit=request.limit)
    if record is not None:
        replace_text(record, json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
        click.echo(f"Written: {record}", err=True)
    click.echo("\n".join(columns(_rows(report))))


def _rows(report: HarnessReport) -> list[tuple[str, ...]]:
    heads = ("TASK", "FIGURE", *(who.upper() for who in report.results))
    return [
        heads,
        *(
            (task, name, *(_value(*values[who]) for who in report.results))
            for task, name, values in report.figures()
        ),
    ]


def _value(value: float, error: float | None) -> str:
    return f"{value:.4f}" if error is None else f"{value:.4f} ±{error:.4f}"
