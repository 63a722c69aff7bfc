"""Which layers are adapted, by their numbers or as the last ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.adapters.live.layer_choice import top_numbers, within_layers
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.toys import toy_bundle


def spec_of(injector: str = "custom", **options: Any) -> Any:
    part: Any = Registry().load("injector", injector)
    bundle = toy_bundle(num_hidden_layers=3)
    return part.from_mapping(options, where="injector").spec(bundle)


@pytest.mark.parametrize("injector", ["custom", "peft"])
def test_top_layers_are_the_last_ones(injector: str) -> None:
    top, by_number = (
        spec_of(injector, **options)
        for options in ({"top_layers": 2}, {"layers_to_transform": [1, 2]})
    )
    assert top == by_number
    assert {name.split(".")[2] for name in top.targets} == {"1", "2"}


def test_modules_in_no_layer_stay() -> None:
    targets = spec_of(top_layers=1, target_modules=["q_proj", "lm_head"]).targets
    assert set(targets) == {"model.layers.2.self_attn.q_proj", "lm_head"}


@given(st.sets(st.integers(0, 40), min_size=1), st.integers(1, 45))
def test_as_many_as_are_asked_for_or_an_error(numbers: set[int], top: int) -> None:
    names = {f"model.layers.{number}.{part}" for number in numbers for part in ("q", "v")}
    if top > len(numbers):
        with pytest.raises(AdapterError, match=f"{top} layers are asked for, and {len(numbers)}"):
            top_numbers(names, top)
        return
    chosen = top_numbers(names, top)
    assert chosen == tuple(sorted(numbers)[-top:])
    assert within_layers(names, chosen) == {n for n in names if int(n.split(".")[2]) in chosen}


@pytest.mark.parametrize("injector", ["custom", "peft"])
@pytest.mark.parametrize(
    ("options", "where", "fault"),
    [
        ({"top_layers": 1, "layers_to_transform": [1]}, "top_layers", "is set as well"),
        ({"top_layers": 0}, "top_layers", "greater than or equal to 1"),
        ({"prefix_cache": True}, "prefix_cache", "none are left out.*injector.top_layers"),
        (
            {"prefix_cache": True, "layers_to_transform": [0, 2]},
            "prefix_cache",
            "layer 0 is adapted",
        ),
        (
            {"prefix_cache": True, "top_layers": 1, "trainable_tokens": ["cat"]},
            "prefix_cache",
            "trainable_tokens are set",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_model(
    injector: str, options: dict[str, Any], where: str, fault: str
) -> None:
    part: Any = Registry().load("injector", injector)
    with pytest.raises(ConfigError, match=fault) as caught:
        part.from_mapping(options, where="injector")
    assert caught.value.where == f"injector.{where}"


@pytest.mark.parametrize("injector", ["custom", "peft"])
def test_an_injector_for_a_finished_adapter_chooses_no_layers(injector: str) -> None:
    part: Any = Registry().load("injector", injector)
    chosen = part.from_mapping({"top_layers": 1, "prefix_cache": True}, where="injector")
    assert chosen.caches_prefix
    again = chosen.for_spec(chosen.spec(toy_bundle()))
    assert again.top_layers is None
    assert not again.caches_prefix
    assert again.spec(toy_bundle()).targets == chosen.spec(toy_bundle()).targets
