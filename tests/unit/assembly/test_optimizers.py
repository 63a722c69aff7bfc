"""Which optimizer a plan asks for, and what is said when it cannot be."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorafw.assembly.checks import optimizer_gets_what_it_looks_at
from lorafw.assembly.optimizers import NAMES, chosen_optimizer
from lorafw.contracts import TrainPlan
from lorafw.errors import CompositionError, ConfigError
from lorafw.types import Capability


class OfOnesOwn(torch.optim.SGD):
    """Says of itself that it works number by number."""

    element_wise = True


def choose(**options: Any) -> Any:
    return chosen_optimizer(TrainPlan.from_mapping(options, where="plan"))


def test_adamw_takes_the_plans_own_options() -> None:
    choice = choose(betas=[0.8, 0.9], eps=1e-6, optimizer_options={"amsgrad": True})
    assert choice.kind is torch.optim.AdamW
    assert choice.arguments == {"betas": (0.8, 0.9), "eps": 1e-6, "amsgrad": True}


@pytest.mark.parametrize("name", ["torch.optim.RMSprop", "torch.optim:RMSprop"])
def test_a_class_is_named_by_its_import_path(name: str) -> None:
    choice = choose(optimizer=name, optimizer_options={"alpha": 0.9})
    assert choice.kind is torch.optim.RMSprop
    assert choice.arguments == {"alpha": 0.9}


def test_those_that_work_number_by_number_are_known() -> None:
    assert choose().element_wise
    assert choose(optimizer="sgd").element_wise
    assert choose(optimizer=f"{__name__}:OfOnesOwn").element_wise
    assert not choose(optimizer="adafactor").element_wise
    assert not choose(optimizer="torch.optim.Muon").element_wise


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"adamw", "sgd", "adafactor"}))
def test_a_library_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.delitem(sys.modules, "bitsandbytes.optim", raising=False)
    with pytest.raises(ConfigError, match=r"failed to import: .* Run: pip install bitsandbytes"):
        choose(optimizer=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": "adamq"},
            "plan.optimizer: no optimizer is called 'adamq'. Did you mean 'adamw'?",
        ),
        (
            {"optimizer": "torch.optim.RMSProp"},
            "plan.optimizer: torch.optim has no RMSProp. Did you mean 'RMSprop'?",
        ),
        (
            {"optimizer": "no_such_module.Adam"},
            "plan.optimizer: no_such_module failed to import: ModuleNotFoundError: No module",
        ),
        (
            {"optimizer": "torch.nn.Linear"},
            "plan.optimizer: torch.nn.Linear is no torch optimizer.",
        ),
        (
            {"optimizer": "torch.optim.LBFGS"},
            "plan.optimizer: torch.optim.LBFGS computes the loss several times a step",
        ),
        (
            {"optimizer": "sgd", "optimizer_options": {"momentun": 0.9}},
            "plan.optimizer_options.momentun: is no option of sgd. Did you mean 'momentum'?",
        ),
        (
            {"optimizer_options": {"lr": 1.0}},
            "plan.optimizer_options.lr: is plan.learning_rate. Set it there.",
        ),
        (
            {"optimizer_options": {"eps": 1.0}},
            "plan.optimizer_options.eps: is plan.eps. Set it there.",
        ),
        (
            {"optimizer": "sgd", "betas": [0.9, 0.95]},
            "plan.betas: is AdamW's, and the optimizer is sgd. Set plan.optimizer_options.betas.",
        ),
        (
            {"optimizer": "torch.optim.Rprop", "weight_decay": 0.1},
            "plan.weight_decay: torch.optim.Rprop has no weight decay.",
        ),
    ],
)
def test_what_cannot_be_is_said_and_how_to_mend_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        choose(**options)


def check(optimizer: str, *capabilities: Capability) -> None:
    trainer = SimpleNamespace(capabilities=frozenset(capabilities))
    plan = TrainPlan(optimizer=optimizer)
    parts: Any = SimpleNamespace(plan=plan, trainer=trainer, names={"trainer": "deepspeed"})
    optimizer_gets_what_it_looks_at(parts)


def test_one_that_looks_at_whole_tensors_needs_them_whole() -> None:
    check("adafactor", Capability.WHOLE_OPTIMIZER)
    check("torch.optim.RMSprop")
    with pytest.raises(CompositionError, match="adafactor looks at whole tensors, which trainer"):
        check("adafactor")
