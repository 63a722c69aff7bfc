"""Which modules of a base model are adapted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from lorafw.adapters.live.layer_choice import LAYER_NUMBER, top_numbers, within_layers
from lorafw.adapters.live.target_faults import (
    KEY,
    holds_experts,
    nothing_matches,
    refuse_repeated,
    refuse_trained_rows,
)
from lorafw.errors import AdapterError
from lorafw.models.experts import stacked_experts
from lorafw.models.names import features, is_linear

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lorafw.contracts.model import ModelBundle

ALL_LINEAR = "all-linear"
"""The choice of modules that the model builder thinks right: `ModelBundle.lora_targets`."""

SQUARE = "square"
"""MiniMind's choice: every linear of a layer that gives as many features as it takes."""


def select_targets(
    bundle: ModelBundle,
    wanted: str | Sequence[str],
    *,
    exclude: Sequence[str] = (),
    layers: Collection[int] | None = None,
    top: int | None = None,
) -> tuple[str, ...]:
    """The full names of the modules to adapt, in the order of the model's modules.

    Behind them come parameters that hold all experts of a layer. The head, embeddings and those
    parameters are left out unless they are named: as an entry of a list, or literally within a
    regular expression (`.*` does not name them, `.*(q_proj|lm_head)` names the head). A list may
    name the experts' module, such as `mlp.experts`, for all its parameters.

    Args:
        bundle: the base model; nothing in it is changed.
        wanted: `all-linear`, `square`, one regular expression that must match a full name, or a
            list of full names and of suffixes such as `q_proj` or `mlp.up_proj`.
        exclude: full names or suffixes of modules that are left out all the same.
        layers: numbers of the layers to adapt; None for all, and for what is in no layer.
        top: how many of the last layers to adapt, instead.

    Raises:
        AdapterError: nothing matches (an entry of a list each), what matches is neither linear nor
            an embedding, a module at several places or one with trained rows is asked for, or the
            model carries an adapter already.
    """
    refuse_adapted(bundle.module)
    parts = _adaptable(bundle.module, without=bundle.head_modules)
    parts |= stacked_experts(bundle.module)
    if wanted == ALL_LINEAR:
        chosen = _listed(bundle.lora_targets, parts, bundle.module)
    elif wanted == SQUARE:
        chosen = _square(parts)
    elif isinstance(wanted, str):
        chosen = _matching(wanted, parts, _by_name_only(bundle, parts))
    else:
        chosen = _listed(wanted, parts, bundle.module)
    chosen = _without(chosen, exclude)
    chosen = within_layers(chosen, top_numbers(chosen, top) if top else layers)
    refuse_repeated(chosen, bundle.module)
    refuse_trained_rows(chosen, bundle)
    return tuple(name for name in parts if name in chosen)


def embeddings_among(module: nn.Module, targets: Iterable[str]) -> tuple[str, ...]:
    """Those of some modules that are embeddings."""
    parts = dict(module.named_modules())
    return tuple(name for name in targets if isinstance(parts.get(name), nn.Embedding))


def parameters_among(module: nn.Module, targets: Iterable[str]) -> tuple[str, ...]:
    """Those of some targets that are parameters, holding all experts of a layer."""
    stacked = stacked_experts(module)
    return tuple(name for name in targets if name in stacked)


def saved_modules(
    bundle: ModelBundle, wanted: Sequence[str], targets: Sequence[str]
) -> tuple[str, ...]:
    """The full names of modules to be trained whole, besides those the bundle names itself.

    Args:
        bundle: the base model; nothing in it is changed.
        wanted: full names or suffixes.
        targets: the adapted modules, which cannot be among them.

    Raises:
        AdapterError: nothing matches an entry, or a module is adapted as well.
    """
    names = [name for name, _ in bundle.module.named_modules() if name]
    chosen: dict[str, None] = {}
    for entry in wanted:
        found = [name for name in names if has_suffix(name, entry)]
        if not found:
            raise AdapterError(f"no module matches {entry!r}.", where="injector.modules_to_save")
        chosen |= dict.fromkeys(found)
    inside = tuple(f"{name}." for name in chosen)
    if both := [name for name in targets if f"{name}.".startswith(inside)]:
        fault = f"{both[0]} cannot be adapted and trained whole."
        raise AdapterError(fault, where="injector.modules_to_save")
    return tuple(name for name in chosen if name not in bundle.head_modules)


def refuse_adapted(module: nn.Module) -> None:
    """Raise AdapterError if any injector was here before, lorafw's or PEFT's own."""
    wrapped = any(hasattr(module, mark) for mark in ("peft_config", "prompt_encoder"))
    if wrapped or any(hasattr(m, "lora_A") for m in module.modules()):
        raise AdapterError(
            "the model carries an adapter already.",
            mend="Build the base model afresh, or merge the adapter into it first.",
        )


def base_modules(module: nn.Module, targets: Iterable[str]) -> tuple[str, ...]:
    """The names of the base's modules, whether or not `targets` of it are adapted."""
    inside = tuple(f"{target}." for target in targets)
    return tuple(name for name, _ in module.named_modules() if not name.startswith(inside))


def has_suffix(name: str, suffix: str) -> bool:
    """Whether `suffix` is the name or its last whole components.

    >>> has_suffix("layers.0.mlp.up_proj", "mlp.up_proj"), has_suffix("layers.0.q_proj", "proj")
    (True, False)
    """
    return name == suffix or name.endswith(f".{suffix}")


def _adaptable(module: nn.Module, without: Iterable[str]) -> dict[str, nn.Module]:
    """Linears and embeddings by name; not those of modules that are trained whole."""
    trained = tuple(f"{name}." for name in without)
    return {
        name: part
        for name, part in module.named_modules()
        if (is_linear(part) or isinstance(part, nn.Embedding))
        and not f"{name}.".startswith(trained)
    }


def _by_name_only(bundle: ModelBundle, parts: dict[str, nn.Module]) -> set[str]:
    """Embeddings, the linear that makes logits, if there is one, and experts in one tensor."""
    getter = getattr(bundle.module, "get_output_embeddings", None)
    head = getter() if getter is not None else None
    weight = bundle.head_weight if head is None else head.weight
    heads = {n for n, part in parts.items() if is_linear(part) and part.weight is weight}
    return heads | {name for name, part in parts.items() if not is_linear(part)}


def _square(parts: dict[str, nn.Module]) -> set[str]:
    linears = {name: part for name, part in parts.items() if is_linear(part)}
    inside = {name: part for name, part in linears.items() if LAYER_NUMBER.search(name)}
    chosen = {name for name, part in inside.items() if len(set(features(part))) == 1}
    if not chosen:
        raise nothing_matches(SQUARE, linears)
    return chosen


def _matching(pattern: str, parts: dict[str, nn.Module], by_name_only: set[str]) -> set[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise AdapterError(f"{pattern!r} is no regular expression: {error}.", where=KEY) from None
    chosen = {name for name in parts if expression.fullmatch(name)}
    chosen -= {name for name in by_name_only if name.rpartition(".")[2] not in pattern}
    if not chosen:
        raise nothing_matches(pattern, parts, f" For modules of that name write [{pattern}].")
    return chosen


def _without(chosen: set[str], exclude: Sequence[str]) -> set[str]:
    for entry in exclude:
        dropped = {name for name in chosen if has_suffix(name, entry)}
        if not dropped:
            raise AdapterError(f"nothing matches {entry!r}.", where="injector.exclude_modules")
        chosen = chosen - dropped
    if not chosen:
        raise AdapterError("leaves nothing to adapt.", where="injector.exclude_modules")
    return chosen


def _listed(entries: Sequence[str], parts: dict[str, nn.Module], module: nn.Module) -> set[str]:
    chosen: set[str] = set()
    for entry in entries:
        found = {entry} & parts.keys() or {n for n in parts if _names(entry, n, parts[n])}
        if not found:
            _refuse_other_kinds(entry, module)
            raise nothing_matches(entry, parts)
        chosen |= found
    if not chosen:
        raise AdapterError("no module is named.", where=KEY, mend=f"Try {ALL_LINEAR!r}.")
    return chosen


def _names(entry: str, name: str, part: nn.Module) -> bool:
    """Whether an entry is the end of a name, or of that of the module whose experts it names."""
    if has_suffix(name, entry):
        return True
    return holds_experts(part) and has_suffix(name.rpartition(".")[0], entry)


def _refuse_other_kinds(entry: str, module: nn.Module) -> None:
    for name, found in module.named_modules():
        if name and has_suffix(name, entry):
            if is_linear(found) or isinstance(found, nn.Embedding):
                raise AdapterError(f"{name} is trained whole; leave it out.", where=KEY)
            kind = type(found).__name__
            raise AdapterError(
                f"{name} is a {kind}; only linear layers and embeddings can be adapted.", where=KEY
            )
