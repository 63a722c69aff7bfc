"""An adapter and its base as one model on disk, compared with what was trained."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lorafw.assembly.registry import Registry
from lorafw.certification.exporting import export_all
from lorafw.certification.sources import live_model
from lorafw.certification.targets import Target
from lorafw.errors import AdapterError, UsageError
from lorafw.inference.loading import part
from lorafw.inference.place import find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorafw.certification.certificate import Certificate

BaseWeights: TypeAlias = Literal["trained", "files"]
"""`trained`: as they were held in training, so of a quantised base the numbers that its bits stand
for; `files`: as the base's files have them."""


def merge(
    path: str | Path,
    folder: Path,
    *,
    base: str | Path | None = None,
    base_weights: BaseWeights = "trained",
    any_base: bool = False,
    **options: Any,
) -> Certificate:
    """Fold an adapter into its base, weight by weight, and write the whole model.

    Memory holds the base, the adapter and one weight; then, once more by itself, what was written.

    Args:
        path: the folder of a run or of an adapter.
        folder: where the model shall appear, once it is whole and compared.
        base: folder of the base model, if it is not where it was.
        base_weights: what the update is added to, if the base was quantised for training.
        any_base: take a base of another content than the adapter was trained on.
        options: of the exporter `merged`: `dtype`, `max_shard_size`, `accept_loss`.

    Raises:
        AdapterError: there is no adapter, it is merged already, or the base is another one.
        ExportError: the merged model computes something else.
        UsageError: there is something at `folder`.
    """
    if folder.exists():
        raise UsageError("is there already.", where=str(folder), mend="Choose another folder.")
    _check_adapter(path, base)
    exporter: Any = part(Registry(), "exporter", {"use": "merged", **options})
    change = partial(_section, weights=base_weights)
    load = partial(live_model, path, base=base, any_base=any_base, change=change)
    target = Target("merged", exporter, folder)
    (done,) = export_all([target], load, lambda _stage: None)
    if done.fault is not None:
        raise done.fault
    assert done.certificate is not None
    return done.certificate


def _check_adapter(path: str | Path, base: str | Path | None) -> None:
    place = find(path, base=base)
    if place.merged:
        raise AdapterError("its adapter is merged already.", where=str(path))
    if place.adapter is None:
        mend = "Give the folder of a run or of an adapter."
        raise AdapterError("is no adapter.", where=str(path), mend=mend)


def _section(model: Mapping[str, Any], weights: BaseWeights) -> Mapping[str, Any]:
    if weights == "trained":
        return model
    quantised = ("quantize", "double_quant", "compute_dtype")
    return {name: value for name, value in model.items() if name not in quantised}
