"""Files for MiniMind's own code, opened again with lorafw's network of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from lorafw.contracts.model import ModelRequest
from lorafw.errors import ExportError
from lorafw.inference.reopening import reopened_bundle
from lorafw.types import Task
from lorafw_minimind.lora_pth import read_lora_pth
from lorafw_minimind.model import MiniMind

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.exporter import Reopened
    from lorafw.contracts.model import ModelBuilder, ModelBundle


def reopened(folder: Path, builder: ModelBuilder) -> Reopened:
    """The merged file if there is one, or else the base with the LoRA file.

    Raises:
        ExportError: the base is no MiniMind model, or there is no file.
        LorafwError: a file is damaged, or of another generation than the base.
    """
    if not isinstance(builder, MiniMind):
        raise ExportError("the base is no MiniMind model.", where=str(folder))
    for file in sorted(folder.glob("merged_*.pth")):
        return reopened_bundle(_built(_of_file(builder, file)), tokenizer=None)
    for file in sorted(folder.glob("lora_*.pth")):
        bundle = _built(builder)
        _put(bundle.module, file, builder)
        return reopened_bundle(bundle, tokenizer=None)
    raise ExportError("holds no file of MiniMind's.", where=str(folder), mend="Export it again.")


def _of_file(builder: MiniMind, file: Path) -> MiniMind:
    """The builder of a whole model beside which no config says what its tensors do not show."""
    form = builder.architecture()
    told: dict[str, Any] = {
        "path": str(file),
        "tokenizer_path": str(builder.tokenizer_folder()),
        "n_heads": form.num_attention_heads,
        "n_kv_heads": form.num_key_value_heads,
        "rope_theta": form.rope_theta,
        "norm_eps": form.rms_norm_eps,
        "inference_rope_scaling": form.inference_rope_scaling,
    }
    if form.num_experts:
        told["num_experts_per_tok"] = form.num_experts_per_tok
    return builder.model_copy(update=told)


def _built(builder: MiniMind) -> ModelBundle:
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    return builder.build(request, builder.tokenizer())


def _put(module: torch.nn.Module, file: Path, builder: MiniMind) -> None:
    """Let every linear that has a pair add B·A to what it computes, as upstream's code does."""
    state = read_lora_pth(file, builder.architecture())
    for name in state.spec.targets:
        down, up = (state.tensors[factor] for factor in state.spec.pair_of(name))
        module.get_submodule(name).register_forward_hook(partial(_added, down, up))


def _added(down: Tensor, up: Tensor, _: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    update = inputs[0].float() @ down.T @ up.T
    return output + update.to(output.dtype)
