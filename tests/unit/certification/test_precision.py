"""How coarse a model's numbers are follows from its base, trained itself or not."""

from __future__ import annotations

import pytest

from lorafw.builtin.full import FullInjector
from lorafw.certification.precision import precision_of
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle
from lorafw.verification._facts import base_dtype


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("injector", [ToyInjector(), FullInjector()], ids=["toy", "full"])
def test_it_is_that_of_the_base(injector: ToyInjector | FullInjector, dtype: str) -> None:
    model = injector.inject(toy_bundle(dtype))
    assert precision_of(model.bundle.module, model.base_values().values()) == dtype


def test_a_comparison_knows_what_the_model_computes_in() -> None:
    partly = FullInjector(modules=("*.mlp",)).inject(toy_bundle("bf16"))
    wholly = FullInjector().inject(toy_bundle("bf16"))
    assert (base_dtype(partly), base_dtype(wholly)) == ("bf16", "fp32")
