"""Whether what an adapter's files hold is whole, finite, and what their config says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.layout.digest import adapter_digest
from lorafw.adapters.layout.peft_config import CONFIG_FILE
from lorafw.adapters.layout.peft_names import PREFIX, Contents, Part
from lorafw.adapters.layout.peft_recipe import DIGEST, RECIPE_FILE, noted_digest
from lorafw.errors import AdapterError
from lorafw.types import token_rows_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from lorafw.adapters.layout.peft_config import PeftLoraConfig
    from lorafw.types import AdapterSpec, AdapterState

_AGAIN = "Fetch or export the adapter again."


def check_numbers(stored: Mapping[str, Tensor], path: Path) -> None:
    """Raise AdapterError for a file without tensors, and for NaN and infinity in one."""
    if not stored:
        raise AdapterError("holds no tensor.", where=str(path), mend=_AGAIN)
    for name, tensor in stored.items():
        # As fp32, which they become: a number may be too large for it.
        numbers = tensor.float() if tensor.is_floating_point() else tensor
        if not numbers.isfinite().all():
            fault = f"{name} holds NaN or infinity."
            raise AdapterError(fault, where=str(path), mend="Use an earlier state of its training.")


def check_contents(contents: Contents, config: PeftLoraConfig, path: Path) -> None:
    """Raise AdapterError for tensors that LoRA has no use for, and for modules that are lacking."""
    for name in contents.unknown:
        fault = f"holds {name}, which is no part of LoRA."
        raise AdapterError(fault, where=str(path), mend=f"Is {CONFIG_FILE} that of another one?")
    if config.saves_modules and not contents.modules[Part.WHOLE]:
        listed = ", ".join(config.saves_modules)
        fault = f"lacks what modules_to_save names: {listed}."
        raise AdapterError(fault, where=str(path), mend=_AGAIN)


def check_parts(spec: AdapterSpec, contents: Contents, path: Path) -> None:
    """Raise AdapterError unless the factors are exactly those that the spec asks for."""
    wanted = [name for module in spec.targets for name in spec.names_of(module)]
    found = contents.names(Part.FACTOR)
    if missing := sorted(set(wanted) - set(found)):
        raise AdapterError(f"lacks {PREFIX}{missing[0]}.", where=str(path), mend=_AGAIN)
    if extra := sorted(set(found) - set(wanted)):
        fault = f"holds {PREFIX}{extra[0]}, which is no part of LoRA as {CONFIG_FILE} says it is."
        raise AdapterError(fault, where=str(path), mend=_AGAIN)


def check_shapes(state: AdapterState, path: Path) -> None:
    """Raise AdapterError for tensors whose shapes are not those the spec gives them."""
    for name, tensor in state.tensors.items():
        if not tensor.is_floating_point():
            kind = f"{tensor.dtype} {list(tensor.shape)}"
            raise AdapterError(f"{name} is {kind}, not numbers.", where=str(path), mend=_AGAIN)
    for module in state.spec.targets:
        _check_factors(module, state, path)
    for module, rows in state.spec.token_rows.items():
        delta = state.tensors[token_rows_name(module)]
        if delta.ndim != 2 or len(delta) != len(rows):
            fault = f"{module} has rows {list(delta.shape)}, but {CONFIG_FILE} names {len(rows)}."
            raise AdapterError(fault, where=str(path), mend=_AGAIN)


def _check_factors(module: str, state: AdapterState, path: Path) -> None:
    rank = state.spec.rank_of(module)
    down, up, *magnitude = (state.tensors[name] for name in state.spec.names_of(module))
    shapes = f"{list(down.shape)} and {list(up.shape)}"
    if (down.ndim, up.ndim) == (2, 2) and module in state.spec.parameters:
        rank *= max(down.shape[0] // rank, 1)  # one for each expert; the base tells how many
    if (down.ndim, up.ndim) != (2, 2) or (down.shape[0], up.shape[1]) != (rank, rank):
        fault = f"{module} has A and B of shapes {shapes}, but {CONFIG_FILE} says rank {rank}."
        raise AdapterError(fault, where=str(path), mend=_AGAIN)
    if magnitude and magnitude[0].shape != up.shape[:1]:
        fault = f"{module} has B of {list(up.shape)} and magnitudes {list(magnitude[0].shape)}."
        raise AdapterError(fault, where=str(path), mend=_AGAIN)


def check_digest(state: AdapterState, folder: Path) -> None:
    """Raise AdapterError if the adapter is not the one that was written with `lorafw.json`."""
    expected = noted_digest(folder)
    if expected is not None and expected != adapter_digest(state):
        raise AdapterError(
            "the adapter beside it is not what was written with this file.",
            where=str(folder / RECIPE_FILE),
            mend=f"If the change was meant, delete {DIGEST!r} from it.",
        )
