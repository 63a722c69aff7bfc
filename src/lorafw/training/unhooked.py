"""Calls that pass hooks by, for modules that ranks call a different number of times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_FORWARD = ("_forward_pre_hooks", "_forward_hooks")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


@contextmanager
def without_hooks_of(module: nn.Module, package: str) -> Iterator[None]:
    """While open, no forward hook of a package's runs, on a module or on what is inside it.

    Sharded training gathers parameters in such hooks, together with all other ranks. While every
    parameter is whole anyway, one rank can then run the model alone.
    """
    parts = [vars(part) for part in module.modules()]
    before = [{name: part[name] for name in _FORWARD} for part in parts]
    for part in parts:
        for name in _FORWARD:
            own = ((key, hook) for key, hook in part[name].items() if not _is_of(hook, package))
            part[name] = OrderedDict(own)
    try:
        yield
    finally:
        for part, hooks in zip(parts, before, strict=True):
            part.update(hooks)


def _is_of(hook: object, package: str) -> bool:
    home = str(getattr(hook, "__module__", ""))
    return f"{home}.".startswith(f"{package}.")


@contextmanager
def unhooked(module: nn.Module | None) -> Iterator[None]:
    """While open, no hook on a module, or on what is inside it, runs.

    Hooks of sharded training gather a module's parameters from all ranks whenever it is called. A
    head that is called once for each chunk of labelled rows is called more often on one rank than
    on another, and the ranks would wait for each other for ever. Unhooked, its parameters are
    gathered when they are first read, by the module that is then being run, and once for all
    chunks.
    """
    parts = [] if module is None else [vars(part) for part in module.modules()]
    before = [{name: part[name] for name in _HOOKS} for part in parts]
    for part in parts:
        part.update({name: OrderedDict() for name in _HOOKS})
    try:
        yield
    finally:
        for part, hooks in zip(parts, before, strict=True):
            part.update(hooks)
