"""Adapters under the names of transformers' Glm and of the original checkpoints, and back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, canonical_pair
from lorafw_glm.key_map import Rows, glm_modules, original_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

V = TypeVar("V", int, float)


@dataclass(frozen=True, slots=True)
class Update:
    """What LoRA adds to one linear: scaling · B · A.

    Attributes:
        down: A, [rank, in].
        up: B, [out, rank].
        scaling: the factor.
    """

    down: Tensor
    up: Tensor
    scaling: float


def to_glm(state: AdapterState, rows: Rows) -> AdapterState:
    """An adapter of the original as one of its conversion; both compute the same.

    The fused linear's update falls apart by rows: B is split, A is in all three.

    Args:
        state: of modules such as `transformer.encoder.layers.0.self_attention.query_key_value`.
        rows: of the fused linear.

    Raises:
        AdapterError: a module is none of ChatGLM's, or its update has another height.
    """
    updates: dict[str, Update] = {}
    for module in state.spec.targets:
        modules = glm_modules(module)
        if not modules:
            raise AdapterError(f"{module} is no module of ChatGLM2, ChatGLM3 or GLM-4.")
        update = _update(state, module)
        updates |= zip(modules, _split(update, rows, module, len(modules)), strict=True)
    return _state(updates, state.spec)


def to_original(state: AdapterState, rows: Rows) -> AdapterState:
    """An adapter of the conversion as one of the original; both compute the same.

    Three updates with one A become one of that rank, which undoes `to_glm`. Otherwise the fused A
    is theirs one below the other, and B has theirs as blocks on its diagonal: exact, and of the
    ranks' sum.

    Raises:
        AdapterError: a module has no counterpart in the original, or is trained whole.
    """
    if state.spec.trained:
        fault = f"{state.spec.trained[0]} is trained whole, which has no name in the original."
        raise AdapterError(fault, mend="Use exporter adapter.")
    if rows_trained := list(state.spec.token_rows):
        fault = f"rows of {rows_trained[0]} are trained, which have no name in the original."
        raise AdapterError(fault, mend="Use exporter adapter.")
    if state.spec.biases:
        fault = f"the bias of {state.spec.biases[0]} is trained, which no reader looks for."
        raise AdapterError(fault, mend="Use exporter adapter.")
    fused: dict[str, dict[str, Update]] = {}
    for module in state.spec.targets:
        original = original_module(module)
        if original is None:
            raise AdapterError(f"{module} has no counterpart in the original ChatGLM.")
        fused.setdefault(original, {})[module] = _update(state, module)
    updates = {
        original: _joined([parts.get(name) for name in glm_modules(original)], rows)
        for original, parts in fused.items()
    }
    return _state(updates, state.spec)


def _update(state: AdapterState, module: str) -> Update:
    down, up = (state.tensors[name] for name in canonical_pair(module))
    return Update(down, up, state.spec.scaling_of(module))


def _split(update: Update, rows: Rows, module: str, count: int) -> list[Update]:
    import torch

    if count == 1:
        return [update]
    if len(update.up) != sum(rows.sizes):
        fault = f"{module} has an update of {len(update.up)} rows, the model {sum(rows.sizes)}."
        raise AdapterError(fault, mend="Is this an adapter of another model?")
    parts = torch.split(update.up, rows.sizes)
    return [Update(update.down.clone(), part.clone(), update.scaling) for part in parts]


def _joined(parts: Sequence[Update | None], rows: Rows) -> Update:
    """The one update that stands for some or all parts of a linear."""
    import torch

    present = [part for part in parts if part is not None]
    first = present[0]
    if len(parts) == 1:
        return first
    if len(present) == len(parts) and all(_same_input(part, first) for part in present):
        return replace(first, up=torch.cat([part.up for part in present]))
    down = torch.cat([part.down for part in present])
    up, column = down.new_zeros(sum(rows.sizes), len(down)), 0
    for part, block in zip(parts, torch.split(up, rows.sizes), strict=True):
        if part is not None:
            block[:, column : column + len(part.down)] = part.up * (part.scaling / first.scaling)
            column += len(part.down)
    return Update(down, up, first.scaling)


def _same_input(part: Update, other: Update) -> bool:
    return part.scaling == other.scaling and part.down.equal(other.down)


def _state(updates: Mapping[str, Update], like: AdapterSpec) -> AdapterState:
    """An adapter of these updates, its ranks and alphas written so that scalings stay."""
    ranks = {module: len(update.down) for module, update in updates.items()}
    alphas = {
        module: update.scaling * (ranks[module] ** 0.5 if like.use_rslora else ranks[module])
        for module, update in updates.items()
    }
    rank, alpha = _usual(ranks.values()), _usual(alphas.values())
    spec = replace(
        like,
        rank=rank,
        alpha=alpha,
        targets=tuple(updates),
        rank_pattern={module: value for module, value in ranks.items() if value != rank},
        alpha_pattern={module: value for module, value in alphas.items() if value != alpha},
    )
    return AdapterState(spec, dict(_named(updates)))


def _usual(values: Iterable[V]) -> V:
    return Counter(values).most_common(1)[0][0]


def _named(updates: Mapping[str, Update]) -> Iterator[tuple[str, Tensor]]:
    for module, update in updates.items():
        yield from zip(canonical_pair(module), (update.down, update.up), strict=True)
