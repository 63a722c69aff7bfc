"""A folder that holds one adapter, in the layout of PEFT."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from lorafw.adapters.peft_config import CONFIG_FILE, config_for, read_config, spec_from
from lorafw.adapters.safe_files import write_json
from lorafw.adapters.safe_tensors import tensor_digest, write_tensors
from lorafw.errors import AdapterError
from lorafw.types import AdapterState, Task, adapted_modules, canonical_pair

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

TENSOR_FILE = "adapter_model.safetensors"
RECIPE_FILE = "lorafw.json"
_PREFIX = "base_model.model."
_DIGEST = "adapter_sha256"


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
        state: what is written; tensors become fp32.
        base_path: where PEFT finds the base model, if it is known.
        recipe: JSON values that say how to ask the adapted model; see `read_recipe`.
        modules: all module names of the base. With them the config names the targets by short
            suffixes where those select nothing else; without them, by full names.
        fan_in_fan_out: the base stores its weights as [in, out], as GPT-2 does; PEFT asks for it.
        task: what the model is for; PEFT chooses its class by it.

    Returns:
        The files written.

    Raises:
        ExportError: the tensors read back are not those written.
    """
    tensors = {_PREFIX + name: tensor.float() for name, tensor in state.tensors.items()}
    write_tensors(folder / TENSOR_FILE, tensors)
    config = config_for(
        state.spec,
        base_path=base_path,
        modules=modules,
        fan_in_fan_out=fan_in_fan_out,
        task=task,
    )
    write_json(folder / CONFIG_FILE, config)
    write_recipe(folder, {**recipe, _DIGEST: adapter_digest(state)})
    return [folder / name for name in (CONFIG_FILE, TENSOR_FILE, RECIPE_FILE)]


def read_adapter(folder: Path) -> AdapterState:
    """Read an adapter that lorafw or PEFT wrote; patterns are resolved to full module names.

    Targets come sorted by name, numbers by value: files do not keep the order of a model's modules.

    Raises:
        AdapterError: a file is missing or damaged, the files do not agree, a value is not finite,
            or it is another method than LoRA and rsLoRA. The message names the file.
    """
    config = read_config(_present(folder, CONFIG_FILE))
    path = _present(folder, TENSOR_FILE)
    tensors, whole = _canonical(_load(path), config.saves_modules, path)
    targets = tuple(sorted(adapted_modules(tensors), key=_natural))
    trained = tuple(dict.fromkeys(whole.values()))
    spec = spec_from(config, targets, trained, folder / CONFIG_FILE)
    state = AdapterState(spec, _ordered(tensors, targets, whole))
    _check_shapes(state, path)
    _check_digest(state, folder)
    return state


def write_recipe(folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write down how to ask the model in this folder, as JSON."""
    write_json(folder / RECIPE_FILE, recipe)
    return folder / RECIPE_FILE


def read_recipe(folder: Path) -> Mapping[str, Any]:
    """How to ask the model in this folder; empty if something else than lorafw wrote it.

    Raises:
        AdapterError: the file is no JSON object.
    """
    path = folder / RECIPE_FILE
    return {key: value for key, value in _read_json(path).items() if key != _DIGEST}


def adapter_digest(state: AdapterState) -> str:
    """SHA-256 of what an adapter computes: its tensors, scalings and dropout, module by module.

    Tensors of modules that are trained whole come behind those.
    """
    digest = hashlib.sha256()
    for module in sorted(state.spec.targets):
        facts = [module, state.spec.scaling_of(module).hex(), state.spec.dropout.hex()]
        facts += [tensor_digest(state.tensors[name].float()) for name in canonical_pair(module)]
        digest.update(json.dumps(facts).encode())
    for name in sorted(state.tensors.keys() - _factors(state.spec.targets)):
        digest.update(json.dumps([name, tensor_digest(state.tensors[name].float())]).encode())
    return digest.hexdigest()


def _present(folder: Path, name: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    if (folder / "adapter_model.bin").is_file() and name == TENSOR_FILE:
        raise AdapterError(
            "is a pickle, which can run code; lorafw reads safetensors only.",
            where=str(folder / "adapter_model.bin"),
            mend='Convert it: python -c "import torch, safetensors.torch as s; s.save_file('
            "torch.load('adapter_model.bin', weights_only=True), 'adapter_model.safetensors')\"",
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
        raise AdapterError(f"is damaged: {error}.", where=str(path)) from None
    return stored


def _canonical(
    stored: Mapping[str, Tensor], saved: Sequence[str], path: Path
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """fp32 tensors under canonical names; of those that are no factors of LoRA, the module."""
    tensors: dict[str, Tensor] = {}
    whole: dict[str, str] = {}
    for name, tensor in stored.items():
        canonical = name.removeprefix(_PREFIX)
        factor = canonical.endswith((".lora_A.weight", ".lora_B.weight"))
        module = None if factor else _saved_module(canonical, saved)
        if canonical == name or not (factor or module):
            raise AdapterError(f"holds {name}, which is no part of LoRA.", where=str(path))
        _check_numbers(name, tensor, path, matrix=factor)
        tensors[canonical] = tensor.float()
        whole |= {canonical: module} if module else {}
    _check_pairs(tensors.keys() - whole.keys(), path)
    if saved and not whole:
        listed = ", ".join(saved)
        raise AdapterError(f"lacks what modules_to_save names: {listed}.", where=str(path))
    return tensors, whole


def _saved_module(name: str, saved: Sequence[str]) -> str | None:
    """The outermost module of a tensor whose name ends as an entry of `modules_to_save` does."""
    parts = name.split(".")[:-1]
    modules = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return next((module for module in modules if module.endswith(tuple(saved))), None)


def _check_pairs(factors: Collection[str], path: Path) -> None:
    for name in factors:
        for partner in canonical_pair(name.rpartition(".lora_")[0]):
            if partner not in factors:
                raise AdapterError(f"lacks {_PREFIX}{partner}.", where=str(path))
    if not factors:
        raise AdapterError("holds no tensor.", where=str(path))


def _check_numbers(name: str, tensor: Tensor, path: Path, *, matrix: bool) -> None:
    if not tensor.is_floating_point() or (matrix and tensor.ndim != 2):
        kind = f"{tensor.dtype} {list(tensor.shape)}"
        raise AdapterError(f"{name} is {kind}, not a matrix of numbers.", where=str(path))
    if not tensor.isfinite().all():
        raise AdapterError(f"{name} holds NaN or infinity.", where=str(path))


def _check_shapes(state: AdapterState, path: Path) -> None:
    for module in state.spec.targets:
        rank = state.spec.rank_of(module)
        down, up = (state.tensors[name] for name in canonical_pair(module))
        if (down.shape[0], up.shape[1]) != (rank, rank):
            shapes = f"{list(down.shape)} and {list(up.shape)}"
            fault = f"{module} has A and B of shapes {shapes}, but {CONFIG_FILE} says rank {rank}."
            raise AdapterError(fault, where=str(path))


def _check_digest(state: AdapterState, folder: Path) -> None:
    path = folder / RECIPE_FILE
    expected = _read_json(path).get(_DIGEST)
    if expected is not None and expected != adapter_digest(state):
        raise AdapterError(
            f"{CONFIG_FILE} or {TENSOR_FILE} is not what was written with this file.",
            where=str(path),
            mend=f"If the change was meant, delete {_DIGEST!r} from it.",
        )


def _factors(targets: Sequence[str]) -> list[str]:
    return [name for module in targets for name in canonical_pair(module)]


def _ordered(
    tensors: Mapping[str, Tensor], targets: Sequence[str], whole: Collection[str]
) -> dict[str, Tensor]:
    return {name: tensors[name] for name in (*_factors(targets), *whole)}


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts `layers.10` after `layers.2`."""
    parts = re.split(r"(\d+)", name)
    return [(p.isdecimal(), int(p), "") if p.isdecimal() else (False, 0, p) for p in parts]


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no such file."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AdapterError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"is no JSON: {error}.", where=str(path)) from None
    if not isinstance(content, dict):
        raise AdapterError("is no JSON object.", where=str(path))
    return content
