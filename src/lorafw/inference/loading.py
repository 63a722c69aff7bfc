"""From a path to a model that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, ModelError, UsageError
from lorafw.inference.applying import adapter_state, apply_adapter
from lorafw.inference.place import Place, find
from lorafw.inference.provenance import check_template
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBuilder, ModelRequest
    from lorafw.inference.loaded import LoadedModel

__all__ = ["adapter_state", "check_base", "encoder_of", "load", "part", "request_for"]


def load(
    path: str | Path,
    *,
    adapter_merged: bool = False,
    device: str | torch.device | None = None,
    base: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    strict: bool = True,
) -> LoadedModel:
    """Load what a run made, or any model, ready to be asked.

    Args:
        path: the folder of a run, of an adapter, of a merged or of a base model; `lorafw:demo`, or
            a hub id; or the one file that a model or an adapter is in, such as MiniMind's `.pth`.
        adapter_merged: fold the adapter into the weights, which answers faster; the base alone can
            no longer be asked.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.
        base: path of the adapter's base model, if it is not where it was.
        options: of the base's builder, besides those it was trained with, such as
            `{"tokenizer_path": …}`.
        strict: refuse an adapter whose base, tokenizer or template is not, by content, the one it
            was trained with.

    Raises:
        AdapterError: the adapter is damaged or does nothing, or its base is gone or is another one.
        ModelError: the model is damaged, or there is none.
        PluginError: a part that the model was made with is not installed.
        UsageError: a base is named for a whole model, or an option is wrong.
    """
    from lorafw.inference.loaded import LoadedModel

    place, registry = find(path, base=base, options=options), Registry()
    builder = cast("ModelBuilder", part(registry, "model", place.model))
    check_base(builder, place)
    encoder = encoder_of(registry, place, builder)
    request, tokenizer = request_for(device, place), builder.tokenizer()
    bundle = builder.build(request, tokenizer)
    if place.adapter is None:
        return LoadedModel(bundle, encoder, folded=place.merged)
    if strict:
        check_template(place, encoder, tokenizer)
    adapted = apply_adapter(registry, place, bundle, strict=strict)
    model = LoadedModel(bundle, encoder, adapted)
    if adapter_merged:
        model.merge(keep_base=False)
    return model


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
        mend = "Say where that model is now: base=… (--base)"
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

    PEFT notes no names down; what is trained whole has the head among it, whose narrowest tensor
    has as many rows as there are classes.
    """
    from lorafw.adapters.layout.peft_layout import read_adapter

    if place.task is not Task.CLASSIFICATION or place.adapter is None:
        return ()
    state = read_adapter(place.adapter)
    trained = tuple(f"{name}." for name in state.spec.trained)
    head = [len(t) for name, t in state.tensors.items() if name.startswith(trained)]
    return tuple(f"LABEL_{index}" for index in range(min(head, default=0)))
