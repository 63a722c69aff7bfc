"""A folder that holds one adapter, in the layout of PEFT."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import write_json
from lorafw.adapters.files.safe_tensors import write_tensors
from lorafw.adapters.layout import peft_checks as checks
from lorafw.adapters.layout.digest import adapter_digest
from lorafw.adapters.layout.peft_biases import stored_biases, taken_biases
from lorafw.adapters.layout.peft_config import CONFIG_FILE, config_for, lora_config, spec_from
from lorafw.adapters.layout.peft_methods import method_files, method_state
from lorafw.adapters.layout.peft_names import PREFIX, Part, contents_of
from lorafw.adapters.layout.peft_parameters import read_from_wrappers, stored_as_wrappers
from lorafw.adapters.layout.peft_recipe import (
    DIGEST,
    RECIPE_FILE,
    read_object,
    read_recipe,
    write_recipe,
)
from lorafw.errors import AdapterError
from lorafw.types import AdapterState, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = [
    "CONFIG_FILE",
    "RECIPE_FILE",
    "TENSOR_FILE",
    "adapter_digest",
    "base_copies",
    "read_adapter",
    "read_recipe",
    "write_adapter",
    "write_recipe",
]

TENSOR_FILE = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"


def write_adapter(
    folder: Path,
    state: AdapterState,
    *,
    base_path: str | None,
    recipe: Mapping[str, Any],
    modules: Collection[str] = (),
    fan_in_fan_out: bool = False,
    task: Task = Task.CAUSAL_LM,
) -> list[Path]:
    """Write an adapter so that lorafw and plain `peft.PeftModel.from_pretrained` read it.

    Args:
        folder: an existing folder.
        state: what is written; numbers become fp32.
        base_path: where PEFT finds the base model, if it is known.
        recipe: JSON values that say how to ask the adapted model; see `read_recipe`.
        modules: all module names of the base. With them the config names the targets by short
            suffixes where those select nothing else; without them, by full names.
        fan_in_fan_out: the base stores its weights as [in, out], as GPT-2 does; PEFT asks for it.
            Of another method than LoRA, its options say so.
        task: what the model is for; PEFT chooses its class by it.

    Returns:
        The files written.

    Raises:
        ExportError: the tensors read back are not those written.
    """
    if state.spec.method == "LORA":
        named = stored_as_wrappers(state.tensors, state.spec.parameters)
        named = stored_biases(named, state.spec)
        tensors = {PREFIX + name: tensor for name, tensor in named.items()}
        config = config_for(
            state.spec,
            base_path=base_path,
            modules=modules,
            fan_in_fan_out=fan_in_fan_out,
            task=task,
        )
    else:
        config, tensors = method_files(state, base_path=base_path, modules=modules, task=task)
    write_tensors(folder / TENSOR_FILE, _in_fp32(tensors))
    write_json(folder / CONFIG_FILE, config)
    write_recipe(folder, {**recipe, DIGEST: adapter_digest(state)})
    return [folder / name for name in (CONFIG_FILE, TENSOR_FILE, RECIPE_FILE)]


def read_adapter(folder: Path) -> AdapterState:
    """Read an adapter that lorafw or PEFT wrote; patterns are resolved to full module names.

    Targets come sorted by name, numbers by value: files do not keep the order of a model's modules.
    Copies of the base's own weights, which PEFT saves of adapted embeddings, are left out; see
    `base_copies`. An adapter of another method than LoRA has PEFT's tensors and PEFT's options.

    Raises:
        AdapterError: a file is missing or damaged, the files do not agree, a value is not finite,
            or it is LoRA of a kind that lorafw cannot apply. The message names the file.
    """
    config, stored = _files(folder)
    checks.check_numbers(stored, folder / TENSOR_FILE)
    if config["peft_type"] == "LORA":
        state = _lora_state(config, stored, folder)
    else:
        state = method_state(config, _in_fp32(stored), folder)
    checks.check_digest(state, folder)
    return state


def base_copies(folder: Path) -> dict[str, Tensor]:
    """The base's own weights that PEFT saved with an adapter, by the base's names, as stored.

    Raises:
        AdapterError: see `read_adapter`.
    """
    config, stored = _files(folder)
    if config["peft_type"] != "LORA":
        return {}
    saved = lora_config(config, folder / CONFIG_FILE).saves_modules
    copies = contents_of(stored, saved).modules[Part.COPY]
    return {f"{module}.weight": stored[PREFIX + name] for name, module in copies.items()}


def _files(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = _present(folder, CONFIG_FILE)
    config = read_object(path)
    method = config.get("peft_type")
    if not isinstance(method, str) or method != method.upper():
        fault = "peft_type: Input should be a valid string, a method's name such as LORA."
        raise AdapterError(fault, where=str(path), mend="Is this the config of an adapter?")
    return config, _load(_present(folder, TENSOR_FILE))


def _lora_state(
    values: Mapping[str, Any], stored: Mapping[str, Tensor], folder: Path
) -> AdapterState:
    path = folder / TENSOR_FILE
    config = lora_config(values, folder / CONFIG_FILE)
    stored, parameters = read_from_wrappers(stored, config.target_parameters or (), path)
    biases: dict[str, Tensor] = {}
    if config.bias != "none":
        stored, biases = taken_biases(stored, config.saves_modules)
    contents = contents_of(stored, config.saves_modules)
    checks.check_contents(contents, config, path)
    spec = replace(
        spec_from(config, contents, folder / CONFIG_FILE),
        parameters=parameters,
        biases=tuple(name.removesuffix(".bias") for name in biases),
    )
    checks.check_parts(spec, contents, path)
    names = [name for module in spec.targets for name in spec.names_of(module)]
    names += contents.names(Part.WHOLE, Part.ROWS)
    state = AdapterState(spec, {name: stored[PREFIX + name] for name in names} | biases)
    checks.check_shapes(state, path)
    return AdapterState(spec, _in_fp32(state.tensors))


def _in_fp32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Numbers in fp32; indices as they are."""
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _present(folder: Path, name: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    if (folder / _PICKLE).is_file() and name == TENSOR_FILE:
        raise AdapterError(
            "is a pickle, which can run code; lorafw reads safetensors.",
            where=str(folder / _PICKLE),
            mend=f"Convert it: lorafw adapter convert {folder} OUT --to peft",
        )
    raise AdapterError(
        "is missing.", where=str(folder / name), mend="Is this the folder of an adapter?"
    )


def _load(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored: dict[str, Tensor] = load(path.read_bytes())
    except OSError as error:
        raise AdapterError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        # KeyError and the others come from dtypes and shapes that torch cannot hold.
        mend = "Fetch or export the adapter again."
        raise AdapterError(f"is damaged: {error}.", where=str(path), mend=mend) from None
    return stored
