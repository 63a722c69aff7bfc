"""What an adapter does to the outputs of a base's modules, apart from any injector."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorafw.errors import AdapterError
from lorafw.models.names import stores_transposed
from lorafw.types import token_rows_name

if TYPE_CHECKING:
    from lorafw.types import AdapterState

Effect: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From a module's input and the base's output, whose first axis are requests, to the output."""


def effects_of(state: AdapterState, model: nn.Module) -> Iterator[tuple[str, Effect]]:
    """The effects of a LoRA or DoRA adapter, by the full name of the module they follow.

    Args:
        state: the adapter.
        model: the base, without any adapter; its dtypes and devices are taken.

    Raises:
        AdapterError: it is of another method, or of another base.
    """
    spec = state.spec
    if spec.method != "LORA":
        mend = "Load it by itself, with lorafw.load."
        raise AdapterError(f"{spec.method} cannot share a base with other adapters.", mend=mend)
    if spec.parameters:
        fault = f"{spec.parameters[0]} holds all experts of a layer; its update cannot be mixed."
        raise AdapterError(fault, mend="Load the adapter by itself, with lorafw.load.")
    if spec.biases:
        fault = f"the bias of {spec.biases[0]} was trained, which cannot be mixed."
        raise AdapterError(fault, mend="Load the adapter by itself, with lorafw.load.")
    for name in spec.targets:
        yield name, _LowRank(state, name, _module(model, name))
    for name in spec.trained:
        yield name, _Replaced(state, name, _module(model, name))
    for name, rows in spec.token_rows.items():
        yield from _row_effects(name, rows, state, model)


def _module(model: nn.Module, name: str) -> Any:
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise AdapterError(f"the base has no module {name}.") from None


class _LowRank:
    """`out + s · (x A^T) B^T`, and for DoRA that scaled row by row (arXiv:2402.09353, eq. 5)."""

    def __init__(self, state: AdapterState, name: str, module: Any) -> None:
        down, up = (state.tensors[key] for key in state.spec.pair_of(name))
        self._embeds, weight = name in state.spec.embeddings, module.weight
        _check_fit(name, module, (up.shape[0], down.shape[1]), embeds=self._embeds)
        dtype = weight.dtype if weight.is_floating_point() else torch.float32
        self._down = (down.t().contiguous() if self._embeds else down).to(weight.device, dtype)
        self._up = (up * state.spec.scaling_of(name) * _times(module)).to(weight.device, dtype)
        self._lengths = _relative_lengths(state, name, module)
        self._bias = getattr(module, "bias", None)

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        update = F.linear(self._low(x, out.dtype), self._up.to(out.dtype))
        if self._lengths is None:
            return out + update
        frozen = out if self._bias is None else out - self._bias
        scaled = (frozen + update) * self._lengths.to(out.dtype)
        return scaled if self._bias is None else scaled + self._bias

    def _low(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        down = self._down.to(dtype)
        return F.embedding(x, down) if self._embeds else F.linear(x.to(dtype), down)


def _times(module: Any) -> float:
    """What a family's embedding multiplies its rows with, such as Gemma's; 1 for other modules."""
    return float(getattr(module, "embed_scale", 1.0))


def _check_fit(name: str, module: Any, wanted: tuple[int, int], *, embeds: bool) -> None:
    """A quantised weight is stored in another shape; the layer itself says its sizes."""
    if embeds:
        sizes = module.embedding_dim, module.num_embeddings
    elif stores_transposed(module):
        sizes = module.nf, module.nx
    else:
        sizes = module.out_features, module.in_features
    if sizes != wanted:
        raise AdapterError(f"{name} is {list(sizes)} in the base, {list(wanted)} in the adapter.")


@torch.no_grad()
def _relative_lengths(state: AdapterState, name: str, module: Any) -> Tensor | None:
    """DoRA's m / ‖W + s·B·A‖, one per output, fp32; None for LoRA."""
    if not state.spec.use_dora:
        return None
    if name in state.spec.embeddings or not module.weight.is_floating_point():
        raise AdapterError(f"DoRA on {name} cannot share a base with other adapters.")
    down, up = (state.tensors[key].float() for key in state.spec.pair_of(name))
    weight = module.weight.t() if stores_transposed(module) else module.weight
    whole = weight.float().cpu() + state.spec.scaling_of(name) * up @ down
    magnitude = state.tensors[state.spec.names_of(name)[-1]].float()
    lengths: Tensor = magnitude.flatten() / whole.norm(dim=1)
    return lengths.to(weight.device)


class _Replaced:
    """The output of a module that was trained whole."""

    def __init__(self, state: AdapterState, name: str, module: nn.Module) -> None:
        self._module = copy.deepcopy(module)
        values = {
            key.removeprefix(f"{name}."): tensor
            for key, tensor in state.tensors.items()
            if key.startswith(f"{name}.")
        }
        try:
            self._module.load_state_dict(values, strict=False)
        except RuntimeError:
            raise AdapterError(f"{name} has other shapes in the base.") from None

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:  # noqa: ARG002 - the base's is not used
        answer: Tensor = self._module(x)
        return answer


def _row_effects(
    name: str, rows: tuple[int, ...], state: AdapterState, model: nn.Module
) -> Iterator[tuple[str, Effect]]:
    """Trained rows of an embedding, and of the head that shares its weight; or of a head alone."""
    module, values = _module(model, name), state.tensors[token_rows_name(name)]
    if max(rows) >= len(module.weight):
        mend = "Build the base with the same model.add_tokens."
        raise AdapterError(f"{name} has no row {max(rows)} in the base.", mend=mend)
    values, places = values.to(module.weight), torch.tensor(rows, device=module.weight.device)
    if not isinstance(module, nn.Embedding):
        yield name, _Columns(places, values)
        return
    yield name, _Rows(places, values * _times(module))
    for other, part in model.named_modules():
        shares = part is not module and getattr(part, "weight", None) is module.weight
        if shares and other not in state.spec.token_rows:
            yield other, _Columns(places, values)


class _Rows:
    """Rows of an embedding that stand in for the base's."""

    def __init__(self, places: Tensor, values: Tensor) -> None:
        self._places, self._values = places, values

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        hits = x[..., None] == self._places
        return torch.where(hits.any(-1, keepdim=True), self._values[hits.int().argmax(-1)], out)


class _Columns:
    """Logits of tokens whose rows of the head were trained."""

    def __init__(self, places: Tensor, values: Tensor) -> None:
        self._places, self._values = places, values

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        return out.index_copy(-1, self._places, F.linear(x, self._values).to(out.dtype))
