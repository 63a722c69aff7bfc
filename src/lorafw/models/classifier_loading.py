"""Models that put a text into classes, from folders with such a head and from those without."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from lorafw.contracts._adapter_values import named_generator
from lorafw.errors import DataError, ModelError
from lorafw.models.loading import check_report, from_files, load_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lorafw.contracts.model import ModelRequest
    from lorafw.models.loading import DtypeName

_HEADS = ("classifier", "pre_classifier", "score", "pooler")
"""Names of heads in transformers' classes; they are trained, so they are not quantised."""
_POOLER = re.compile(r"(^|\.)pooler\.")
_IN_A_LAYER = re.compile(r"\.\d+\.")


def load_classifier(
    folder: Path,
    request: ModelRequest,
    *,
    dtype: DtypeName,
    trust_remote_code: bool = False,
    quantization: Any = None,
) -> tuple[Any, tuple[str, ...]]:
    """A transformers `…ForSequenceClassification` and the names of the modules that are its head.

    What of the head the folder lacks, or has for another number of classes, starts fresh: values
    are a function of the seed and the tensor's name. Heads of other tasks are left in the folder.

    Args:
        folder: in the transformers layout.
        request: with the names of the classes, or none to take those of a finished classifier.
        dtype: of the weights.
        trust_remote_code: run Python files in the folder.
        quantization: see `lorafw.models.loading.load_model`.

    Raises:
        ModelError: the body's weights are not those the config asks for, or nothing names classes.
        DataError: there is only one class.
    """
    from transformers import AutoModelForSequenceClassification

    if quantization is not None:
        quantization.llm_int8_skip_modules = [*_HEADS]
    config = load_config(folder, trust_remote_code=trust_remote_code)
    _name_classes(config, request.labels, folder)
    model, report = from_files(
        AutoModelForSequenceClassification,
        folder,
        config,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
        device=request.device,
    )
    body = f"{model.base_model_prefix}."
    check_report(_of_the_body(report, body), folder)
    fresh = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    _draw(model, fresh, request.seed)
    return model, _heads(model, fresh)


def _name_classes(config: Any, labels: Sequence[str], folder: Path) -> None:
    if labels:
        if len(labels) == 1:
            raise DataError(f"all rows are of one class, {labels[0]!r}.", where="dataset")
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
    elif not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        mend = "Train one: it takes rows with a text and a label."
        raise ModelError("this model has no classifier.", where=str(folder), mend=mend)
    config.problem_type = "single_label_classification"


def _of_the_body(report: Mapping[str, Any], body: str) -> dict[str, Any]:
    """The part of a loading report that must be empty: heads may be fresh, and others left out."""
    return {
        "missing_keys": [name for name in report["missing_keys"] if _in_body(name, body)],
        "mismatched_keys": [each for each in report["mismatched_keys"] if _in_body(each[0], body)],
        "unexpected_keys": [name for name in report["unexpected_keys"] if _IN_A_LAYER.search(name)],
    }


def _in_body(name: str, body: str) -> bool:
    return name.startswith(body) and not _POOLER.search(name)


@torch.no_grad()
def _draw(model: Any, names: Iterable[str], seed: int) -> None:
    """Matrices as the family draws its own, norms one, biases zero."""
    width = float(getattr(model.config, "initializer_range", None) or 0.02)
    for name in names:
        parameter: torch.Tensor = model.get_parameter(name)
        if parameter.ndim > 1:
            drawn = torch.empty(parameter.shape)
            drawn.normal_(std=width, generator=named_generator(name, seed))
            parameter.copy_(drawn)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def _heads(model: Any, fresh: Iterable[str]) -> tuple[str, ...]:
    """What of the body is fresh, and all that stands beside the body and has parameters."""
    body = model.base_model_prefix
    modules = {".".join(name.split(".")[:2]) for name in fresh}
    inside = sorted(name for name in modules if name.startswith(f"{body}."))
    beside = [
        name
        for name, part in model.named_children()
        if name != body and next(part.parameters(), None) is not None
    ]
    return (*inside, *beside)
