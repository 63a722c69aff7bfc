"""Pages in one file that need nothing else: the look they share, and how values are written."""

from __future__ import annotations

import importlib.resources
import math
from functools import cache

import jinja2
from markupsafe import Markup

STYLE = "page.css"


@cache
def page_template(package: str, name: str) -> jinja2.Template:
    """A template with the look of all pages as `style`, and values written by `figure`.

    Whatever is put into it is escaped.

    Args:
        package: where the template's file is.
        name: of the file.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["figure"] = figure
    environment.globals["style"] = Markup(_read(__package__, STYLE))  # noqa: S704 - our own file
    return environment.from_string(_read(package, name))


def figure(value: str | float | None) -> str:
    """A value for a reader: few digits, thousands apart, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5g}" if math.isfinite(value) and abs(value) < 1e5 else f"{value:,.0f}"


def _read(package: str, name: str) -> str:
    return (importlib.resources.files(package) / name).read_text(encoding="utf-8")
