"""Adapters for a head or an embedding that share one weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.adapters.live.folding import FoldedAdapter
from lorafw.adapters.live.targets import base_modules
from lorafw.adapters.live.untying import shared_weights, untie
from lorafw.models.names import checkpoint_names
from lorafw.testing.toys import toy_llama
from lorafw.types import AdapterSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ModelBundle

    BuildBundle = Callable[..., ModelBundle]
    Inject = Callable[..., AdaptedModel]

EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
APART = [
    {"target_modules": ["q_proj", HEAD]},
    {"target_modules": ["q_proj", "embed_tokens"]},
    {"target_modules": ["embed_tokens", HEAD]},
    {"target_modules": ["q_proj"], "modules_to_save": [HEAD]},
    {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", HEAD]},
    {"target_modules": ["q_proj"], "trainable_tokens": {EMBEDDING: [5, 9], HEAD: [9, 30]}},
]
each_way = pytest.mark.parametrize("options", APART)
IDS = torch.tensor([[5, 9, 11, 4, 30, 22, 7], [17, 3, 8, 60, 41, 6, 12]])


@torch.no_grad()
def logits(module: Any) -> Tensor:
    found: Tensor = module(input_ids=IDS).logits
    return found


def trained(model: AdaptedModel) -> AdaptedModel:
    """Values as if trained, other ones for every tensor."""
    generator = torch.Generator().manual_seed(7)
    live = model.trainable().items()
    change = {name: torch.randn(p.shape, generator=generator) / 5 for name, p in live}
    model.load_state({name: p.detach() + change[name] for name, p in live})
    return model


@each_way
def test_merged_is_adapted_and_the_base_comes_back_bit_for_bit(
    build_bundle: BuildBundle, inject: Inject, options: dict[str, Any]
) -> None:
    bundle = build_bundle(tied=True)
    base = logits(bundle.module)
    model = trained(inject(bundle, **options))
    adapted = logits(bundle.module)
    with model.disabled():
        assert torch.equal(logits(bundle.module), base)
    plain = build_bundle(tied=False).module
    plain.load_state_dict(dict(model.merged_state()))
    torch.testing.assert_close(logits(plain), adapted, rtol=0, atol=1e-5)
    folded = FoldedAdapter(model, keep_base=True)
    torch.testing.assert_close(logits(bundle.module), adapted, rtol=0, atol=1e-5)
    folded.unfold()
    assert torch.equal(logits(bundle.module), adapted)
    with model.disabled():
        assert torch.equal(logits(bundle.module), base)


@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings=True:UserWarning")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@each_way
def test_plain_peft_computes_the_same_on_the_tied_base(
    tmp_path: Path,
    toy_bases: dict[bool, Path],
    build_bundle: BuildBundle,
    inject: Inject,
    options: dict[str, Any],
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    bundle = build_bundle(tied=True)
    model = trained(inject(bundle, **options))
    modules = base_modules(bundle.module, model.spec.targets)
    write_adapter(tmp_path, model.state(), base_path=None, recipe={}, modules=modules)
    base = AutoModelForCausalLM.from_pretrained(toy_bases[True])
    loaded = PeftModel.from_pretrained(base, str(tmp_path))
    torch.testing.assert_close(logits(loaded), logits(bundle.module), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        AdapterSpec(rank=2, alpha=4, targets=("model.layers.0.self_attn.q_proj",)),
        AdapterSpec(rank=2, alpha=4, targets=(), token_rows={EMBEDDING: (5, 9)}),
    ],
)
def test_what_acts_on_both_leaves_them_tied(spec: AdapterSpec) -> None:
    module = toy_llama(tie_word_embeddings=True)
    untie(module, spec)
    assert shared_weights(module) == [[f"{EMBEDDING}.weight", f"{HEAD}.weight"]]
    assert f"{HEAD}.weight" not in checkpoint_names(module)
    assert module.config.tie_word_embeddings


def test_taken_apart_they_are_equal_and_both_have_names() -> None:
    module = toy_llama(tie_word_embeddings=True)
    untie(module, AdapterSpec(rank=2, alpha=4, targets=(HEAD,)))
    assert shared_weights(module) == []
    assert module.lm_head.weight.equal(module.model.embed_tokens.weight)
    assert f"{HEAD}.weight" in checkpoint_names(module)
    assert not module.config.tie_word_embeddings
