"""Whether an adapter fits a base: what can be told of its files only beside the base's modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from lorafw.adapters.layout.peft_config import CONFIG_FILE
from lorafw.adapters.layout.peft_layout import TENSOR_FILE, base_copies
from lorafw.adapters.layout.peft_patterns import understood_choice
from lorafw.adapters.layout.peft_recipe import read_object
from lorafw.adapters.live.targets import ALL_LINEAR
from lorafw.errors import AdapterError
from lorafw.models.experts import expert_sizes, stacked_experts
from lorafw.models.names import is_linear, stores_transposed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorafw.types import AdapterState

_CHOICE = "target_modules"
_MEND = "Is this the base it was trained on? Give the folder of that one: base=… (--base)"


def check_fit(state: AdapterState, folder: Path, base: nn.Module) -> None:
    """Check an adapter against its base, which nothing was injected into yet.

    Args:
        state: what was read from `folder`.
        folder: where the adapter lies.
        base: the base model.

    Raises:
        AdapterError: a module is not in the base or has other sizes there, the adapter lacks a
            module that its config names or has one it does not, or it was made over another base's
            embeddings.
    """
    parts = dict(base.named_modules())
    if state.spec.method == "LORA":
        for module in state.spec.targets:
            if module in state.spec.parameters:
                _check_experts(module, base, state, folder / TENSOR_FILE)
            else:
                _check_module(module, parts.get(module), state, folder / TENSOR_FILE)
    _check_complete(state, folder, parts)
    _check_copies(folder, parts)


def _check_module(name: str, module: nn.Module | None, state: AdapterState, path: Path) -> None:
    if module is None:
        fault = f"adapts {name}, which the base does not have."
        raise AdapterError(fault, where=str(path), mend=_MEND)
    sizes = _sizes(module)
    down, up = (state.tensors[key] for key in state.spec.pair_of(name))
    if sizes is not None and sizes != (len(up), down.shape[1]):
        found = f"[{len(up)}, {down.shape[1]}]"
        fault = f"adapts {name} as one of sizes {found}, but it is {list(sizes)} in the base."
        raise AdapterError(fault, where=str(path), mend=_MEND)


def _check_experts(name: str, base: nn.Module, state: AdapterState, path: Path) -> None:
    if name not in stacked_experts(base):
        fault = f"adapts experts {name}, which the base does not have in one tensor."
        raise AdapterError(fault, where=str(path), mend=_MEND)
    count, inputs, outputs, _ = expert_sizes(base, name)
    rows = count * state.spec.rank_of(name)
    wanted = [(rows, inputs), (outputs, rows)]
    found = [tuple(state.tensors[key].shape) for key in state.spec.pair_of(name)]
    if found != wanted:
        fault = f"adapts {name} by A and B of {found}, but its {count} experts need {wanted}."
        raise AdapterError(fault, where=str(path), mend=_MEND)


def _sizes(module: Any) -> tuple[int, int] | None:
    """Features out and in; a quantised weight is stored in another shape, the layer knows."""
    if isinstance(module, nn.Embedding):
        return module.embedding_dim, module.num_embeddings
    if not is_linear(module):
        return None
    if stores_transposed(module):
        return module.nf, module.nx
    return module.out_features, module.in_features


def _check_complete(state: AdapterState, folder: Path, parts: dict[str, nn.Module]) -> None:
    """A module that the config chooses and no tensor speaks of was lost on the way."""
    config = read_object(folder / CONFIG_FILE)
    if not state.spec.targets or not config.get(_CHOICE):
        return
    adaptable = [n for n, m in parts.items() if is_linear(m) or isinstance(m, nn.Embedding)]
    chosen = understood_choice(config, adaptable, folder / CONFIG_FILE)
    if missing := sorted(chosen - set(state.spec.targets)):
        fault = f"holds nothing for {missing[0]}, which {CONFIG_FILE} says is adapted."
        mend = "Fetch or export the adapter again."
        raise AdapterError(fault, where=str(folder / TENSOR_FILE), mend=mend)
    _check_chosen(state, chosen, config, folder)


def _check_chosen(
    state: AdapterState, chosen: set[str], config: Mapping[str, Any], folder: Path
) -> None:
    """PEFT drops tensors of modules that the config does not choose, so they would act here alone.

    A head that is adapted because it is tied to an embedding is in no config.
    """
    unresolved = config[_CHOICE] == ALL_LINEAR or config.get("ensure_weight_tying")
    if state.spec.method != "LORA" or unresolved:
        return
    targets = set(state.spec.targets) - set(state.spec.parameters)
    if extra := sorted(targets - chosen):
        fault = f"holds factors for {extra[0]}, which {CONFIG_FILE} does not choose."
        raise AdapterError(fault, where=str(folder / TENSOR_FILE), mend=f"Mend its {_CHOICE}.")


def _check_copies(folder: Path, parts: dict[str, nn.Module]) -> None:
    for name, copy in base_copies(folder).items():
        module = parts.get(name.rpartition(".")[0])
        weight = getattr(module, "weight", None)
        if weight is None or not copy.to(weight).equal(weight):
            fault = f"was made over another {name} than the base has."
            raise AdapterError(fault, where=str(folder / TENSOR_FILE), mend=_MEND)
