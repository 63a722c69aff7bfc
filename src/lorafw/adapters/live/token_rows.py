"""Rows of a vocabulary that are trained themselves, such as those of added tokens."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw.adapters.live._row_layers import RowsEmbedding, RowsHead
from lorafw.errors import AdapterError
from lorafw.types import token_rows_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lorafw.types import AdapterSpec


class TokenRows:
    """Puts trained fp32 rows in the places of frozen ones, in embeddings and heads.

    A head that shares the embedding's weight shares its trained rows; an untied head has its own
    if the spec names it.

    Args:
        module: the base model, frozen, its adapter already in it; changed in place.
        spec: `token_rows` says which rows of which modules.

    Attributes:
        parameters: the trained rows, [rows, width], under canonical names.

    Raises:
        AdapterError: a module is no embedding or head, has no such row, or is adapted or trained
            whole as well.
    """

    def __init__(self, module: nn.Module, spec: AdapterSpec) -> None:
        self.parameters: dict[str, nn.Parameter] = {}
        self._layers: list[RowsEmbedding | RowsHead] = []
        self._merged: dict[str, Callable[[], Tensor]] = {}
        for name, ids in spec.token_rows.items():
            self._install(module, name, ids, spec)
        self._start = {name: p.detach().clone() for name, p in self.parameters.items()}

    def base_values(self) -> dict[str, Tensor]:
        """What the rows were, by canonical name, in fp32."""
        return dict(self._start)

    def merged(self) -> Mapping[str, Callable[[], Tensor]]:
        """For every weight with trained rows, what puts them in, rounded once to its dtype."""
        return self._merged

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every row is the base's."""
        layers = [layer for layer in self._layers if layer.enabled]
        for layer in layers:
            layer.enabled = False
        try:
            yield
        finally:
            for layer in layers:
                layer.enabled = True

    def _install(
        self, module: nn.Module, name: str, ids: tuple[int, ...], spec: AdapterSpec
    ) -> None:
        _refuse_other_training(name, spec)
        weight = _weight_of(module, name, ids)
        rows = nn.Parameter(weight.detach()[list(ids)].float())
        for place in _sharing(module, weight):
            _refuse_other_training(place, spec)
            layer = _with_rows(module.get_submodule(place), place, ids, rows)
            module.set_submodule(place, layer)
            self._layers.append(layer)
            self._merged[f"{place}.weight"] = partial(_merged_weight, layer, ids)
        self.parameters[token_rows_name(name)] = rows


def _refuse_other_training(name: str, spec: AdapterSpec) -> None:
    """A row has one home: where the whole module is trained or adapted, it is trained there."""
    for others, option in (
        (spec.targets, "injector.target_modules"),
        (spec.trained, "injector.modules_to_save"),
    ):
        if any(name == other or name.startswith(f"{other}.") for other in others):
            fault = f"{name} has trained rows, so it cannot be trained in another way as well."
            raise AdapterError(fault, where=option, mend="Leave it out there.")


def _weight_of(module: nn.Module, name: str, ids: tuple[int, ...]) -> Tensor:
    try:
        part: Any = module.get_submodule(name)
        weight: Tensor = part.weight
    except AttributeError:
        raise AdapterError(f"the model has no embedding or head {name}.") from None
    if not ids or min(ids) < 0 or max(ids) >= len(weight) or len(set(ids)) < len(ids):
        fault = f"{name} has {len(weight)} rows, of which rows {list(ids)[:8]} cannot be trained."
        raise AdapterError(fault, mend="Is it the base the adapter was made for?")
    return weight


def _sharing(module: nn.Module, weight: Tensor) -> list[str]:
    """The modules that own a parameter: an embedding and, where weights are tied, the head."""
    named = module.named_parameters(remove_duplicate=False)
    owners = [name.rpartition(".") for name, parameter in named if parameter is weight]
    return [owner for owner, _, attribute in owners if attribute == "weight"]


def _with_rows(
    part: nn.Module, name: str, ids: tuple[int, ...], rows: nn.Parameter
) -> RowsEmbedding | RowsHead:
    if type(part) is nn.Linear:
        return RowsHead(part, ids, rows)
    if not isinstance(part, nn.Embedding) or isinstance(part, RowsEmbedding):
        fault = f"{name} is a {type(part).__name__}: single rows of it cannot be trained."
        raise AdapterError(fault)
    layer = RowsEmbedding(part, ids, rows)
    _check_same(part, layer, ids)
    return layer


@torch.no_grad()
def _check_same(part: nn.Embedding, layer: RowsEmbedding, ids: tuple[int, ...]) -> None:
    """Try a trained row and some others: a family's embedding may do more than look rows up."""
    tried = torch.tensor([*range(min(4, part.num_embeddings)), ids[0]], device=part.weight.device)
    if not torch.equal(part(tried), layer(tried)):
        raise AdapterError(f"a {type(part).__name__} is more than a table: its rows stay frozen.")


@torch.no_grad()
def _merged_weight(layer: RowsEmbedding | RowsHead, ids: tuple[int, ...]) -> Tensor:
    weight = layer.weight.detach().clone()
    weight[list(ids)] = layer.trained_rows.detach().to(weight.dtype)
    return weight
