"""How PEFT's files name the factors of experts that are one tensor (`target_parameters`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lorafw.adapters.layout.peft_names import PREFIX
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

V = TypeVar("V")

_ORDER = ("gate_up_proj", "gate_proj", "up_proj", "down_proj")
"""How families order the parameters of their experts. PEFT wraps the module once for each in this
order, one wrapper around the other, and its files tell wrappers apart by their depth alone."""

_INSIDE = ".base_layer"
_FACTORS = (".lora_A.weight", ".lora_B.weight")


def stored_as_wrappers(tensors: Mapping[str, V], parameters: Iterable[str]) -> dict[str, V]:
    """Tensors by canonical name, under the names PEFT's files have for them, less the prefix.

    Args:
        tensors: of an adapter.
        parameters: full names of the adapted parameters.

    Raises:
        AdapterError: a module has several parameters whose order is not known.
    """
    places = _places(parameters)
    return {_moved(name, places): tensor for name, tensor in tensors.items()}


def read_from_wrappers(
    stored: Mapping[str, V], wanted: Sequence[str], path: Path
) -> tuple[dict[str, V], tuple[str, ...]]:
    """Tensors by PEFT's names, with those of wrappers under the names of their parameters.

    Args:
        stored: what is in the file.
        wanted: what `target_parameters` lists: full names, or ends of names.
        path: the file, for errors.

    Returns:
        The tensors, and the full names of the adapted parameters.

    Raises:
        AdapterError: the file has more or fewer wrappers around a module than parameters are named.
    """
    depths: dict[str, set[int]] = {}
    for name in stored:
        module, depth = _wrapped(name)
        if module and _named_in(module, wanted):
            depths.setdefault(module, set()).add(depth)
    found = [name for module in depths for name in _named_in(module, wanted)]
    for module, seen in depths.items():
        if seen != set(range(len(_named_in(module, wanted)))):
            fault = f"has {len(seen)} wrappers around {module}, not one for each of its parameters"
            mend = "Fetch or export the adapter again."
            raise AdapterError(f"{fault} in target_parameters.", where=str(path), mend=mend)
    back = {PREFIX + place: PREFIX + name for name, place in _places(found).items()}
    return {_moved(name, back): tensor for name, tensor in stored.items()}, tuple(found)


def _places(parameters: Iterable[str]) -> dict[str, str]:
    """Where the wrapper of each parameter is: its module, and how deep."""
    by_module: dict[str, list[str]] = {}
    for name in parameters:
        module, _, key = name.rpartition(".")
        by_module.setdefault(module, []).append(key)
    places = {}
    for module, keys in by_module.items():
        if len(keys) > 1 and (odd := sorted(set(keys) - set(_ORDER))):
            fault = f"{module}.{odd[0]} is adapted beside others, in an order that is not known."
            raise AdapterError(fault)
        inner_first = sorted(keys, key=_ORDER.index) if len(keys) > 1 else keys
        for depth, key in enumerate(reversed(inner_first)):
            places[f"{module}.{key}"] = module + depth * _INSIDE
    return places


def _moved(name: str, places: Mapping[str, str]) -> str:
    for suffix in _FACTORS:
        if name.endswith(suffix):
            owner = name.removesuffix(suffix)
            return places.get(owner, owner) + suffix
    return name


def _wrapped(name: str) -> tuple[str, int]:
    """The module that a factor in a file may be a wrapper of, and how deep; else nothing."""
    suffix = next((each for each in _FACTORS if name.endswith(each)), None)
    if suffix is None:
        return "", 0
    owner = name.removeprefix(PREFIX).removesuffix(suffix)
    module = owner
    while module.endswith(_INSIDE):
        module = module.removesuffix(_INSIDE)
    return module, (len(owner) - len(module)) // len(_INSIDE)


def _named_in(module: str, wanted: Sequence[str]) -> list[str]:
    """The parameters of a module that are named; one without a module is meant of all experts."""
    found: dict[str, None] = {}
    for entry in wanted:
        owner, _, key = entry.rpartition(".")
        ends = owner or "experts"
        if module == ends or module.endswith(f".{ends}"):
            found[f"{module}.{key}"] = None
    return list(found)
