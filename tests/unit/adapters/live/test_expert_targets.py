"""How experts that are one tensor are named as targets."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.adapters.live.targets import parameters_among, select_targets
from lorafw.contracts import ModelBundle
from lorafw.errors import AdapterError
from lorafw.testing.toy_experts import toy_experts_bundle

UP, DOWN = (f"model.layers.{{}}.mlp.experts.{key}" for key in ("gate_up_proj", "down_proj"))
ALL = tuple(name.format(layer) for layer in range(2) for name in (UP, DOWN))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return toy_experts_bundle("qwen3_moe")


@pytest.mark.parametrize("wanted", ["all-linear", "square", ".*", r".*layers\.0.*"])
def test_they_are_left_out_unless_they_are_named(bundle: ModelBundle, wanted: str) -> None:
    assert not parameters_among(bundle.module, select_targets(bundle, wanted))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["experts"], ALL),
        (["mlp.experts"], ALL),
        (["gate_up_proj", "down_proj"], ALL),
        (["experts.down_proj"], ALL[1::2]),
        ([ALL[2]], ALL[2:3]),
        (r".*layers\.1\..*(gate_up_proj|down_proj)", ALL[2:]),
    ],
)
def test_they_are_named_by_module_or_parameter(
    bundle: ModelBundle, wanted: Any, found: tuple[str, ...]
) -> None:
    assert select_targets(bundle, wanted) == found


def test_they_come_behind_the_modules(bundle: ModelBundle) -> None:
    chosen = select_targets(bundle, ["experts.down_proj", "q_proj"])
    assert chosen[2:] == parameters_among(bundle.module, chosen) == ALL[1::2]


def test_layers_and_exclusions_hold_for_them_too(bundle: ModelBundle) -> None:
    chosen = select_targets(bundle, ["experts"], exclude=["gate_up_proj"], layers=[1])
    assert chosen == ALL[3:]


@pytest.mark.parametrize("wrong", ["expert", "gate_proj", "gate_up"])
def test_near_misses_name_them(bundle: ModelBundle, wrong: str) -> None:
    with pytest.raises(AdapterError, match=r"Near misses: .*(experts|gate_up_proj)"):
        select_targets(bundle, [wrong])


def test_a_router_is_no_target(bundle: ModelBundle) -> None:
    with pytest.raises(AdapterError, match="only linear layers and embeddings"):
        select_targets(bundle, ["mlp.gate"])
