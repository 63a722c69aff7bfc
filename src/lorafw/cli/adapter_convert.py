"""`lorafw adapter convert`: an adapter from one tool's files to another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorafw.types import AdapterState

SECTIONS = ("from", "to", "base")
"""What options can be given to: the format read, the format written, the base's model."""


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--to", "target", metavar="FORMAT", required=True, help="Format to write.")
@click.option("--from", "origin", metavar="FORMAT", help="Format of IN; else found by itself.")
@click.option("--base", metavar="PATH", help="The adapter's base model, where a format needs it.")
@click.option(
    "-o",
    "override",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set one option of a format or of the base, such as from.lora_scaling=32.",
)
def convert(
    source: Path,
    out: Path,
    target: str,
    origin: str | None,
    base: str | None,
    override: tuple[str, ...],
) -> None:
    """Write the adapter at IN as OUT in another format, read it back and compare.

    Formats: `lorafw plugins list`. OUT must not exist yet, and appears whole or not at all.
    """
    from lorafw.adapters.conversion.conversion import write_format
    from lorafw.assembly.adapter_formats import exported_adapter, format_of, make_format
    from lorafw.assembly.base_model import base_of
    from lorafw.assembly.registry import Registry

    registry, options, source = Registry(), _options(override), exported_adapter(source)
    writes = make_format(registry, target, options["to"], where="to")
    name = origin or format_of(registry, source)
    reads = make_format(registry, name, options["from"], where="from")
    known = base_of(registry, source, base, options["base"])
    state = reads.read(source, known)
    remarks = reads.remarks(source, known)
    written = write_format(state, writes, out, known)
    click.echo(f"Read {source} as {name}: {_summary(state)}.")
    click.echo(f"Wrote {out} as {target}: {_summary(written.state)}.")
    click.echo(f"Read back and compared: {_outcome(written.change)}.")
    for remark in remarks:
        click.echo(f"Note: {remark}")


def _options(assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The values of `section.key=value` by section and key."""
    from lorafw.assembly.draft import split_assignment

    options: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, value in map(split_assignment, assignments):
        section, _, option = key.partition(".")
        if section not in options or not option:
            mend = did_you_mean(section, SECTIONS) or f"Begin with: {', '.join(SECTIONS)}."
            raise ConfigError("is of nothing that has options.", where=f"-o {key}", mend=mend)
        options[section][option] = value
    return options


def _summary(state: AdapterState) -> str:
    spec = state.spec
    parts = [f"{len(spec.targets)} module{'s' * (len(spec.targets) != 1)}"]
    if spec.method != "LORA":
        return f"{spec.method}, {parts[0]}"
    parts.append(f"rank {_range(map(spec.rank_of, spec.targets))}")
    parts.append(f"scaling {_range(map(spec.scaling_of, spec.targets))}")
    parts += [f"{name} whole" for name in spec.trained]
    parts += [f"{len(rows)} rows of {name}" for name, rows in spec.token_rows.items()]
    return ", ".join(parts)


def _range(values: Iterable[float]) -> str:
    found = sorted(set(values))
    if not found:
        return "none"
    return f"{found[0]:.4g}" + (f" to {found[-1]:.4g}" if len(found) > 1 else "")


def _outcome(change: float) -> str:
    if change == 0:
        return "bit for bit the same"
    return f"updates changed by {change:.0e} of their size at most"
