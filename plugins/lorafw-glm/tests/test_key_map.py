from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw_glm.key_map import Rows, glm_modules, is_recomputed, original_module


def test_every_name_of_the_original_has_its_place_and_leads_back(shared: Path) -> None:
    meta = json.loads((shared / "golden/chatglm2/meta.json").read_text(encoding="utf-8"))
    for name in meta["state_dict"]:
        module = name.removesuffix(".weight")
        if is_recomputed(name):
            continue
        modules = glm_modules(module)
        assert len(modules) == (3 if module.endswith("query_key_value") else 1)
        assert {original_module(found) for found in modules} == {module}


@pytest.mark.parametrize("name", ["transformer.encoder.layers.0.mlp", "lm_head", "x", ""])
def test_other_names_have_no_place(name: str) -> None:
    assert glm_modules(name) == ()


@pytest.mark.parametrize("name", ["model.layers.0.self_attn", "model.layers.0.mlp.up_proj", "x"])
def test_other_modules_have_no_counterpart(name: str) -> None:
    assert original_module(name) is None


def test_rows_of_the_fused_linear() -> None:
    fields = {"num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128}
    assert Rows.of(fields).sizes == [4096, 256, 256]
