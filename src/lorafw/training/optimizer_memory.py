"""What an optimizer remembers of its parameters, as named tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lorafw.errors import CheckpointError

VALUE = "value"
"""The key of the parameter itself in a `TrainingState`."""
_GROUP = "group."
_NUMBERS = {"bool": bool, "int": int, "float": float}
_SET_EACH_STEP = {"lr", "lr_scale"}


class OptimizerMemory:
    """The memory of an optimizer that holds every parameter whole.

    Most classes keep all of it per parameter and start with none; some make it at once (Adagrad),
    and some keep numbers in their groups (Prodigy), which go with each parameter of the group.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._group_of = {p: group for group in optimizer.param_groups for p in group["params"]}
        self._settings = [_numbers(group) for group in optimizer.param_groups]
        self._start = {p: as_tensors(optimizer.state[p]) for p in [*optimizer.state]}

    def of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """Copies on the CPU.

        Raises:
            CheckpointError: there is something other than tensors and numbers.
        """
        group = self._group_of[parameter]
        known = self._settings[self._index(group)]
        moved = {key: v for key, v in _numbers(group).items() if v != known.get(key)}
        return as_tensors(
            {**self._optimizer.state[parameter], **{_GROUP + key: v for key, v in moved.items()}}
        )

    def restore(self, parameter: nn.Parameter, tensors: Mapping[str, Tensor]) -> None:
        """Remember just this of a parameter; without any, what a new optimizer would."""
        held = from_tensors(tensors or self._start.get(parameter, {}))
        group = self._group_of[parameter]
        group.update(self._settings[self._index(group)])
        for key in [key for key in held if key.startswith(_GROUP)]:
            group[key.removeprefix(_GROUP)] = held.pop(key)
        self._optimizer.state[parameter] = {
            key: self._beside(parameter, key, value) for key, value in held.items()
        }

    def _index(self, group: dict[str, Any]) -> int:
        return next(i for i, one in enumerate(self._optimizer.param_groups) if one is group)

    def _beside(self, parameter: nn.Parameter, key: str, value: Any) -> Any:
        """A copy where torch wants it: with the parameter, but most step counters on the CPU."""
        if not isinstance(value, Tensor):
            return value
        group = self._group_of[parameter]
        if key == "step" and not (group.get("fused") or group.get("capturable")):
            return value.clone()
        if value.shape == parameter.shape and hasattr(self._optimizer, "get_state_buffer"):
            # bitsandbytes' own, which may be in pages
            return self._optimizer.get_state_buffer(parameter, dtype=value.dtype).copy_(value)
        return value.to(parameter.device, copy=True)


def _numbers(group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in group.items()
        if type(value).__name__ in _NUMBERS and key not in _SET_EACH_STEP
    }


def as_tensors(held: Mapping[str, Any]) -> dict[str, Tensor]:
    """Copies on the CPU; a plain number goes by its kind and its name, as `int:step`.

    Raises:
        CheckpointError: there is something other than tensors and numbers.
    """
    return dict(_as_tensor(key, value) for key, value in held.items() if value is not None)


def _as_tensor(key: str, value: Any) -> tuple[str, Tensor]:
    if isinstance(value, Tensor):
        return key, value.detach().cpu().clone()
    kind = type(value).__name__
    if kind not in _NUMBERS:
        raise CheckpointError(
            f"the optimizer keeps a {kind} as '{key}', and checkpoints hold tensors and numbers.",
            where="plan.optimizer",
            mend="Choose another optimizer.",
        )
    return f"{kind}:{key}", torch.tensor(value, dtype=torch.float64 if kind == "float" else None)


def from_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `as_tensors` was given; tensors are not copied."""
    return dict(_from_tensor(key, tensor) for key, tensor in tensors.items())


def _from_tensor(key: str, tensor: Tensor) -> tuple[str, Any]:
    kind, colon, name = key.partition(":")
    return (name, _NUMBERS[kind](tensor.item())) if colon else (key, tensor)
