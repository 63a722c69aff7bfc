"""How PEFT's configs choose modules, and values for modules, by patterns of their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

V = TypeVar("V", int, float)

_ANY_LAYER = re.compile(r".*?\.[^.]*\.(?P<layer>\d+)\.")


def resolve_pattern(pattern: Mapping[str, V], modules: Iterable[str]) -> dict[str, V]:
    """A pattern's values by module, as PEFT resolves them.

    A key is a regular expression that must match the end of a module's name from a dot on; the
    first key that does decides.
    """
    keys = [(re.compile(rf"(.*\.)?({key})$"), value) for key, value in pattern.items()]
    resolved = {}
    for module in modules:
        found = next((value for key, value in keys if key.match(module)), None)
        if found is not None:
            resolved[module] = found
    return resolved


def written_pattern(values: Mapping[str, V], targets: Sequence[str]) -> dict[str, V]:
    """A pattern that resolves to `values`: full names, escaped only where PEFT misread them."""
    wanted = {name: values[name] for name in targets if name in values}
    plain = all(re.fullmatch(r"[\w.]+", name) for name in wanted)
    if plain and resolve_pattern(wanted, targets) == wanted:
        return wanted
    return {f"^{re.escape(name)}": value for name, value in wanted.items()}


def shortest_selection(targets: Sequence[str], modules: Collection[str]) -> list[str] | str:
    """The shortest list that selects `targets` and nothing else among a model's `modules`.

    PEFT takes a module when its name is in the list or ends with a dot and an entry.
    """
    for components in (1, 2):
        suffixes = list(dict.fromkeys(".".join(n.split(".")[-components:]) for n in targets))
        if modules and listed(suffixes, modules) == set(targets):
            return suffixes
    if listed(targets, modules) <= set(targets):
        return list(targets)
    return "|".join(re.escape(name) for name in targets)


def listed(entries: Collection[str], modules: Iterable[str]) -> set[str]:
    """The modules whose names are in a list or end with a dot and an entry of it."""
    endings = tuple(f".{entry}" for entry in entries)
    return {name for name in modules if name in entries or name.endswith(endings)}


def chosen_modules(config: Mapping[str, Any], modules: Iterable[str]) -> set[str]:
    """The modules that a config's `target_modules` and its companions choose.

    Args:
        config: of an adapter whose tensors lie in modules of the base.
        modules: full names.
    """
    names, wanted = list(modules), config.get("target_modules") or ()
    chosen = _matching(wanted, names)
    if not isinstance(wanted, str) and config.get("layers_to_transform") not in (None, []):
        chosen = {n for n in chosen if n in wanted or _layer_of(n, config) in _layers(config)}
    saved = [rf"(^|.*\.){entry}($|\..*)" for entry in config.get("modules_to_save") or ()]
    kept = {name for name in chosen if not any(re.match(entry, name) for entry in saved)}
    return kept - _matching(config.get("exclude_modules") or (), names)


def understood_choice(config: Mapping[str, Any], modules: Iterable[str], path: Path) -> set[str]:
    """As `chosen_modules`.

    Args:
        config: the JSON object of an adapter's config, its values not checked.
        modules: full names.
        path: the config's file, for errors.

    Raises:
        AdapterError: a value is of another type than PEFT gives it, or no regular expression.
    """
    try:
        return chosen_modules(config, modules)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        fault = f"a choice of modules cannot be understood: {error}."
        mend = "Fetch or export the adapter again."
        raise AdapterError(fault, where=str(path), mend=mend) from None


def _matching(wanted: str | Sequence[str], names: Sequence[str]) -> set[str]:
    if isinstance(wanted, str):
        return {name for name in names if re.fullmatch(wanted, name)}
    return listed(wanted, names)


def _layers(config: Mapping[str, Any]) -> Collection[int]:
    layers = config["layers_to_transform"]
    return [layers] if isinstance(layers, int) else layers


def _layer_of(name: str, config: Mapping[str, Any]) -> int | None:
    """The number in a name that PEFT takes for its layer's."""
    patterns = config.get("layers_pattern") or ()
    patterns = [patterns] if isinstance(patterns, str) else patterns
    tried = [re.compile(rf"(?:^|.*?\.){each}\.(?P<layer>\d+)\.") for each in patterns]
    found = next(filter(None, (each.match(name) for each in tried or [_ANY_LAYER])), None)
    return int(found["layer"]) if found else None
