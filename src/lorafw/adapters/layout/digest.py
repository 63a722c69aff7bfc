"""A fingerprint of what an adapter computes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_tensors import tensor_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from lorafw.types import AdapterState


def adapter_digest(state: AdapterState) -> str:
    """SHA-256 of what an adapter computes: its tensors, scalings and dropout, module by module.

    Tensors of parts that are trained themselves come behind those. Of another method than LoRA:
    its name, options and tensors.
    """
    digest = hashlib.sha256()
    facts = _lora_facts(state) if state.spec.method == "LORA" else _other_facts(state)
    for fact in facts:
        digest.update(json.dumps(fact, sort_keys=True).encode())
    return digest.hexdigest()


def _lora_facts(state: AdapterState) -> Iterator[object]:
    spec = state.spec
    for module in sorted(spec.targets):
        facts = [module, spec.scaling_of(module).hex(), float(spec.dropout).hex()]
        yield facts + [_of(state.tensors[name]) for name in spec.names_of(module)]
    factors = {name for module in spec.targets for name in spec.names_of(module)}
    for name in sorted(state.tensors.keys() - factors):
        yield [name, _of(state.tensors[name])]
    yield from ([name, list(rows)] for name, rows in sorted(spec.token_rows.items()))


def _other_facts(state: AdapterState) -> Iterator[object]:
    options = {k: v for k, v in state.spec.options.items() if k != "target_modules"}
    yield [state.spec.method, sorted(state.spec.trained), options]
    for name in sorted(state.tensors):
        yield [name, _of(state.tensors[name])]


def _of(tensor: Tensor) -> str:
    return tensor_digest(tensor.float() if tensor.is_floating_point() else tensor)
