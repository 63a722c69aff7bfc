"""What is said of targets that a model lacks, or that cannot be adapted in it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from torch import nn

from lorafw.adapters.live.untying import shared_weights
from lorafw.errors import AdapterError
from lorafw.models.names import is_linear

if TYPE_CHECKING:
    from lorafw.contracts.model import ModelBundle

KEY = "injector.target_modules"


def holds_experts(part: nn.Module) -> bool:
    """Whether a part is among the adaptable ones for parameters of its own."""
    return not (is_linear(part) or isinstance(part, nn.Embedding))


def nothing_matches(wanted: str, parts: dict[str, nn.Module], mend: str = "") -> AdapterError:
    """What to raise where nothing among the adaptable parts is meant; with near misses."""
    names = sorted(parts, key=lambda name: isinstance(parts[name], nn.Embedding))
    names += dict.fromkeys(n.rpartition(".")[0] for n in names if holds_experts(parts[n]))
    known = list(dict.fromkeys([name.rpartition(".")[2] for name in names] + names))
    near = difflib.get_close_matches(wanted, known, n=4, cutoff=0.5)
    hint = f"Near misses: {', '.join(near)}." if near else f"There are: {', '.join(known[:12])}."
    return AdapterError(f"no linear layer matches {wanted!r}.", where=KEY, mend=hint + mend)


def refuse_repeated(chosen: set[str], module: nn.Module) -> None:
    """One module at several places cannot take an update meant for one of them."""
    for names in shared_weights(module):
        owners = [name.rpartition(".")[0] for name in names]
        parts = {id(module.get_submodule(owner)) for owner in owners}
        if (tied := chosen & set(owners)) and len(parts) < len(owners):
            raise AdapterError(
                f"{' and '.join(owners)} are one module, which cannot be adapted.",
                where=KEY,
                mend=f"Leave {min(tied)} out.",
            )


def refuse_trained_rows(chosen: set[str], bundle: ModelBundle) -> None:
    """Rows that are trained themselves, such as new tokens', cannot take an update as well."""
    for name in sorted(chosen & bundle.token_rows.keys()):
        fault = f"{name} has rows that are trained themselves."
        raise AdapterError(fault, where=KEY, mend=f"Leave {name} out.")
