"""Choices of modules mean what they mean to PEFT."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists

from lorafw.adapters.layout.peft_patterns import chosen_modules

MODULES = [
    f"model.{stack}.{layer}.{part}"
    for stack in ("layers", "h")
    for layer in (0, 1, 12)
    for part in ("attn.q", "attn.k_q", "mlp.up", "mlp.experts.1.up")
]
MODULES += ["lm_head", "model.embed.q"]
suffixes = st.lists(st.sampled_from(["q", "up", "attn.q", "lm_head", MODULES[3]]), max_size=3)


@settings(deadline=None)
@given(
    target_modules=suffixes | st.sampled_from([r".*\.1\..*", r".*q", "model"]),
    exclude_modules=st.none() | suffixes | st.just(r".*mlp.*"),
    modules_to_save=st.none() | st.just(["lm_head"]) | st.just(["mlp"]),
    layers=st.none() | st.lists(st.integers(0, 12), max_size=2) | st.integers(0, 1),
    layers_pattern=st.none() | st.just("h") | st.just(["layers", "h"]),
)
def test_modules_are_chosen_as_peft_does(
    target_modules: Any,
    exclude_modules: Any,
    modules_to_save: Any,
    layers: Any,
    layers_pattern: Any,
) -> None:
    listed = isinstance(target_modules, list)
    values = {
        "target_modules": target_modules,
        "exclude_modules": exclude_modules,
        "modules_to_save": modules_to_save,
        "layers_to_transform": layers if listed else None,
        "layers_pattern": layers_pattern if listed and layers else None,
    }
    config = LoraConfig(**values)
    found = {name: check_target_module_exists(config, name) for name in MODULES}
    wanted = {
        n for n, is_one in found.items() if is_one and not isinstance(is_one, _ExcludedModule)
    }
    assert chosen_modules(values, MODULES) == wanted
