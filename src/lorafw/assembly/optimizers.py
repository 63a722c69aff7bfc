"""Which optimizer a plan asks for, and whether its options suit it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from lorafw.assembly.loading import look_in_current_folder
from lorafw.contracts.plan import TrainPlan
from lorafw.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from torch.optim import Optimizer

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "adamw": "torch.optim.AdamW",
        "adamw-8bit": "bitsandbytes.optim.AdamW8bit",
        "paged-adamw": "bitsandbytes.optim.PagedAdamW32bit",
        "paged-adamw-8bit": "bitsandbytes.optim.PagedAdamW8bit",
        "adafactor": "torch.optim.Adafactor",
        "lion": "bitsandbytes.optim.Lion32bit",
        "sgd": "torch.optim.SGD",
    }
)
"""The optimizers that have a name of their own, by it."""

_ELEMENT_WISE = {
    "bitsandbytes.optim.Lion32bit",
    "torch.optim.ASGD",
    "torch.optim.Adadelta",
    "torch.optim.Adagrad",
    "torch.optim.Adam",
    "torch.optim.AdamW",
    "torch.optim.Adamax",
    "torch.optim.NAdam",
    "torch.optim.RAdam",
    "torch.optim.RMSprop",
    "torch.optim.Rprop",
    "torch.optim.SGD",
}
_ADAMWS = {path for name, path in NAMES.items() if "adamw" in name}
_OF_THE_PLAN = {"lr": "learning_rate", "weight_decay": "weight_decay"}
_MOMENTS = ("betas", "eps")


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer's class and what it is built with, learning rate and weight decay apart.

    Attributes:
        element_wise: every number is updated by what happened to it alone, so that it does not
            matter how tensors are cut into pieces.
    """

    kind: type[Optimizer]
    arguments: Mapping[str, Any]
    element_wise: bool


def chosen_optimizer(plan: TrainPlan) -> OptimizerChoice:
    """The optimizer that a plan asks for; imports the library that brings it.

    A class of one's own that works element by element says so by `element_wise = True`.

    Raises:
        ConfigError: there is no such optimizer, it cannot be driven, or an option is not its.
    """
    path = _path(plan.optimizer)
    kind = _imported(path)
    accepted = _parameters(kind)
    _check_options(plan, accepted, adamw=path in _ADAMWS)
    ours = {name: getattr(plan, name) for name in _MOMENTS} if path in _ADAMWS else {}
    element_wise = path in _ELEMENT_WISE or bool(getattr(kind, "element_wise", False))
    return OptimizerChoice(kind, {**ours, **plan.optimizer_options}, element_wise)


def _path(name: str) -> str:
    path = NAMES.get(name, name).replace(":", ".")
    if "." not in path:
        mend = did_you_mean(name, NAMES) or f"Known: {', '.join(NAMES)}, or an import path."
        raise ConfigError(f"no optimizer is called '{name}'.", where="plan.optimizer", mend=mend)
    return path


def _imported(path: str) -> type[Optimizer]:
    from torch.optim import Optimizer

    module, _, name = path.rpartition(".")
    source = _module(module)
    found = getattr(source, name, None)
    if found is None:
        mend = did_you_mean(name, dir(source))
        raise ConfigError(f"{module} has no {name}.", where="plan.optimizer", mend=mend)
    if not (inspect.isclass(found) and issubclass(found, Optimizer)):
        raise ConfigError(f"{path} is no torch optimizer.", where="plan.optimizer")
    _check_step(path, found)
    return found


def _check_step(path: str, kind: type[Optimizer]) -> None:
    closure = inspect.signature(kind.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ConfigError(
            f"{path} computes the loss several times a step, which lorafw does not.",
            where="plan.optimizer",
        )


def _module(name: str) -> ModuleType:
    look_in_current_folder()
    try:
        return import_module(name)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        mend = "Run: pip install bitsandbytes" if name.startswith("bitsandbytes.") else ""
        raise ConfigError(
            f"{name} failed to import: {fault}.", where="plan.optimizer", mend=mend
        ) from error


def _parameters(kind: type[Optimizer]) -> dict[str, inspect.Parameter]:
    """What the class can be given, without the parameters to train."""
    return dict(list(inspect.signature(kind).parameters.items())[1:])


def _check_options(
    plan: TrainPlan, accepted: Mapping[str, inspect.Parameter], *, adamw: bool
) -> None:
    own = dict(_OF_THE_PLAN) | ({name: name for name in _MOMENTS} if adamw else {})
    for name in plan.optimizer_options:
        where = f"plan.optimizer_options.{name}"
        if name in own:
            raise ConfigError(f"is plan.{own[name]}.", where=where, mend="Set it there.")
        if not _takes(accepted, name):
            known = [option for option in accepted if option not in own]
            mend = did_you_mean(name, known) or f"Known: {', '.join(known)}."
            raise ConfigError(f"is no option of {plan.optimizer}.", where=where, mend=mend)
    if plan.weight_decay and not _takes(accepted, "weight_decay"):
        raise ConfigError(f"{plan.optimizer} has no weight decay.", where="plan.weight_decay")
    if not adamw:
        _check_moments(plan)


def _takes(accepted: Mapping[str, inspect.Parameter], name: str) -> bool:
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    return anything or name in accepted


def _check_moments(plan: TrainPlan) -> None:
    """A value that would not act is refused; the default is what a plan without one says."""
    for name in _MOMENTS:
        if getattr(plan, name) != TrainPlan.model_fields[name].default:
            raise ConfigError(
                f"is AdamW's, and the optimizer is {plan.optimizer}.",
                where=f"plan.{name}",
                mend=f"Set plan.optimizer_options.{name}.",
            )
