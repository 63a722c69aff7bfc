"""A certificate in a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorafw.certification.certificate import Certificate

_MEANING = {
    "exact": "nothing was rounded",
    "rounded": "numbers have the rounding of the dtype it was trained in",
    "lossy": "numbers were rounded, as accepted",
}


def certificate_lines(certificate: Certificate) -> list[str]:
    """What was compared, and how near the export is to the trained model."""
    found = certificate.comparison
    if found is None:
        return ["Not opened again: there is no tool here to open it with. Its files are hashed."]
    return [
        f"Opened with {found.tool}; {_MEANING[certificate.verdict]}.",
        f"Largest difference of a logit: {found.largest:.1e}, of {found.scale:.1f} at most.",
        f"Likeliest token the same at {found.agreeing} of {found.positions} places.",
    ]
