"""The module tree of a transformers folder without its weights."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from lorafw.contracts.model import Outline
from lorafw.models.loading import (
    check_report,
    explained,
    from_files,
    load_config,
    preferred_attention,
    quiet,
)
from lorafw.models.names import layer_linears
from lorafw.models.transformers_bundle import may_take_segments
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def outline_of_folder(folder: Path, *, trust_remote_code: bool) -> Outline:
    """The model of a folder on the meta device, its tensors' names and shapes compared.

    The way is the one that loads the model; only that nothing is read but the files' headers. It
    leads through accelerate: without it, names and shapes are not compared.

    Raises:
        ModelError: what loading would raise for the config, and for the names and shapes.
    """
    config = load_config(folder, trust_remote_code=trust_remote_code)
    if find_spec("accelerate") is None:
        return outline_of_config(config, folder, trust_remote_code=trust_remote_code)
    model, report = from_files(
        _kind(config),
        folder,
        config,
        dtype="auto",
        trust_remote_code=trust_remote_code,
        quantization=None,
        device=torch.device("meta"),
    )
    if _task(config) is Task.CAUSAL_LM:
        check_report(report, folder)
    return _outline(model, _task(config))


def outline_of_fields(fields: Mapping[str, Any], folder: Path) -> Outline:
    """The model that the fields of a transformers config describe, such as a converted one."""
    from transformers import AutoConfig

    others = {key: value for key, value in fields.items() if key != "model_type"}
    with quiet(), explained(folder, "config.json"):
        config = AutoConfig.for_model(fields["model_type"], **others)
    return outline_of_config(config, folder, trust_remote_code=False)


def outline_of_config(config: Any, folder: Path, *, trust_remote_code: bool) -> Outline:
    """The model of a config on the meta device.

    Raises:
        ModelError: transformers cannot make it.
    """
    with quiet(), explained(folder, "the model"), torch.device("meta"):
        model = _kind(config).from_config(
            config,
            attn_implementation=preferred_attention(config),
            trust_remote_code=trust_remote_code,
        )
    return _outline(model, _task(config))


def _outline(model: Any, task: Task) -> Outline:
    segments = task is Task.CAUSAL_LM and may_take_segments(model)
    return Outline(model, layer_linears(model), frozenset({task}), segments=segments)


def _kind(config: Any) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    causal = _task(config) is Task.CAUSAL_LM
    return AutoModelForCausalLM if causal else AutoModelForSequenceClassification


def _task(config: Any) -> Task:
    """Encoders, which are trained to fill gaps, are here to be classifiers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    encoder = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(
        config, "is_decoder", False
    )
    return Task.CLASSIFICATION if encoder else Task.CAUSAL_LM
