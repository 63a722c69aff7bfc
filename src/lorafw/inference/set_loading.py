"""From the folders of several adapters to one base that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, UsageError
from lorafw.inference import loading
from lorafw.inference.place import Place, find
from lorafw.inference.provenance import check_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBuilder
    from lorafw.inference.adapter_set import AdapterSet


def load_adapters(
    adapters: Mapping[str, str | Path],
    *,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
    options: Mapping[str, Any] | None = None,
) -> AdapterSet:
    """Load several adapters by name onto one base.

    Args:
        adapters: the folder of a run or of an adapter, or its file, by the name that requests use.
        base: path of their base model, if it is not where it was when they were trained.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.
        options: of the base's builder, besides those that the adapters were trained with.

    Raises:
        AdapterError: an adapter is damaged, or of another base than the others.
        ModelError: the base is damaged.
        PluginError: a part that the base or an adapter was made with is not installed.
        UsageError: no adapter is named, or they are classifiers.
    """
    places = {name: _adapter_place(path, base, options) for name, path in adapters.items()}
    if not places:
        raise UsageError("no adapter is named.", mend="To load a base alone: lorafw.load.")
    return load_set(next(iter(places.values())), places, device=device)


def load_set(
    base: Place, adapters: Mapping[str, Place], *, device: str | torch.device | None = None
) -> AdapterSet:
    """Load a base and any number of adapters, none too.

    Args:
        base: a whole model, or an adapter, whose base is meant.
        adapters: where each is, by the name that requests use.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.

    Raises:
        AdapterError: an adapter is damaged, of another base, or cannot share it.
        ModelError: the base is damaged.
        PluginError: a part that the base or an adapter was made with is not installed.
        UsageError: they are classifiers.
    """
    from lorafw.inference.adapter_set import AdapterSet

    registry, own = Registry(), base if base.adapter is None else Place(base.model)
    builder = cast("ModelBuilder", loading.part(registry, "model", base.model))
    loading.check_base(builder, base)
    bundle = builder.build(loading.request_for(device, base), builder.tokenizer())
    loaded = AdapterSet(bundle, loading.encoder_of(registry, own, builder))
    for name, place in adapters.items():
        _add(loaded, name, place, loading.encoder_of(registry, place, builder))
    return loaded


def _add(loaded: AdapterSet, name: str, place: Place, encoder: Encoder) -> None:
    state = loading.adapter_state(place, loaded.bundle)
    check_template(place, encoder, loaded.bundle.tokenizer)
    try:
        loaded.add(name, state, encoder)
    except AdapterError as error:
        raise AdapterError(error.what, where=str(place.adapter), mend=error.mend) from None


def _adapter_place(
    path: str | Path, base: str | Path | None, options: Mapping[str, Any] | None
) -> Place:
    place = find(path, base=base, options=options)
    if place.adapter is None:
        mend = "Give the folder of an adapter; lorafw.load takes whole models."
        raise AdapterError("is no adapter.", where=str(path), mend=mend)
    return place
