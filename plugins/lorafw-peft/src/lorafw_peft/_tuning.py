"""From the injector's options to a model tuned by one of PEFT's methods."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from lorafw.adapters.layout.peft_patterns import shortest_selection
from lorafw.adapters.live.targets import has_suffix, refuse_adapted
from lorafw.errors import AdapterError
from lorafw.models.names import stores_transposed
from lorafw.types import AdapterSpec
from lorafw_peft._adalora import AdaLoRAModel
from lorafw_peft._configs import config_class, method_options, peft_config
from lorafw_peft._tuned import TunedModel
from lorafw_peft.methods import ALL_LINEAR, ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from lorafw.contracts import ModelBundle
    from lorafw_peft.injector import PeftInjector


def tuned_model(bundle: ModelBundle, injector: PeftInjector) -> TunedModel:
    """The bundle's module tuned by the injector's method.

    Raises:
        AdapterError: no module matches, or PEFT cannot tune these.
        ConfigError: PEFT refuses the options.
    """
    refuse_adapted(bundle.module)
    spec = _spec(bundle, injector)
    if spec.token_rows:
        raise AdapterError(
            f"rows of {min(spec.token_rows)} are to be trained, which PEFT saves beside LoRA only.",
            where="injector.method",
            mend="Use method lora, or leave out the added and trainable tokens.",
        )
    values = method_options(injector)
    values |= _of_model(bundle.module, spec, values, config_class(injector.method))
    config = peft_config(injector.peft_type, values)
    kind = AdaLoRAModel if injector.peft_type == "ADALORA" else TunedModel
    return kind(bundle, dataclasses.replace(spec, rank_pattern={}, alpha_pattern={}), config)


def _spec(bundle: ModelBundle, injector: PeftInjector) -> AdapterSpec:
    """Which modules the method concerns; its own numbers are in PEFT's config."""
    if injector.peft_type not in ELSEWHERE:
        spec = injector.spec(bundle)
        if spec.parameters:
            fault = f"experts that are one tensor take lora only, such as {spec.parameters[0]}."
            raise AdapterError(fault, where="injector.method")
        return dataclasses.replace(spec, method=injector.peft_type)
    anything = injector.model_copy(update={"target_modules": ALL_LINEAR})
    targets = _named(bundle.module, injector.target_modules)
    return dataclasses.replace(anything.spec(bundle), targets=targets, method=injector.peft_type)


def _named(module: nn.Module, wanted: str | Sequence[str]) -> tuple[str, ...]:
    """Modules of any kind, by name; none where PEFT shall choose."""
    if wanted == ALL_LINEAR:
        return ()
    names = [name for name, _ in module.named_modules() if name]
    if isinstance(wanted, str):
        chosen = [name for name in names if re.fullmatch(wanted, name)]
    else:
        chosen = [name for name in names if any(has_suffix(name, entry) for entry in wanted)]
    if not chosen:
        raise AdapterError(f"nothing matches {wanted!r}.", where="injector.target_modules")
    return tuple(chosen)


def _of_model(
    module: nn.Module, spec: AdapterSpec, values: dict[str, Any], kind: type[Any]
) -> dict[str, Any]:
    """What a config says of one model."""
    fields = {field.name for field in dataclasses.fields(kind)}
    found: dict[str, Any] = {}
    if spec.targets:  # as short as they go: some methods share what modules of one suffix learn
        names = [name for name, _ in module.named_modules()]
        found["target_modules"] = shortest_selection(spec.targets, names)
    if "fan_in_fan_out" in fields:
        found["fan_in_fan_out"] = any(map(stores_transposed, module.modules()))
        if entries := values.get("feedforward_modules"):
            found["feedforward_modules"] = _feedforward(entries, spec.targets, names)
    patterns = {"rank_pattern": spec.rank_pattern, "alpha_pattern": spec.alpha_pattern}
    for option, pattern in patterns.items():
        if pattern:
            found[option] = {f"^{re.escape(name)}": value for name, value in pattern.items()}
    return found


def _feedforward(
    entries: str | Sequence[str], targets: Sequence[str], names: Sequence[str]
) -> list[str] | str:
    """The targets that IA³ scales at their input; PEFT wants them to be entries of the targets."""
    if isinstance(entries, str):
        return entries
    chosen = [name for name in targets if any(has_suffix(name, entry) for entry in entries)]
    if not chosen:
        where = "injector.method_options.feedforward_modules"
        raise AdapterError("matches no adapted module.", where=where)
    short = shortest_selection(chosen, names)
    if set(short) <= set(shortest_selection(targets, names)):
        return short
    return "|".join(map(re.escape, chosen))
