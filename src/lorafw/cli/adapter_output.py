"""Where commands that make an adapter put it, and what they say of it."""

from __future__ import annotations

from pathlib import Path

import click

from lorafw.errors import UsageError

overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the adapter that is at OUT."
)


def check_output(out: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is there, but an adapter if that is asked for.

    Raises:
        UsageError: something is there that stays.
    """
    if not out.exists():
        return
    replaceable = (out / "adapter_config.json").is_file()
    if not replaceable:
        raise UsageError("exists already and is no adapter.", where=str(out))
    if not overwrite:
        mend = "Name another folder, or add --overwrite."
        raise UsageError("exists already and is left as it is.", where=str(out), mend=mend)


def percent(share: float | None) -> str:
    """A share as text, such as 12.3%; a dash where there is none."""
    if share is None:
        return "-"
    return f"{share:.1%}" if share >= 0.001 or share == 0 else f"{share:.1e}"
