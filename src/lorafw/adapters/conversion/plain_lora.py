"""Adapters that are LoRA of linears and nothing else, which is all that many files can hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def require_plain_lora(state: AdapterState, kind: str) -> None:
    """Refuse an adapter that is more than A and B of linears.

    Args:
        state: the adapter.
        kind: what cannot hold more, such as "a TRACE file".

    Raises:
        AdapterError: it is of another method, or has magnitudes, embeddings or whole modules.
    """
    spec = state.spec
    extras = {
        f"the method {spec.method}": spec.method != "LORA",
        "DoRA's magnitudes": spec.use_dora,
        f"an embedding, {next(iter(spec.embeddings), '')}": spec.embeddings,
        f"the whole of {next(iter(spec.trained), '')}": spec.trained,
        f"rows of {next(iter(spec.token_rows), '')}": spec.token_rows,
        f"the bias of {next(iter(spec.biases), '')}": spec.biases,
    }
    if found := [extra for extra, there in extras.items() if there]:
        fault = f"{kind} holds A and B of linears only, and this adapter has {found[0]}."
        raise AdapterError(fault, mend="Write it as peft, which holds all of it.")


def state_of_pairs(
    pairs: Mapping[str, tuple[Tensor, Tensor]], *, alpha: float, where: str
) -> AdapterState:
    """The plain LoRA of these factors, all with one alpha.

    Args:
        pairs: A [r, in] and B [out, r] by the module's full name.
        alpha: the scaling is alpha / r, module by module.
        where: the file, for errors.

    Raises:
        AdapterError: there is nothing, factors do not fit each other, or a number is not finite.
    """
    if not pairs:
        raise AdapterError("holds no tensor of LoRA.", where=where)
    for module, (down, up) in pairs.items():
        if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
            fault = f"A {list(down.shape)} and B {list(up.shape)} of {module} do not fit."
            raise AdapterError(fault, where=where)
        if not (down.isfinite().all() and up.isfinite().all()):
            raise AdapterError(f"{module} holds NaN or infinity.", where=where)
    ranks = {module: len(down) for module, (down, _) in pairs.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: found for module, found in ranks.items() if found != rank}
    spec = AdapterSpec(rank, alpha, tuple(pairs), rank_pattern=others)
    tensors: dict[str, Tensor] = {}
    for module, pair in pairs.items():
        whole = (tensor.float().contiguous() for tensor in pair)
        tensors |= zip(canonical_pair(module), whole, strict=True)
    return AdapterState(spec, tensors)
