"""From a path to a model that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, ModelError, PluginError, UsageError
from lorafw.inference.place import Place, find
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.injector import AdaptedModel, LoRAInjector
    from lorafw.contracts.model import ModelBuilder, ModelBundle, ModelRequest
    from lorafw.inference.loaded import LoadedModel
    from lorafw.types import AdapterState

_INJECTORS = ("custom", "peft")
"""Who applies an adapter whose own injector is not installed, in order of preference."""


def load(
    path: str | Path,
    *,
    adapter_merged: bool = False,
    device: str | torch.device | None = None,
    base: str | Path | None = None,
) -> LoadedModel:
    """Load what a run made, or any model, ready to be asked.

    Args:
        path: the folder of a run, of an adapter, of a merged or of a base model; `lorafw:demo`, or
            a hub id.
        adapter_merged: fold the adapter into the weights, which answers faster; needs memory for
            the model twice while loading, and the base alone can no longer be asked.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.
        base: folder of the adapter's base model, if it is not where it was.

    Raises:
        AdapterError: the adapter is damaged, or its base is gone or is another one.
        ModelError: the model is damaged, or there is none.
        PluginError: a part that the model was made with is not installed.
    """
    from lorafw.inference.loaded import LoadedModel

    place, registry = find(path, base=base), Registry()
    builder = cast("ModelBuilder", part(registry, "model", place.model))
    check_base(builder, place)
    encoder = encoder_of(registry, place, builder)
    request, tokenizer = request_for(device, place), builder.tokenizer()
    bundle = builder.build(request, tokenizer)
    if place.adapter is None:
        return LoadedModel(bundle, encoder, folded=place.merged)
    adapted = _adapted(registry, place, bundle)
    if not adapter_merged:
        return LoadedModel(bundle, encoder, adapted)
    whole = builder.build(request, tokenizer)
    _fold(adapted, whole)
    return LoadedModel(whole, encoder, folded=True)


def part(registry: Registry, kind: str, section: Mapping[str, Any]) -> object:
    """A part from its section of a config."""
    options = {name: value for name, value in section.items() if name != "use"}
    return registry.load(kind, section["use"]).from_mapping(options, where=kind)


def encoder_of(registry: Registry, place: Place, builder: ModelBuilder) -> Encoder:
    """How what lies at a place is asked."""
    section = place.encoder or {"use": builder.default_encoder(place.task)}
    return cast("Encoder", part(registry, "encoder", section))


def check_base(builder: ModelBuilder, place: Place) -> None:
    """Check that the base is where it should be, before anything heavy."""
    try:
        builder.preflight()
    except ModelError as error:
        if place.adapter is None:
            raise
        fault = f"the adapter's base model cannot be used: {error}"
        mend = "Say where that model is now: base=…"
        raise AdapterError(fault, where=str(place.adapter), mend=mend) from None


def request_for(device: str | torch.device | None, place: Place) -> ModelRequest:
    """What the builder is asked for.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    from lorafw.contracts.model import ModelRequest

    has_gpu = torch.cuda.is_available()
    try:
        chosen = torch.device(device or ("cuda" if has_gpu else "cpu"))
    except RuntimeError:
        raise UsageError(f"there is no device {device!r}.", mend="Try cpu or cuda:0.") from None
    if chosen.type == "cuda" and not has_gpu:
        raise UsageError("there is no GPU that torch can use here.", mend="Try cpu.")
    return ModelRequest(place.task, chosen, place.seed, place.labels or _unnamed_classes(place))


def _unnamed_classes(place: Place) -> tuple[str, ...]:
    """Names for the classes of an adapter that PEFT wrote, as transformers would make them up.

    PEFT notes no names down; the head's narrowest tensor has as many rows as there are classes.
    """
    from lorafw.adapters.peft_layout import read_adapter

    if place.task is not Task.CLASSIFICATION or place.adapter is None:
        return ()
    tensors = read_adapter(place.adapter).tensors
    head = [len(t) for name, t in tensors.items() if ".lora_" not in name]
    return tuple(f"LABEL_{index}" for index in range(min(head, default=0)))


def _adapted(registry: Registry, place: Place, bundle: ModelBundle) -> AdaptedModel:
    state = adapter_state(place, bundle)
    adapted = _injector(registry, place, state).inject(bundle)
    adapted.load_state(state.tensors)
    bundle.module.eval()  # the adapter's dropout too
    return adapted


def adapter_state(place: Place, bundle: ModelBundle) -> AdapterState:
    """The adapter at a place, if it was trained on this base.

    Raises:
        AdapterError: it is damaged, or of another base.
    """
    from lorafw.adapters.peft_layout import read_adapter

    assert place.adapter is not None
    if place.base and place.base != bundle.base:
        fault = f"was trained on the base model {place.base}, this one is {bundle.base}."
        mend = "Give the folder of that model: base=…"
        raise AdapterError(fault, where=str(place.adapter), mend=mend)
    return read_adapter(place.adapter)


def _injector(registry: Registry, place: Place, state: AdapterState) -> LoRAInjector:
    """The injector the adapter was made with, or another that can apply it."""
    faults = []
    for name in dict.fromkeys(filter(None, (place.injector, *_INJECTORS))):
        try:
            found = cast("type[LoRAInjector]", registry.load("injector", name))
        except PluginError as error:
            faults.append(error)
        else:
            return found().for_spec(state.spec)
    raise faults[0]


def _fold(adapted: AdaptedModel, whole: ModelBundle) -> None:
    """Write the adapted model's merged weights into a fresh copy of its base."""
    import torch

    into = whole.module.state_dict()
    with torch.no_grad():
        for name, tensor in adapted.merged_state():
            into[name].copy_(tensor)
