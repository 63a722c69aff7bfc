"""What FSDP2 makes of a module's parameters, and what they were: all dealings with its parts.

`fully_shard` puts other objects in the place of a module's parameters: a piece on every rank, and,
while a layer runs, the whole. The objects that were there before stay the ones that optimizer and
adapter know. They hold this rank's piece, in the very memory of FSDP2's own, and while everything
is whole they are back in the module and hold all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY
from torch.distributed._composable_state import _module_state_mapping
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from lorafw.contracts._sizes import note_numel


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One parameter.

    Attributes:
        original: the object it was.
        sharded: this rank's piece of it, as FSDP2 holds it.
        places: the modules, and names in them, where it stands; several if it is tied.
    """

    original: nn.Parameter
    sharded: DTensor
    places: list[tuple[nn.Module, str]]

    def stand(self, parameter: nn.Parameter) -> None:
        for owner, name in self.places:
            setattr(owner, name, parameter)

    @torch.no_grad()
    def hold_piece(self) -> None:
        self.original.data = self.sharded.to_local()


class Shards:
    """The parameters of a module that is taken apart, until `close`.

    Args:
        module: what is taken apart.
        take_apart: applies `fully_shard` to it.
    """

    def __init__(self, module: nn.Module, take_apart: Callable[[nn.Module], object]) -> None:
        places = _places(module)
        take_apart(module)
        self._module = module
        self._parts = {
            original: _Part(original, sharded, where)
            for original, where in places.items()
            if isinstance(sharded := _at(where[0]), DTensor)
        }
        for part in self._parts.values():
            note_numel(part.original, part.sharded.numel())
            part.hold_piece()

    @property
    def _units(self) -> list[FSDPModule]:
        return [unit for unit in self._module.modules() if isinstance(unit, FSDPModule)]

    def gradient(self, original: nn.Parameter) -> Tensor | None:
        """This rank's piece of the reduced gradient."""
        gradient = self._parts[original].sharded.grad
        return None if gradient is None else cast("DTensor", gradient).to_local()

    def hand_over_gradients(self, originals: list[nn.Parameter]) -> None:
        """Let the optimizer see the pieces of the reduced gradients."""
        for original in originals:
            part = self._parts[original]
            part.hold_piece()  # FSDP2 may have moved it in the first forward pass
            original.grad = self.gradient(original)
            part.sharded.grad = None

    def drop_gradients(self) -> None:
        """Forget all gradients, those of the pass that may just have failed as well; collective."""
        root = cast("FSDPModule", self._module)
        root.reset_iter_state()
        for unit in self._units:  # what is accumulated belongs to the whole parameters
            unit.unshard()
            for parameter in cast("nn.Module", unit).parameters():
                parameter.grad = None
            unit.reshard()
        for part in self._parts.values():
            part.original.grad = part.sharded.grad = None

    def whole(self, original: nn.Parameter, piece: Tensor, device: torch.device) -> Tensor:
        """What the pieces of all ranks make together; collective."""
        like = self._parts[original].sharded
        shared = DTensor.from_local(
            piece.to(device),
            like.device_mesh,
            like.placements,
            run_check=False,
            shape=like.shape,
            stride=like.stride(),
        )
        return shared.full_tensor()

    def piece(self, original: nn.Parameter, whole: Tensor) -> Tensor:
        """This rank's part of a tensor in a parameter's shape; others come back as they are."""
        sharded = self._parts[original].sharded
        if whole.shape != sharded.shape:
            return whole
        mesh = sharded.device_mesh
        rows = -(-len(whole) // mesh.size())
        return whole[rows * mesh.get_local_rank() :][:rows]

    def settle(self) -> None:
        """Drop what a forward pass without a backward pass leaves whole."""
        for unit in self._units:
            unit.reshard()

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """While open, the original objects stand in the module, whole; collective."""
        self._gather()
        for part in self._parts.values():
            part.stand(part.original)
        try:
            yield
        finally:
            for part in self._parts.values():
                part.stand(cast("nn.Parameter", part.sharded))
                part.hold_piece()

    @torch.no_grad()
    def _gather(self) -> None:
        """Copies, unit by unit: FSDP2 takes its own memory back whatever others do with it."""
        for unit in self._units:
            unit.unshard()
            for part in self._parts.values():
                whole = _at(part.places[0])
                if whole is not part.sharded:
                    part.original.data = whole.to(part.sharded.device, copy=True)
            unit.reshard()

    def close(self) -> None:
        """Remove FSDP2; the original objects stand in the module, whole if they were gathered."""
        for unit in self._units:
            _unwrap(unit)
        for part in self._parts.values():
            part.stand(part.original)
            _let_go(part.sharded.device_mesh)
        self._parts = {}


def _places(module: nn.Module) -> dict[nn.Parameter, list[tuple[nn.Module, str]]]:
    found: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            found.setdefault(parameter, []).append((owner, name))
    return found


def _at(place: tuple[nn.Module, str]) -> Any:
    return getattr(*place)


def _let_go(mesh: Any) -> None:
    """Let a mesh give up the process group; DTensor's caches keep meshes until Python ends."""
    for each in (mesh, mesh._get_root_mesh()):  # noqa: SLF001
        each._pg_registry.clear()  # noqa: SLF001


def _unwrap(unit: Any) -> None:
    """Undo `fully_shard` of one module; torch has no call for it."""
    state = unit._get_fsdp_state()  # noqa: SLF001
    handles = [state._pre_forward_hook_handle, state._post_forward_hook_handle]  # noqa: SLF001
    for group in state._fsdp_param_groups:  # noqa: SLF001
        handles += [p._post_load_hook_handle for p in group.fsdp_params]  # noqa: SLF001
        handles += group._module_to_pre_save_state_dict_hook_handle.values()  # noqa: SLF001
        handles += group._module_to_pre_load_state_dict_hook_handle.values()  # noqa: SLF001
    for handle in handles:
        handle.remove()
    unit.__class__ = type(unit).__mro__[unit._orig_cls_mro_index]  # noqa: SLF001
    _module_state_mapping.pop(unit, None)
    for key in (STATE_KEY, REGISTRY_KEY):
        vars(unit).pop(key, None)
