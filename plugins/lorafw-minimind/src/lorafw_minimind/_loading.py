"""A network from a checkpoint's tensors, each of which must fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lorafw.errors import ModelError
from lorafw_minimind._config import transformers_config
from lorafw_minimind._network import MiniMindForCausalLM
from lorafw_minimind._permutation import to_halves
from lorafw_minimind._tensors import read_tensors
from lorafw_minimind.architecture import Architecture, Declared, read_architecture
from lorafw_minimind.generations import Generation, canonical_name, detect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        form: what it is made of.
        tensors: under canonical names, rows as the checkpoint has them, mapped from its files; a
            head that was left out is the embedding.
    """

    form: Architecture
    tensors: Mapping[str, Tensor]

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding: the same tensor or an equal one."""
        return torch.equal(self.tensors[_HEAD], self.tensors[_EMBEDDING])


def read_checkpoint(
    weights: Sequence[Path], declared: Declared, generation: Generation | None
) -> Checkpoint:
    """Read the tensors and find out what they make.

    Raises:
        ModelError: a file is damaged, or does not hold what is declared.
    """
    native = read_tensors(weights)
    found = detect(native, where=declared.where)
    if generation not in {None, found}:
        fault = f"its tensors have the names of generation {found}, not {generation}."
        if {generation, found} != {Generation.MINIMIND2, Generation.MINIMIND3}:
            declared.fail(fault, "Leave model.generation out.")
        declared.fail(fault, "They differ in the norms of queries and keys.")
    tensors = {canonical_name(name, found): tensor for name, tensor in native.items()}
    tensors.setdefault(_HEAD, tensors[_EMBEDDING])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return Checkpoint(read_architecture(found, shapes, declared), tensors)


def empty_network(
    checkpoint: Checkpoint, *, eos: int | None = None, where: str
) -> MiniMindForCausalLM:
    """The network on the meta device, into which the checkpoint's tensors fit.

    Raises:
        ModelError: a tensor is missing, too many or of another shape than the rest asks for.
    """
    config = transformers_config(checkpoint.form, tied=checkpoint.tied, eos=eos)
    with torch.device("meta"):
        model = MiniMindForCausalLM(config)
    _compare(checkpoint.tensors, model.state_dict(), where)
    return model


def build_network(
    checkpoint: Checkpoint, dtype: torch.dtype | None, *, eos: int | None, where: str
) -> MiniMindForCausalLM:
    """The network with the checkpoint's weights, copied.

    Args:
        checkpoint: what `read_checkpoint` gave.
        dtype: of the weights; None for the files', or fp32 where that is fp16.
        eos: the id that ends an answer.
        where: the checkpoint, for errors.

    Raises:
        ModelError: see `empty_network`.
    """
    model, tensors = empty_network(checkpoint, eos=eos, where=where), checkpoint.tensors
    dtype = dtype or _kept(tensors[_EMBEDDING].dtype)
    ours = {name: _ours(name, t, checkpoint.form, dtype) for name, t in tensors.items()}
    model.load_state_dict(ours, assign=True)
    model.tie_weights()
    return model


def shaped_network(
    checkpoint: Checkpoint, dtype: torch.dtype | None, *, eos: int | None, where: str
) -> MiniMindForCausalLM:
    """The network that `build_network` would give, on the meta device.

    Raises:
        ModelError: see `empty_network`.
    """
    model = empty_network(checkpoint, eos=eos, where=where)
    model.tie_weights()
    model.to(dtype or _kept(checkpoint.tensors[_EMBEDDING].dtype)).eval()
    return model


def _ours(name: str, tensor: Tensor, form: Architecture, dtype: torch.dtype) -> Tensor:
    rows = to_halves(name.removesuffix(".weight"), tensor, form)
    return rows.to(dtype, copy=True)


def _kept(stored: torch.dtype) -> torch.dtype:
    """Upstream stores fp16, whose gradients would vanish without a loss scaler."""
    return torch.float32 if stored == torch.float16 else stored


def _compare(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    if missing := sorted(wanted.keys() - found.keys()):
        fault = f"{len(missing)} tensors are missing, first {missing[0]}."
        raise ModelError(fault, where=where, mend="Is the file whole?")
    if odd := sorted(found.keys() - wanted.keys()):
        fault = f"{len(odd)} tensors have no place in a MiniMind model, first {odd[0]}."
        raise ModelError(fault, where=where, mend="Was it changed, or made by other code?")
    for name, tensor in wanted.items():
        if not found[name].is_floating_point():
            fault = f"{name} holds numbers of type {found[name].dtype}."
            raise ModelError(fault, where=where, mend="Give the weights as they were trained.")
        if found[name].shape != tensor.shape:
            fault = f"{name} has shape {list(found[name].shape)}, where the first layer and the"
            fault += f" number of heads ask for {list(tensor.shape)}."
            mend = "Are model.n_heads, model.n_kv_heads and the file right?"
            raise ModelError(fault, where=where, mend=mend)
