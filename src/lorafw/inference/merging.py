"""A trained adapter and its base as one model on disk, compared with what was trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch

from lorafw.adapters.files.safe_files import publish
from lorafw.adapters.layout.peft_layout import read_recipe
from lorafw.assembly.registry import Registry
from lorafw.builtin.merged_exporter import MergedExporter
from lorafw.contracts.exporter import ExportRequest
from lorafw.errors import AdapterError, ExportError, UsageError
from lorafw.inference.applying import apply_adapter
from lorafw.inference.loaded import LoadedModel
from lorafw.inference.loading import check_base, encoder_of, load, part, request_for
from lorafw.inference.place import Place, find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder

BaseWeights: TypeAlias = Literal["trained", "files"]
"""`trained`: as they were held in training, so of a quantised base the numbers that its bits stand
for; `files`: as the base's files have them."""

_PROBES, _LENGTH = 4, 32
_EXACT = 1e-3
"""Of the largest logit: what summing in another order may change where nothing is rounded."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What was written, and how far it is from the adapted model.

    Attributes:
        modules: how many modules had an update.
        largest: largest difference of a logit on the probes.
        scale: largest logit of the adapted model on the probes.
        agreeing: at how many positions the likeliest token is the same.
        positions: of how many.
        rounded: weights were rounded, to a narrower dtype or from quantised ones, so that a
            difference was to be expected.
    """

    modules: int
    largest: float
    scale: float
    agreeing: int
    positions: int
    rounded: bool


def merge(
    path: str | Path,
    folder: Path,
    *,
    base: str | Path | None = None,
    dtype: str = "auto",
    base_weights: BaseWeights = "trained",
    any_base: bool = False,
    max_shard_size: str = "2GB",
) -> MergeReport:
    """Fold an adapter into its base, weight by weight, and write the whole model.

    Memory holds the base, the adapter and one weight; then, once more by itself, what was written.

    Args:
        path: the folder of a run or of an adapter.
        folder: where the model shall appear, once it is whole and compared.
        base: folder of the base model, if it is not where it was.
        dtype: of the weights: `fp32`, `bf16`, `fp16`, or `auto` for each as it is held.
        base_weights: what the update is added to, if the base was quantised for training.
        any_base: take a base of another content than the adapter was trained on.
        max_shard_size: most bytes in one weight file.

    Raises:
        AdapterError: there is no adapter, it is merged already, or the base is another one.
        ExportError: without rounding, the merged model computes something else.
        UsageError: there is something at `folder`.
    """
    if folder.exists():
        raise UsageError("is there already.", where=str(folder), mend="Choose another folder.")
    place = _adapter_place(path, base)
    place = replace(place, model=_section(place.model, base_weights))
    exporter = MergedExporter.from_mapping(
        {"dtype": dtype, "max_shard_size": max_shard_size}, where="merge"
    )
    return publish(lambda fresh: _merged(place, exporter, fresh, strict=not any_base), folder)


@dataclass(frozen=True, slots=True)
class _Written:
    """What is remembered of the adapted model when it is gone from memory."""

    modules: int
    answers: list[Tensor]
    rounded: bool


def _merged(place: Place, exporter: MergedExporter, folder: Path, *, strict: bool) -> MergeReport:
    """Write and compare; the adapted model is let go before the merged one is loaded."""
    written = _write(place, exporter, folder, strict=strict)
    pairs = list(zip(written.answers, _answers(load(folder, device="cpu")), strict=True))
    report = MergeReport(
        written.modules,
        largest=max(float((got - wanted).abs().max()) for wanted, got in pairs),
        scale=max(float(wanted.abs().max()) for wanted, _ in pairs),
        agreeing=sum(int((got.argmax(-1) == wanted.argmax(-1)).sum()) for wanted, got in pairs),
        positions=sum(wanted.argmax(-1).numel() for wanted, _ in pairs),
        rounded=written.rounded,
    )
    if not report.rounded and not report.largest <= _EXACT * report.scale:
        fault = f"the merged model's logits are off by {report.largest:.1e}."
        raise ExportError(fault, mend="Please report this: nothing was rounded.")
    return report


def _write(place: Place, exporter: MergedExporter, folder: Path, *, strict: bool) -> _Written:
    assert place.adapter is not None
    registry = Registry()
    builder = cast("ModelBuilder", part(registry, "model", place.model))
    check_base(builder, place)
    bundle = builder.build(request_for("cpu", place), builder.tokenizer())
    adapted = apply_adapter(registry, place, bundle, strict=strict)
    answers = _answers(LoadedModel(bundle, encoder_of(registry, place, builder), adapted))
    recipe = {**read_recipe(place.adapter), "model": dict(place.model)}
    exporter.export(ExportRequest(adapted, builder, recipe), folder)
    held = _held(bundle.module)
    narrower = exporter.dtype != "auto" and exporter.dtype not in held
    rounded = bool(builder.rules_out) or held != {"fp32"} or narrower
    return _Written(len(adapted.spec.targets), answers, rounded)


def _held(module: torch.nn.Module) -> set[str]:
    """The dtypes of the base's numbers, by lorafw's names."""
    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return {names[p.dtype] for p in module.parameters() if p.dtype in names}


def _answers(model: LoadedModel) -> list[Tensor]:
    """Logits of rows of ids that are always the same for a vocabulary."""
    module: Any = model.bundle.module
    words = model.bundle.tokenizer.get_vocab()  # type: ignore[attr-defined]
    size = min(len(words), len(module.get_input_embeddings().weight))
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(size, (_PROBES, _LENGTH), generator=generator).tolist()
    return [model.logits(row) for row in rows]


def _adapter_place(path: str | Path, base: str | Path | None) -> Place:
    place = find(path, base=base)
    if place.merged:
        raise AdapterError("its adapter is merged already.", where=str(path))
    if place.adapter is None:
        mend = "Give the folder of a run or of an adapter."
        raise AdapterError("is no adapter.", where=str(path), mend=mend)
    return place


def _section(model: Mapping[str, Any], weights: BaseWeights) -> Mapping[str, Any]:
    if weights == "trained":
        return model
    quantised = ("quantize", "double_quant", "compute_dtype")
    return {name: value for name, value in model.items() if name not in quantised}
