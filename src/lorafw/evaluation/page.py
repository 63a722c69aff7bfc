"""The page of an evaluation, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import shorten
from typing import Any

from lorafw.builtin.pages import figure, page_template
from lorafw.evaluation.report import Line, Report
from lorafw.figures.resampling import Estimate

SHOWN = 20
"""Rows that the page shows one by one."""
_GLIMPSE = 80
"""Letters of a row that are shown while it is closed."""


def render(report: Report) -> str:
    """The page as HTML; whatever comes from data or model is escaped by the template."""
    return page_template(__package__, "evaluation.html.jinja").render(
        report=report,
        name=report.name,
        lines=[_line(report, line) for line in report.lines],
        settings=dict(_settings(report)),
        shown=[_row(row, report) for row in report.predictions[:SHOWN]],
    )


def _line(report: Report, line: Line) -> dict[str, Any]:
    found = line.compared
    values = [found.base, found.model] if report.has_base else [found.model]
    return {
        "figure": line.figure,
        "better": line.better,
        "verdict": line.verdict,
        "values": [_estimate(value) for value in values],
        "difference": _estimate(found.difference),
    }


def _estimate(estimate: Estimate | None) -> tuple[str, str]:
    """A value, and its interval in brackets."""
    if estimate is None:
        return "–", ""
    if estimate.low is None:
        return figure(estimate.value), ""
    return figure(estimate.value), f"[{figure(estimate.low)}, {figure(estimate.high)}]"


def _settings(report: Report) -> Iterator[tuple[str, str | int]]:
    yield "model", report.model
    yield "rows of", report.data
    yield "rows", report.rows
    yield "rows left out, nothing to measure", report.left_out
    yield "longest answer, tokens", report.settings.max_new_tokens
    yield "resamples", report.settings.resamples
    yield "seed of the resamples", report.settings.seed
    for name, options in report.metrics.items():
        for option, value in options.items():
            yield f"{name}.{option}", str(value)


def _row(row: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """A row for the page: what was asked and wanted, and what each model made of it."""
    who = [name for name in ("base", report.name) if name in row]
    asked = {name: value for name, value in row.items() if name not in who}
    number, first = asked.pop("row"), str(next(iter(asked.values())))
    return {
        "number": number,
        "first": shorten(first, _GLIMPSE, placeholder=" …"),
        "asked": {name: _text(value) for name, value in asked.items()},
        "done": {name: {key: _text(value) for key, value in row[name].items()} for name in who},
    }


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {figure(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " | ".join(map(str, value))
    return str(value)
