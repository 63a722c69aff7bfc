"""Running a model whose numbers have shapes, dtypes and devices, but no values and no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from lorafw.planning.live_bytes import LiveBytes

_RANGES = (torch.ops.aten.arange.default, torch.ops.aten.arange.start)
_PRODUCTS = {
    getattr(torch.ops.aten, name)
    for name in ("mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "linear")
}


class ShapesOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While open, operations on such numbers give such numbers, and all memory is counted.

    Whole numbers and truth values, as in token ids, masks and boundaries of segments, are real, so
    that code which looks at them goes the way it would go. Where they come from numbers without
    values, as a router's choices do, they are made up: choices are even, and what is asked is so.

    Args:
        device: where the numbers claim to be.

    Attributes:
        bytes: what is alive of all that was made while it was open.
        products: the matrix products it has seen, by operation and shapes.
    """

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = LiveBytes()
        self.products: set[tuple[object, ...]] = set()
        self._device = torch.device(device)
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operation, and note the tensors it gives."""
        if func is torch.ops.aten._local_scalar_dense.default and _has_no_value(args[0]):  # noqa: SLF001
            return 1.0
        made = self._run(func, args, dict(kwargs or {}))
        for tensor in (made,) if isinstance(made, Tensor) else tree_iter(made):
            if isinstance(tensor, Tensor):
                self.bytes.note(tensor)
        return made

    def _run(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        given = [value for value in tree_iter((args, named)) if isinstance(value, Tensor)]
        if func.overloadpacket in _PRODUCTS:
            self.products.add((func, *(tensor.shape for tensor in given)))
        if any(_has_no_value(tensor) for tensor in given):
            made = func(*args, **named)
            if isinstance(made, Tensor):
                return _choices_made_up(made)
            return tree_map_only(Tensor, _choices_made_up, made)
        if not given and _makes_numbers(func, named):
            with self._fake:
                return func(*args, **named)
        return func(*args, **named)

    def without_values(self, module: nn.Module) -> None:
        """Replace parameters and buffers of a module, which may be on the meta device, in place."""
        done: dict[nn.Parameter, nn.Parameter] = {}  # what is shared stays shared
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
                if parameter not in done:
                    shape = self._shape(parameter)
                    done[parameter] = nn.Parameter(shape, requires_grad=parameter.requires_grad)
                setattr(part, name, done[parameter])
            for name, buffer in part.named_buffers(recurse=False, remove_duplicate=False):
                setattr(part, name, self._shape(buffer))

    def _shape(self, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return torch.zeros(tensor.shape, dtype=tensor.dtype)
        with self._fake:
            return torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device=self._device
            )


@contextmanager
def modules_stay() -> Iterator[None]:
    """While open, `Module.to` and its like set a parameter's data.

    torch swaps whole parameters where they have no values, and refuses to where it has them noted.
    """
    usual = nn.Module._apply  # noqa: SLF001 - the one place all of them go through
    nn.Module._apply = _set_data  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        nn.Module._apply = usual  # type: ignore[method-assign]  # noqa: SLF001


def _set_data(module: Any, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
    for part in module.modules() if recurse else [module]:
        for parameter in part.parameters(recurse=False):
            parameter.data = fn(parameter.data)
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, fn(buffer))
    return module


def _has_no_value(value: object) -> bool:
    return isinstance(value, FakeTensor)


def _makes_numbers(func: Any, named: Mapping[str, Any]) -> bool:
    """Whether an operation that is given no tensors makes numbers other than whole ones."""
    dtype: torch.dtype | None = named.get("dtype")
    if dtype is None:
        return func not in _RANGES
    return dtype.is_floating_point


def _choices_made_up(made: Tensor) -> Tensor:
    if made.is_floating_point() or made.is_complex() or not _has_no_value(made):
        return made
    if made.dtype == torch.bool:
        return torch.ones(made.shape, dtype=torch.bool)
    return torch.arange(made.numel(), dtype=made.dtype).view(made.shape)
