"""Which layers take the fast path, found out and proved when the adapter is put in."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from lorafw_custom._linear import LoRALinear
from lorafw_custom.fast.geometry import Geometries
from lorafw_custom.fast.layer import FastLayer, hooked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import LayerForm, ModelBundle
    from lorafw_custom.fast.running import Runner

__all__ = ["quicken"]

_SEGMENTS = (5, 3)
_AGREEMENT = {2: 0.03, 4: 1e-3, 8: 1e-3}
"""How far what a layer adds to its rows may differ, as a share of it, by bytes of a number.

Beside it counts how finely the rows are rounded: where little is added to much, much of it is lost.
"""


def quicken(bundle: ModelBundle, run: Runner) -> tuple[list[FastLayer], dict[str, str]]:
    """Let every layer that can take the fast path.

    A layer can if it looks of the form and computes, on a few tokens, what it computed before.

    Returns:
        The fast layers; and by each other layer's name, why it is none.
    """
    names = {module: name for name, module in bundle.module.named_modules()}
    geometries, reasons = Geometries(), {}
    candidates: dict[nn.Module, FastLayer] = {}
    for layer in bundle.layers:
        form = bundle.layer_form(layer)
        reason = form if isinstance(form, str) else _obstacle(layer, form)
        if reason or isinstance(form, str):
            reasons[names[layer]] = reason
        else:
            candidates[layer] = FastLayer(layer, form, geometries, run)
    if candidates and _has_values(bundle.module):
        for layer in _differing(bundle, candidates):
            reasons[names[layer]] = "it computes something else than its parts tell"
            del candidates[layer]
    for layer, fast in candidates.items():
        layer.forward = fast
    return list(candidates.values()), reasons


def _has_values(module: nn.Module) -> bool:
    """Whether there are numbers to prove anything with: not where a run is only foretold."""
    first = next(module.parameters())
    return first.device.type != "meta" and not isinstance(first, FakeTensor)


def _obstacle(layer: nn.Module, form: LayerForm) -> str:
    """What keeps a layer of the form from the fast path; empty if nothing does."""
    linears = {n: layer.get_submodule(n) for n in (*form.qkv, form.out, *form.gate_up, form.down)}
    norms = {name: layer.get_submodule(name) for name in (*form.norms, *form.head_norms)}
    inside = [(name, part) for name, part in layer.named_modules() if part is not layer]
    found = [
        *(_obstacle_in_linear(name, linear) for name, linear in linears.items()),
        *(f"its {name} is trained" for name, norm in norms.items() if _trained(norm)),
        *(f"its {name} has hooks" for name, part in inside if hooked(part)),
    ]
    if len({linear.weight.dtype for linear in linears.values()}) > 1:
        found.append("its weights are of several dtypes")
    return next(filter(None, found), "")


def _obstacle_in_linear(name: str, linear: Any) -> str:
    if not isinstance(linear, LoRALinear):
        if type(linear) is not nn.Linear:
            return f"its {name} is a {type(getattr(linear, 'layer', linear)).__name__}"
        return f"its {name} is trained itself" if _trained(linear) else ""
    if linear.lora_magnitude_vector is not None:
        return f"its {name} learns magnitudes (DoRA)"
    return f"the update of its {name} has dropout" if linear.dropout else ""


def _trained(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())


def _differing(bundle: ModelBundle, candidates: Mapping[nn.Module, FastLayer]) -> list[nn.Module]:
    """The layers whose hand-written forward pass gives something else than their own."""
    differing = []
    inputs = _a_few_tokens(bundle)
    real = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])[None]).bool()

    def compare(layer: Any, given: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
        out = out[0] if isinstance(out, tuple) else out
        geometry = candidates[layer].geometry(given[0], named)
        if geometry is None:
            differing.append(layer)
            return
        made = candidates[layer].by_hand(given[0], geometry)
        if not _agree(made[real], out[real], given[0][real]):
            differing.append(layer)

    with torch.no_grad(), ExitStack() as hooks:
        for layer in candidates:
            hook = layer.register_forward_hook(compare, with_kwargs=True)
            hooks.callback(hook.remove)
        bundle.hidden(inputs)
    return differing


def _agree(made: Tensor, out: Tensor, x: Tensor) -> bool:
    share, rounded = _AGREEMENT[x.element_size()], torch.finfo(x.dtype).eps
    made, out, x = made.double(), out.double(), x.double()
    allowed = share * (out - x).norm() + rounded * out.norm()
    return bool((made - out).norm() <= allowed)


def _a_few_tokens(bundle: ModelBundle) -> dict[str, Tensor]:
    """Two rows, laid end to end or padded as the model takes them."""
    from lorafw.types import Capability

    device = next(bundle.module.parameters()).device
    first, second = _SEGMENTS
    ids = torch.arange(2 * first, device=device) % 7
    if Capability.SEGMENTS not in bundle.capabilities:
        mask = torch.arange(first, device=device)[None] < torch.tensor(
            [[first], [second]], device=device
        )
        return {"input_ids": ids[: 2 * first].view(2, first), "attention_mask": mask.long()}
    positions = torch.cat([torch.arange(first), torch.arange(second)]).to(device)
    edges = torch.tensor([0, first, first + second], dtype=torch.int32, device=device)
    return {"input_ids": ids[: first + second], "position_ids": positions, "cu_seqlens": edges}
