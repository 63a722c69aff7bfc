"""From a path to the model to export: of a run, an adapter, or a whole model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lorafw.adapters.layout.peft_layout import read_recipe
from lorafw.assembly.registry import Registry
from lorafw.certification.checkpoint_source import CONFIG, from_checkpoint, newest_of_a_run
from lorafw.certification.chosen_prompts import chooses_prompts, saved_adapter
from lorafw.certification.live import Live
from lorafw.certification.unadapted import UnadaptedModel
from lorafw.contracts.exporter import ExportRequest
from lorafw.inference.applying import apply_adapter
from lorafw.inference.loading import check_base, encoder_of, part, request_for
from lorafw.inference.place import ADAPTER, Place, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.model import ModelBuilder


def live_model(
    path: str | Path,
    *,
    base: str | Path | None = None,
    any_base: bool = False,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Live:
    """Load what is at a path, on the CPU, ready to be exported.

    Args:
        path: the folder of a run, whose adapter it is or, if none was exported, its checkpoint,
            or what its scenario saved of that, if it chooses prompts; of an adapter; or of a whole
            model.
        base: where an adapter's base is, if not where it was.
        any_base: take a base, or tokenizer, of another content than the adapter was trained with.
        change: what to make of the base's section of the config.

    Raises:
        LorafwError: nothing known is there, it is damaged, or the base is gone or another one.
    """
    run = Path(path) if (Path(path) / CONFIG).is_file() else None
    checkpoint = newest_of_a_run(Path(path))
    exported = (Path(path) / "adapter" / ADAPTER).is_file()
    if checkpoint is not None and not exported:
        if not chooses_prompts(Path(path)):
            return from_checkpoint(Path(path), checkpoint, base=base, any_base=any_base)
        path = saved_adapter(Path(path), checkpoint)
    place = find(path, base=base)
    return _live(replace(place, model=change(place.model)), run, strict=not any_base)


def _live(place: Place, run: Path | None, *, strict: bool) -> Live:
    registry = Registry()
    builder = cast("ModelBuilder", part(registry, "model", place.model))
    check_base(builder, place)
    encoder = encoder_of(registry, place, builder)
    bundle = builder.build(request_for("cpu", place), builder.tokenizer())
    if place.adapter is None:
        whole = Path(str(place.model["path"]))
        recipe = {**(read_recipe(whole) if whole.is_dir() else {}), "model": dict(place.model)}
        return Live(ExportRequest(UnadaptedModel(bundle), builder, recipe, run), encoder)
    adapted: AdaptedModel = apply_adapter(registry, place, bundle, strict=strict)
    noted = read_recipe(place.adapter)
    recipe = {**noted, "model": dict(place.model), "base": bundle.base}
    return Live(ExportRequest(adapted, builder, recipe, run), encoder)
