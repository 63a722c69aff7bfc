"""Which modules of a base model are trained whole."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lorafw.errors import AdapterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

_KEY = "injector.modules"


def chosen_modules(
    module: nn.Module, patterns: Sequence[str], needed: Sequence[str] = ()
) -> list[str]:
    """Full names of the outermost modules that patterns match, and that are needed.

    Args:
        module: the model.
        patterns: of full names; `*` stands for any characters, dots too.
        needed: full names of modules that must be trained anyway.

    Raises:
        AdapterError: a pattern matches no module with parameters, or the model holds parameters
            in no module.
    """
    names = _with_parameters(module)
    chosen = set(needed)
    for pattern in patterns:
        found = {name for name in names if fnmatchcase(name, pattern)}
        if not found:
            mend = did_you_mean(pattern, names) or f"There are {names[0]} to {names[-1]}."
            raise AdapterError(f"no module matches {pattern!r}.", where=_KEY, mend=mend)
        chosen |= found
    return [name for name in names if name in chosen and not _inside_of(name, chosen)]


def _with_parameters(module: nn.Module) -> list[str]:
    if outside := next((n for n, _ in module.named_parameters() if "." not in n), None):
        raise AdapterError(f"the model's {outside} is in no module of its own.", where=_KEY)
    named = module.named_modules(remove_duplicate=False)
    return [name for name, part in named if name and any(True for _ in part.parameters())]


def _inside_of(name: str, chosen: set[str]) -> bool:
    """Whether a module around this one is chosen as well."""
    parts = name.split(".")
    return any(".".join(parts[:depth]) in chosen for depth in range(1, len(parts)))
