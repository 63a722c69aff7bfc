"""An original checkpoint as transformers' `GlmForCausalLM`, filled tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import GlmConfig, GlmForCausalLM

from lorafw.errors import ModelError
from lorafw.models.loading import quiet
from lorafw.models.quantization import keep_differentiable
from lorafw_glm._tensors import stored_tensors
from lorafw_glm.chatglm_config import prequantised
from lorafw_glm.key_map import Rows, glm_modules, is_recomputed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_SCALES = ("weight_scale", "scales")
_OTHER_CONFIG = "Is this the config.json of these weights?"


def converted_glm(
    fields: Mapping[str, Any],
    files: Sequence[Path],
    dtype: torch.dtype | None,
    device: torch.device,
) -> Any:
    """The model, its weights copied from the files one tensor after the other.

    So memory holds the model and one tensor. Every tensor of the files is used or is known to be
    recomputed, every parameter is filled, and shapes are those that the config asks for.

    Args:
        fields: fields of `GlmConfig`, as `glm_fields` gives them.
        files: safetensors or `.bin` files under the original names.
        dtype: of the weights; None for that of the first tensor in the files.
        device: where the weights go.

    Raises:
        ModelError: a file cannot be read, or tensors are missing, unknown or of other shapes.
    """
    model = _empty(fields)
    for place, part in _glm_tensors(model, fields, files):
        dtype = dtype or part.dtype
        owner, _, attribute = place.rpartition(".")
        filled = part.to(device, dtype, copy=True).contiguous()
        parameter = nn.Parameter(filled, requires_grad=False)
        setattr(model.get_submodule(owner), attribute, parameter)
        del part
    # Its frequencies were made without memory, and are in no file.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config).to(device)
    model.config.dtype = dtype
    return model


def quantised_glm(
    fields: Mapping[str, Any],
    files: Sequence[Path],
    dtype: torch.dtype | None,
    *,
    config: Any,
    device: torch.device,
) -> Any:
    """The model, quantised by transformers while it loads.

    Args:
        fields: as in `converted_glm`.
        files: as in `converted_glm`; they stay mapped until the model is loaded.
        dtype: of the weights that are not quantised; None for that of the first tensor.
        config: from `lorafw.models.quantization.bitsandbytes_config`.
        device: where the weights go.

    Raises:
        ModelError: as in `converted_glm`.
    """
    empty = _empty(fields)
    state = dict(_glm_tensors(empty, fields, files))
    dtype = dtype or next(iter(state.values())).dtype
    with quiet():
        model = GlmForCausalLM.from_pretrained(
            None,
            config=empty.config,
            state_dict=state,
            dtype=dtype,
            quantization_config=config,
            device_map={"": device},
        )
    keep_differentiable(model)
    return model


def _empty(fields: Mapping[str, Any]) -> Any:
    """The model without memory for its parameters."""
    names = ("torch_dtype", "dtype", "architectures")
    config = GlmConfig(**{key: value for key, value in fields.items() if key not in names})
    with quiet(), torch.device("meta"):
        return GlmForCausalLM(config)


def _glm_tensors(
    empty: Any, fields: Mapping[str, Any], files: Sequence[Path]
) -> Iterator[tuple[str, Tensor]]:
    """Every parameter of the model by its name, with a view of what the files hold for it."""
    rows, where = Rows.of(fields), str(files[0].parent)
    wanting = {name: parameter.shape for name, parameter in empty.named_parameters()}
    for name, tensor in stored_tensors(files):
        yield from _wanted(_places(name, tensor, rows, where), wanting, name, where)
        del tensor  # or it would live on while the next one is read
    if wanting:
        fault = f"the weights lack {len(wanting)} tensors that config.json asks for, first"
        raise ModelError(f"{fault} {min(wanting)}.", where=where, mend=_OTHER_CONFIG)


def _wanted(
    places: Iterable[tuple[str, Tensor]], wanting: dict[str, torch.Size], name: str, where: str
) -> Iterator[tuple[str, Tensor]]:
    """Places that the model has, each struck off `wanting`."""
    for place, part in places:
        shape = wanting.pop(place, None)
        if shape is None:
            fault = f"{name} is there, and config.json asks for no such tensor."
            raise ModelError(fault, where=where, mend=_OTHER_CONFIG)
        if shape != part.shape:
            raise _other_shape(name, part.shape, shape, where)
        yield place, part


def _places(name: str, tensor: Tensor, rows: Rows, where: str) -> Iterator[tuple[str, Tensor]]:
    """The parameters that one stored tensor fills, each with its rows."""
    if is_recomputed(name):
        return
    if name.endswith(_SCALES) or not tensor.is_floating_point():
        raise prequantised(f"{name} is {str(tensor.dtype).removeprefix('torch.')}", where)
    module, _, kind = name.rpartition(".")
    modules = glm_modules(module)
    if not modules:
        fault = f"{name} is no tensor of ChatGLM2, ChatGLM3 or GLM-4."
        raise ModelError(fault, where=where, mend=_OTHER_CONFIG)
    if len(modules) == 1:
        yield f"{modules[0]}.{kind}", tensor
        return
    if len(tensor) != sum(rows.sizes):
        raise _other_shape(name, tensor.shape, (sum(rows.sizes), *tensor.shape[1:]), where)
    for target, part in zip(modules, torch.split(tensor, rows.sizes), strict=True):
        yield f"{target}.{kind}", part


def _other_shape(name: str, have: Sequence[int], want: Sequence[int], where: str) -> ModelError:
    fault = f"{name} has shape {list(have)}, config.json asks for {list(want)}."
    return ModelError(fault, where=where, mend=_OTHER_CONFIG)
