"""Which biases of a base model are trained beside the adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import nn

    from lorafw.contracts.model import ModelBundle


def chosen_biases(
    bundle: ModelBundle,
    wanted: str | Sequence[str],
    targets: Collection[str],
    trained: Sequence[str],
) -> tuple[str, ...]:
    """The full names of the modules whose bias is trained, in the order of the model's modules.

    Args:
        bundle: the base model; nothing in it is changed.
        wanted: `none`, `all`, `lora_only` for those of the adapted modules, or names and suffixes.
        targets: the adapted modules.
        trained: the modules that are trained whole, and their biases with them.

    Raises:
        AdapterError: there is no such bias, or a module does something else with it than add it.
    """
    if wanted == "none":
        return ()
    from torch import nn

    from lorafw.models.names import is_linear

    inside = tuple(f"{name}." for name in trained)
    parts = {
        name: part
        for name, part in bundle.module.named_modules()
        if isinstance(getattr(part, "bias", None), nn.Parameter)
        and not f"{name}.".startswith(inside)
    }
    chosen = _chosen(parts, wanted, targets)
    for name in chosen:
        if not (is_linear(parts[name]) or isinstance(parts[name], nn.LayerNorm)):
            fault = f"{name} is a {type(parts[name]).__name__}, whose bias cannot be trained alone."
            raise AdapterError(fault, where="injector.bias", mend="Name others, or lora_only.")
    return tuple(name for name in parts if name in chosen)


def _chosen(
    parts: Mapping[str, nn.Module], wanted: str | Sequence[str], targets: Collection[str]
) -> set[str]:
    from lorafw.adapters.live.targets import has_suffix

    if isinstance(wanted, str):
        found = {name for name in parts if wanted == "all" or name in targets}
        if not found:
            of_what = "the model" if wanted == "all" else "what is adapted"
            raise AdapterError(f"{of_what} has no bias.", where="injector.bias", mend="Use none.")
        return found
    by_entry = {
        entry: {entry} if entry in parts else {n for n in parts if has_suffix(n, entry)}
        for entry in wanted
    }
    if missing := [entry for entry, names in by_entry.items() if not names]:
        raise AdapterError(f"no module with a bias matches {missing[0]!r}.", where="injector.bias")
    return set().union(*by_entry.values())
