"""`lorafw verify-export`: whether an export still is what its certificate says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.certification.verifying import Verification


@click.command("verify-export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--base", metavar="PATH", help="The base model, if it is not where it was.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_export(folder: Path, base: str | None, *, as_json: bool) -> None:
    """Check the export in DIR against its certificate: its files, and what it answers.

    Works on any machine, without the run. The exit code is 1 if something differs.
    """
    from lorafw.certification.verifying import verify_export as verify

    found = verify(folder, base=base)
    click.echo(json.dumps(_values(found), indent=2) if as_json else "\n".join(_lines(found)))
    if not found.holds:
        click.get_current_context().exit(1)


def _values(found: Verification) -> dict[str, Any]:
    measured = found.measured
    return {
        "holds": found.holds,
        "verdict": found.certificate.verdict,
        "faults": list(found.faults),
        "files": len(found.certificate.files),
        "tool": measured and measured.tool,
        "largest": measured and measured.largest,
        "allowed": measured and measured.allowed,
        "agreeing": measured and measured.agreeing,
        "positions": measured and measured.positions,
    }


def _lines(found: Verification) -> list[str]:
    certificate, measured = found.certificate, found.measured
    rows = [
        ("export", f"{certificate.exporter['use']}, certified as {certificate.verdict}"),
        ("files", f"{len(certificate.files)} certified"),
    ]
    if measured is not None:
        difference = f"{measured.largest:.1e} in a logit, {measured.allowed:.1e} is allowed"
        same = f"the same at {measured.agreeing} of {measured.positions} places"
        rows += [
            ("opened with", measured.tool),
            ("difference", difference),
            ("likeliest token", same),
        ]
    verdict = "It holds." if found.holds else "It does not hold:"
    return [*columns(rows), verdict, *(f"  {fault}" for fault in found.faults)]
