"""What is refused of experts that are one tensor under PEFT."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.errors import AdapterError
from lorafw.testing.adapting import logits
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw_peft.injector import PeftInjector


def test_partitioned_experts_are_refused_before_ranks_part_ways() -> None:
    model = PeftInjector(r=2, target_modules=("experts",)).inject(toy_experts_bundle())
    logits(model.bundle)
    factor: Any = next(iter(model.trainable().values()))
    factor.ds_id = 0  # DeepSpeed's mark of a parameter that ZeRO-3 holds in pieces
    with pytest.raises(AdapterError, match="Use injector: custom"):
        logits(model.bundle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "pissa"}, "'pissa' is no start for experts"),
        ({"method": "adalora", "method_options": {"total_step": 9}}, "take lora only"),
        ({"dropout": 0.1}, "injector.dropout: cannot be used on experts"),
    ],
)
def test_what_peft_cannot_do_with_them_is_refused(options: dict[str, Any], message: str) -> None:
    given = {"target_modules": ["experts"], **options}
    injector = PeftInjector.from_mapping(given, where="injector")
    with pytest.raises(AdapterError, match=message):
        injector.inject(toy_experts_bundle())


def test_base_tensors_are_found_under_the_wrappers() -> None:
    bundle = toy_experts_bundle()
    before = {name: p.detach().clone() for name, p in bundle.module.named_parameters()}
    model = PeftInjector(r=2, target_modules=("experts",)).inject(bundle)
    as_if_trained(model)
    assert equal({name: model.base_tensor(name).detach() for name in before}, before)
    merged = dict(model.merged_state())
    changed = {name for name, tensor in before.items() if not torch.equal(merged[name], tensor)}
    assert changed == set(model.spec.parameters)
