"""From the folders of several adapters to one base that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, UsageError
from lorafw.inference import loading
from lorafw.inference.place import Place, find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from lorafw.contracts.model import ModelBuilder
    from lorafw.inference.adapter_set import AdapterSet


def load_adapters(
    adapters: Mapping[str, str | Path],
    *,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
) -> AdapterSet:
    """Load several adapters by name onto one base.

    Args:
        adapters: the folder of a run or of an adapter, by the name that requests use.
        base: folder of their base model, if it is not where it was when they were trained.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.

    Raises:
        AdapterError: an adapter is damaged, or of another base than the others.
        ModelError: the base is damaged.
        PluginError: a part that the base or an adapter was made with is not installed.
        UsageError: no adapter is named, or they are classifiers.
    """
    from lorafw.inference.adapter_set import AdapterSet

    places = {name: _adapter_place(path, base) for name, path in adapters.items()}
    if not places:
        raise UsageError("no adapter is named.", mend="To load a base alone: lorafw.load.")
    first, registry = next(iter(places.values())), Registry()
    builder = cast("ModelBuilder", loading.part(registry, "model", first.model))
    loading.check_base(builder, first)
    bundle = builder.build(loading.request_for(device, first), builder.tokenizer())
    loaded = AdapterSet(bundle, loading.encoder_of(registry, Place(first.model), builder))
    for name, place in places.items():
        state = loading.adapter_state(place, bundle)
        loaded.add(name, state, loading.encoder_of(registry, place, builder))
    return loaded


def _adapter_place(path: str | Path, base: str | Path | None) -> Place:
    place = find(path, base=base)
    if place.adapter is None:
        mend = "Give the folder of an adapter; lorafw.load takes whole models."
        raise AdapterError("is no adapter.", where=str(path), mend=mend)
    return place
