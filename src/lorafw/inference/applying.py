"""From an adapter's files and its base to the base with the adapter in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lorafw.errors import AdapterError, ConfigError, LorafwError, PluginError
from lorafw.inference.foreign import foreign_state
from lorafw.inference.provenance import check_tokenizer
from lorafw.types import Capability

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lorafw.assembly.registry import Registry
    from lorafw.contracts.injector import AdaptedModel, LoRAInjector
    from lorafw.contracts.model import ModelBundle
    from lorafw.inference.place import Place
    from lorafw.types import AdapterState

_INJECTORS = ("custom", "peft", "full")
"""Who applies an adapter that its own injector cannot, in order of preference."""


def apply_adapter(
    registry: Registry, place: Place, bundle: ModelBundle, *, strict: bool = True
) -> AdaptedModel:
    """Put the adapter at a place into its base.

    Args:
        registry: knows the injectors.
        place: an adapter's.
        bundle: the base; changed in place.
        strict: see `adapter_state`.

    Raises:
        AdapterError: see `adapter_state`; or no injector can apply it, or it does nothing.
        PluginError: no injector is installed.
    """
    state = adapter_state(place, bundle, strict=strict)
    try:
        injector = _injector(registry, place, state)
        adapted = injector.inject(bundle)
        adapted.load_state(state.tensors)
    except (AdapterError, ConfigError) as error:
        raise _of_this_adapter(error, place.adapter) from None
    bundle.module.eval()  # the adapter's dropout too
    if Capability.DISABLE in injector.capabilities:
        _check_effect(adapted, place.adapter)
    return adapted


def adapter_state(place: Place, bundle: ModelBundle, *, strict: bool = True) -> AdapterState:
    """The adapter at a place, if it was trained on this base.

    Args:
        place: an adapter's.
        bundle: the base, without any adapter.
        strict: whether base and tokenizer must be the very ones it was trained with.

    Raises:
        AdapterError: it is damaged, does nothing, or is of another base or tokenizer.
    """
    from lorafw.adapters.layout.effect import can_act
    from lorafw.adapters.layout.peft_fit import check_fit
    from lorafw.adapters.layout.peft_layout import read_adapter

    assert place.adapter is not None
    if strict:
        _check_base(place, bundle)
        check_tokenizer(place, bundle.tokenizer)
    foreign = foreign_state(place, bundle)
    state = foreign or read_adapter(place.adapter)
    if not can_act(state):
        raise _does_nothing(place.adapter, "every B is zero")
    if foreign is None:
        check_fit(state, place.adapter, bundle.module)
    return state


def _check_base(place: Place, bundle: ModelBundle) -> None:
    if place.base and place.base != bundle.base:
        fault = f"was trained on the base model {place.base}, this one is {bundle.base}."
        mend = (
            "Give the folder of that model: base=… (--base). "
            "Or load it all the same: strict=False (--any-base)"
        )
        raise AdapterError(fault, where=str(place.adapter), mend=mend)


def _injector(registry: Registry, place: Place, state: AdapterState) -> LoRAInjector:
    """The injector the adapter was made with, or else the first that can apply it."""
    faults: list[LorafwError] = []
    for name in dict.fromkeys(filter(None, (place.injector, *_INJECTORS))):
        try:
            found = cast("type[LoRAInjector]", registry.load("injector", name))
            return found().for_spec(state.spec)
        except (PluginError, AdapterError) as error:
            faults.append(error)
    # Who cannot make such an adapter says more than who is not installed.
    raise next((fault for fault in faults if isinstance(fault, AdapterError)), faults[0])


def _of_this_adapter(error: LorafwError, folder: Path | None) -> AdapterError:
    """What an injector says, told of the adapter's files and not of options nobody gave."""
    mend = error.mend or "Is this the base it was trained on?"
    if not isinstance(error, ConfigError):
        return AdapterError(error.what, where=str(folder), mend=mend)
    key = error.where.rpartition(".")[2]
    return AdapterError(f"{key}: {error.what}", where=str(folder), mend=error.mend)


def _check_effect(adapted: AdaptedModel, folder: Path | None) -> None:
    """Ask with a few tokens whether the adapter changes a single logit."""
    with_adapter = _probe(adapted)
    if not with_adapter.isfinite().all():
        fault = "makes logits that are NaN or infinite: its numbers are too large."
        raise AdapterError(fault, where=str(folder), mend="Use an earlier state of its training.")
    with adapted.disabled():
        if _probe(adapted).equal(with_adapter):
            raise _does_nothing(folder, "the base alone gives the same logits")


def _probe(adapted: AdaptedModel) -> Tensor:
    import torch

    bundle = adapted.bundle
    rows = [row for rows in adapted.spec.token_rows.values() for row in rows]
    device = next(bundle.module.parameters()).device
    ids = torch.tensor([[*range(1, 9), *rows[:8]]], device=device)
    with torch.no_grad():
        hidden = bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        return bundle.logits(hidden.rows)


def _does_nothing(folder: Path | None, why: str) -> AdapterError:
    mend = "Was it saved before it was trained? Export it again."
    return AdapterError(f"has no effect: {why}.", where=str(folder), mend=mend)
