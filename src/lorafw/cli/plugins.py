"""`lorafw plugins`: list, show and check the installed parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from lorafw.assembly.one_line import one_line
from lorafw.assembly.registry import KINDS, Entry, Registry
from lorafw.cli.tables import columns
from lorafw.errors import LorafwError

if TYPE_CHECKING:
    from lorafw.cli.option_table import OptionRow


@click.group()
def plugins() -> None:
    """List, show and check the installed parts."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_parts(*, as_json: bool) -> None:
    """List the installed parts by kind; none is imported."""
    registry = Registry()
    if as_json:
        found = [_record(entry) for kind in KINDS for entry in registry.entries(kind)]
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        (kind, entry.name, f"{entry.distribution} {entry.version}", one_line(entry))
        for kind in KINDS
        for entry in registry.entries(kind)
    ]
    click.echo("\n".join(columns([("KIND", "NAME", "DISTRIBUTION", "SUMMARY"), *rows])))


@plugins.command()
@click.argument("kind")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(kind: str, name: str, *, as_json: bool) -> None:
    """Show what part NAME of KIND is for, and its options."""
    from lorafw.cli.option_table import documentation, option_rows

    registry = Registry()
    entry, part = registry.find(kind, name), registry.load(kind, name)
    options = option_rows(part)
    if as_json:
        record = {**_record(entry), "doc": documentation(part)}
        rows = [option.as_json() for option in options]
        click.echo(json.dumps({**record, "options": rows}, indent=2))
        return
    source = f"{entry.distribution} {entry.version}, " if entry.distribution else ""
    click.echo(f"{kind} '{name}' ({source}{entry.value})\n\n{documentation(part)}\n")
    click.echo(_table(options))


@plugins.command()
@click.argument("kind")
@click.argument("name")
@click.option(
    "-o", "override", metavar="KEY=VALUE", multiple=True, help="Set one option, such as r=4."
)
def check(kind: str, name: str, override: tuple[str, ...]) -> None:
    """Try part NAME of KIND against the promises of its contract."""
    from lorafw.assembly.draft import split_assignment
    from lorafw.testing import check as kit

    part = Registry().load(kind, name)
    component = part.from_mapping(dict(map(split_assignment, override)), where=kind)
    if not kit.check(kind, component, _tell):
        raise LorafwError(f"{kind} '{name}' does not keep what its contract promises.")


def _tell(promise: str, outcome: str, detail: str) -> None:
    click.echo(f"{outcome:12}  {promise}" + (f": {detail}" if detail else ""))


def _record(entry: Entry) -> dict[str, str]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "value": entry.value,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": one_line(entry),
    }


def _table(options: list[OptionRow]) -> str:
    if not options:
        return "It has no options."
    rows = [(row.name, row.type, row.shown_default, row.description) for row in options]
    return "\n".join(columns([("OPTION", "TYPE", "DEFAULT", "DESCRIPTION"), *rows]))
