"""Which versions of a distribution another one says it works with."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


def specifier_for(name: str, requirements: Iterable[str]) -> SpecifierSet:
    """The versions of `name` that a distribution's requirements admit, extras apart.

    Args:
        name: a distribution.
        requirements: `Requires-Dist` entries, as in the metadata of another.
    """
    admitted = SpecifierSet()
    for text in requirements:
        requirement = _parse(text)
        if requirement and canonicalize_name(requirement.name) == canonicalize_name(name):
            admitted &= requirement.specifier
    return admitted


def _parse(text: str) -> Requirement | None:
    """The requirement if it holds here; one that no tool understands binds nobody."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    marker = requirement.marker
    return requirement if marker is None or marker.evaluate({"extra": ""}) else None
