from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import AdapterError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import AdapterSpec, AdapterState, Task, canonical_pair
from lorafw_glm.adapter_names import to_glm, to_original
from lorafw_glm.key_map import Rows
from lorafw_glm.model import Glm

ROWS = Rows(query=6, key=4)
FUSED = "transformer.encoder.layers.0.self_attention.query_key_value"
QKV = [f"model.layers.0.self_attn.{name}_proj" for name in "qkv"]
DOWN = "model.layers.3.mlp.down_proj"


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelBundle, Any]:
    words = tmp_path_factory.mktemp("words")
    toy_tokenizer().save_pretrained(words)
    folder = shared / "golden" / "chatglm2"
    options = {"path": str(folder / "hf-safetensors"), "tokenizer_path": str(words)}
    builder = Glm.from_mapping(options, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    return builder.build(request, builder.tokenizer()), np.load(folder / "arrays.npz")


@torch.no_grad()
def test_an_adapter_of_the_original_gives_its_logits(
    golden: tuple[ModelBundle, Any], shared: Path
) -> None:
    bundle, arrays = golden
    module: Any = bundle.module
    original = read_adapter(shared / "golden" / "chatglm2" / "adapter_qkv_lora")
    state = to_glm(original, Rows.of(module.config.to_dict()))
    assert len(state.spec.targets) == 3 * len(original.spec.targets)
    adapted = ToyInjector().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    module.eval()
    logits = module(input_ids=torch.tensor(arrays["input_ids"]).long()).logits
    torch.testing.assert_close(logits, torch.tensor(arrays["logits_lora"]), atol=1e-4, rtol=0)
    back = to_original(adapted.state(), Rows.of(module.config.to_dict()))
    assert adapter_digest(back) == adapter_digest(original)


def update(state: AdapterState, module: str) -> torch.Tensor:
    down, up = (state.tensors[name].double() for name in canonical_pair(module))
    return state.spec.scaling_of(module) * up @ down


def random_state(ranks: dict[str, int], alphas: dict[str, float], **spec: Any) -> AdapterState:
    heights = {QKV[0]: 6, QKV[1]: 4, QKV[2]: 4, DOWN: 5}
    generator = torch.Generator().manual_seed(len(ranks))
    tensors = {}
    for module, rank in ranks.items():
        down, up = canonical_pair(module)
        tensors[down] = torch.randn(rank, 7, generator=generator)
        tensors[up] = torch.randn(heights[module], rank, generator=generator)
    whole = AdapterSpec(
        2, 4.0, tuple(ranks), rank_pattern=ranks, alpha_pattern=alphas, dropout=0.1, **spec
    )
    return AdapterState(whole, tensors)


@settings(max_examples=60, deadline=None)
@given(
    ranks=st.dictionaries(st.sampled_from([*QKV, DOWN]), st.integers(1, 5), min_size=1),
    alphas=st.dictionaries(st.sampled_from([*QKV, DOWN]), st.floats(0.5, 32)),
    rslora=st.booleans(),
)
def test_the_fused_update_is_the_three_one_below_the_other(
    ranks: dict[str, int], alphas: dict[str, float], rslora: bool
) -> None:
    state = random_state(ranks, alphas, use_rslora=rslora)
    fused = to_original(state, ROWS)
    assert (fused.spec.dropout, fused.spec.use_rslora) == (0.1, rslora)
    heights = dict(zip(QKV, ROWS.sizes, strict=True))
    parts = [update(state, m) if m in ranks else torch.zeros(heights[m], 7) for m in QKV]
    if set(QKV) & set(ranks):
        want = torch.cat([part.double() for part in parts])
        torch.testing.assert_close(update(fused, FUSED), want, rtol=1e-5, atol=1e-5)
        assert fused.spec.rank_of(FUSED) == sum(ranks[m] for m in QKV if m in ranks)
    if DOWN in ranks:
        torch.testing.assert_close(
            update(fused, "transformer.encoder.layers.3.mlp.dense_4h_to_h"), update(state, DOWN)
        )
    again = to_glm(fused, ROWS)
    for module in ranks:
        torch.testing.assert_close(
            update(again, module), update(state, module), rtol=1e-5, atol=1e-5
        )


def test_one_a_in_all_three_stays_one() -> None:
    original = to_original(random_state(dict.fromkeys(QKV, 2), {}), ROWS)
    assert original.spec.rank == 6
    back = to_original(to_glm(original, ROWS), ROWS)
    assert back.spec == original.spec
    assert all(torch.equal(back.tensors[n], t) for n, t in original.tensors.items())


def test_another_models_adapter_is_refused() -> None:
    original = to_original(random_state(dict.fromkeys(QKV, 2), {}), ROWS)
    with pytest.raises(AdapterError, match="update of 14 rows, the model 16"):
        to_glm(original, Rows(query=8, key=4))
    llama = "model.layers.0.mlp.up_proj"
    with pytest.raises(AdapterError, match="up_proj is no module of ChatGLM2"):
        to_glm(AdapterState(AdapterSpec(1, 1.0, (llama,)), {}), ROWS)
    with pytest.raises(AdapterError, match="up_proj has no counterpart"):
        to_original(AdapterState(AdapterSpec(1, 1.0, (llama,)), {}), ROWS)
    with pytest.raises(AdapterError, match="lm_head is trained whole"):
        to_original(AdapterState(AdapterSpec(1, 1.0, (), trained=("lm_head",)), {}), ROWS)
    rows = AdapterSpec(1, 1.0, (), token_rows={"lm_head": (3,)})
    with pytest.raises(AdapterError, match="rows of lm_head are trained"):
        to_original(AdapterState(rows, {}), ROWS)
