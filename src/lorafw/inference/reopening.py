"""An export opened again with lorafw itself, where no other tool reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

import lorafw
from lorafw.assembly.registry import Registry
from lorafw.contracts.exporter import Reopened
from lorafw.errors import ExportError
from lorafw.inference.applying import apply_adapter
from lorafw.inference.loading import request_for
from lorafw.inference.place import Place, find
from lorafw.inference.provenance import check_tokenizer
from lorafw.models.added_tokens import vocabulary_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.model import ModelBuilder, ModelBundle
    from lorafw.types import Tokenizer


def reopened_adapter(folder: Path, builder: ModelBuilder) -> Reopened:
    """An adapter's folder, of any format that lorafw reads, on the base a builder builds.

    Raises:
        LorafwError: the adapter is damaged, or is for another base.
    """
    place = place_on(folder, builder)
    bundle = built(place, builder)
    apply_adapter(Registry(), place, bundle, strict=False)
    return reopened_bundle(bundle, tokenizer=None)


def reopened_model(builder: ModelBuilder) -> Reopened:
    """A whole model that a family's own builder reads; its tokenizer lies beside it."""
    bundle = builder.build(request_for("cpu", Place({})), builder.tokenizer())
    tied = len(vocabulary_parts(bundle.module)) == 1
    return reopened_bundle(bundle, tokenizer=bundle.tokenizer, tied=tied)


def reopened_bundle(
    bundle: ModelBundle, *, tokenizer: Tokenizer | None, tied: bool | None = None
) -> Reopened:
    """A bundle as an export that was opened."""

    @torch.no_grad()
    def logits(row: Sequence[int]) -> Tensor:
        ids = torch.tensor([list(row)])
        hidden = bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        return bundle.logits(hidden.rows[0]).float()

    return Reopened(f"lorafw {lorafw.__version__}", logits, tokenizer, tied)


def place_on(folder: Path, builder: ModelBuilder) -> Place:
    """What lies in an adapter's folder, its base being the one that a builder builds."""
    kind = type(builder)
    options = builder.model_dump(mode="json")
    model = {"use": f"{kind.__module__}:{kind.__qualname__}", **options}
    return replace(find(folder, base=getattr(builder, "path", None)), model=model)


def built(place: Place, builder: ModelBuilder) -> ModelBundle:
    """The base of an adapter, on the CPU.

    Raises:
        ExportError: it is another one than the adapter was trained on, or reads other ids.
    """
    bundle = builder.build(request_for("cpu", place), builder.tokenizer())
    check_same_base(place, bundle.base)
    check_tokenizer(place, bundle.tokenizer)
    return bundle


def check_same_base(place: Place, base: str) -> None:
    """Raise ExportError if a base is not, by its content, the one an adapter was trained on."""
    if place.base and place.base != base:
        fault = f"was trained on the base model {place.base}, this one is {base}."
        raise ExportError(fault, where=str(place.adapter), mend="Say where that model is: --base")


def plain_logits(model: Any, row: Sequence[int]) -> Tensor:
    """What a transformers or PEFT model computes of a row; learned prompts in front are left out.

    Returns:
        fp32 [len(row), vocab]; of a classifier, its scores [classes].
    """
    ids = torch.tensor([list(row)])
    with torch.no_grad():
        found: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    return (found[-len(row) :] if found.ndim == 2 else found).float()
