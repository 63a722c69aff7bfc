"""`lorafw adapter merge`: an adapter and its base as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lorafw.cli.certificate_text import certificate_lines


@click.command()
@click.argument("path", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="Folder of the base model, if it is not where it was.",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the weights; auto keeps each as it is held.",
)
@click.option(
    "--base-weights",
    type=click.Choice(["trained", "files"]),
    default="trained",
    show_default=True,
    help="Of a base quantised for training: the numbers its bits stand for, or those of its files.",
)
@click.option(
    "--any-base", is_flag=True, help="Take a base or tokenizer other than the adapter's own."
)
@click.option(
    "--accept-loss", is_flag=True, help="Write it even if the wished dtype rounds numbers."
)
@click.option(
    "--max-shard-size", default="2GB", show_default=True, help="Most bytes in one weight file."
)
def merge(path: Path, out: Path, *, any_base: bool, **options: Any) -> None:
    """Fold the adapter IN, or that of the run IN, into its base, and write the model to OUT.

    The merged model is opened with transformers and asked the same as the adapted one, before it
    appears at OUT. What was compared is printed, and written to OUT/certificate.json.
    """
    from lorafw.certification.merging import merge as merge_into

    certificate = merge_into(path, out, any_base=any_base, **options)
    click.echo("\n".join(certificate_lines(certificate)))
    click.echo(f"Wrote {out}.")
