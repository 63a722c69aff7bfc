"""Config and tensors of methods other than LoRA, which PEFT knows and lorafw carries.

Nothing here names a method, so that one PEFT adds tomorrow is carried as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.adapters.layout.peft_config import CONFIG_FILE, TASK_TYPES
from lorafw.adapters.layout.peft_names import (
    COPY,
    PREFIX,
    PROMPT_PREFIX,
    natural_order,
    owners,
    saved_module,
    stored_name,
)
from lorafw.adapters.layout.peft_patterns import shortest_selection, understood_choice
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

_OF_THE_RUN = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "modules_to_save",
    "peft_type",
    "revision",
    "task_type",
}
"""Keys that every config has and that are no options of the method."""


def method_state(
    values: Mapping[str, Any], stored: Mapping[str, Tensor], folder: Path
) -> AdapterState:
    """The adapter of a method that lorafw does not know itself.

    Args:
        values: the JSON object of its config; what is no fact of the run becomes `spec.options`.
        stored: its tensors under the names in the file, all finite.
        folder: where it lies, for errors.

    Raises:
        AdapterError: a value that every method shares has another type than PEFT gives it, or a
            learned prompt is not as long as the config says.
    """
    prefix = _prefix(values)
    own = [name for name in stored if not name.endswith(COPY)]
    tensors = {name.removeprefix(prefix): stored[name] for name in own}
    _check_virtual_tokens(values, tensors, folder)
    saved = tuple(_list_of_names(values, "modules_to_save", folder))
    whole = {name: module for name in tensors if (module := saved_module(name, saved))}
    if saved and not whole:
        listed = ", ".join(saved)
        raise AdapterError(f"lacks what modules_to_save names: {listed}.", where=str(folder))
    spec = AdapterSpec(
        rank=1,
        alpha=1.0,
        targets=_targets(values, [name for name in tensors if name not in whole], folder),
        trained=tuple(dict.fromkeys(whole.values())),
        method=values["peft_type"],
        options={key: value for key, value in values.items() if key not in _OF_THE_RUN},
    )
    return AdapterState(spec, tensors)


def method_files(
    state: AdapterState, *, base_path: str | None, modules: Collection[str], task: Task
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors, under their names in the file, from which PEFT rebuilds it."""
    spec = state.spec
    config = {
        **spec.options,
        "base_model_name_or_path": base_path,
        "inference_mode": True,
        "modules_to_save": list(spec.trained) or None,
        "peft_type": spec.method,
        "task_type": TASK_TYPES[task],
    }
    if spec.targets:
        config.setdefault("target_modules", shortest_selection(spec.targets, modules))
    prefix = _prefix(config)
    return config, {stored_name(name, prefix): t for name, t in state.tensors.items()}


def _prefix(config: Mapping[str, Any]) -> str:
    """PEFT wraps the base once less for learned prompts, which alone have virtual tokens."""
    return PROMPT_PREFIX if config.get("num_virtual_tokens") is not None else PREFIX


def _check_virtual_tokens(
    values: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path
) -> None:
    """Models are built by the number in the config, so it had better be that of the rows."""
    learned, told = tensors.get("prompt_embeddings"), values.get("num_virtual_tokens")
    if learned is None or told is None:
        return
    parts = values.get("num_transformer_submodules") or 1
    if learned.ndim != 2 or not isinstance(told, int) or len(learned) != told * parts:
        fault = f"prompt_embeddings is {list(learned.shape)}, but {CONFIG_FILE} says {told} tokens."
        raise AdapterError(fault, where=str(folder))


def _list_of_names(values: Mapping[str, Any], key: str, folder: Path) -> list[str]:
    found = values.get(key) or []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        where = f"{folder / CONFIG_FILE}: {key}"
        raise AdapterError("should be a list of names.", where=where)
    return found


def _targets(values: Mapping[str, Any], names: Iterable[str], folder: Path) -> tuple[str, ...]:
    """The modules in which tensors lie, as far as `target_modules` chooses them."""
    if not values.get("target_modules"):
        return ()
    modules = {module for name in names for module in owners(name)}
    if not isinstance(values["target_modules"], str):
        _list_of_names(values, "target_modules", folder)
    found = understood_choice(values, modules, folder / CONFIG_FILE)
    return tuple(sorted(found, key=natural_order))
