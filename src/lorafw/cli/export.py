"""`lorafw export`: files for other tools, of what was trained before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lorafw.cli.certificate_text import certificate_lines

if TYPE_CHECKING:
    from lorafw.certification.exporting import Exported


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "wishes",
    metavar="EXPORTER[:KEY=VALUE,...]",
    multiple=True,
    required=True,
    help="Exporter and its options, such as merged:dtype=bf16; may be repeated.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder to write; of several exports, the folder of their folders. A run has its own.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="Folder of the base model, if it is not where it was.",
)
@click.option(
    "--any-base", is_flag=True, help="Take a base or tokenizer other than the adapter's own."
)
@click.option(
    "--accept-loss", is_flag=True, help="Write it even if the wished dtype rounds numbers."
)
@click.option("--force", is_flag=True, help="Replace an export that is there.")
def export(
    path: Path, wishes: tuple[str, ...], out: Path | None, *, base: Path | None, **flags: bool
) -> None:
    """Export what is at PATH: a run, an adapter or a whole model.

    Of a run it is the adapter it exported or, if it exported none, its newest checkpoint. Every
    export is opened again in the tool it is for and compared with the trained model before it
    appears; what was compared is in its certificate.json. Exporters: `lorafw plugins list`.
    """
    from lorafw.certification.exporting import export_all
    from lorafw.certification.sources import live_model
    from lorafw.certification.targets import targets_of

    any_base = flags.pop("any_base")
    targets = targets_of(wishes, path, out, **flags)
    load = partial(live_model, path, base=base, any_base=any_base)
    failed = False
    for done in export_all(targets, load, _tell):
        _show(done)
        failed |= done.fault is not None
    if failed:
        click.get_current_context().exit(1)


def _tell(stage: str) -> None:
    click.echo(f"{stage} …", err=True)


def _show(done: Exported) -> None:
    if done.fault is not None:
        click.echo("Error: " + " ".join(str(done.fault).split("\n")), err=True)
    if done.certificate is not None:
        click.echo("\n".join(certificate_lines(done.certificate)))
        click.echo(f"Wrote {done.target.final}.")
