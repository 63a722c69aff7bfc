from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.adapters.live.folding import FoldedAdapter
from lorafw.errors import AdapterError
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance, logits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts import AdaptedModel, ModelBundle

ROWS = toy_rows(3, seed=4)
INJECTORS = sorted(entry_points(group="lorafw.injectors").names - {"full"})
FORMS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "full-rank": {"r": 32, "target_modules": ["q_proj"]},
    "rank-1": {"r": 1},
    "head-saved": {"modules_to_save": ["lm_head"]},
}


@pytest.fixture(params=INJECTORS)
def injected(request: pytest.FixtureRequest) -> Callable[..., AdaptedModel]:
    (entry,) = entry_points(group="lorafw.injectors", name=request.param)

    def make(bundle: ModelBundle, **options: Any) -> AdaptedModel:
        part: Any = entry.load().from_mapping({"r": 4, **options}, where="injector")
        model: AdaptedModel = part.inject(bundle)
        as_if_trained(model)
        return model

    return make


def weights(bundle: ModelBundle) -> dict[str, torch.Tensor]:
    """Copies of all that the module holds, whatever it is called now."""
    return {name: tensor.clone() for name, tensor in bundle.module.state_dict().items()}


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        torch.equal(tensor, wanted[name]) for name, tensor in found.items()
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-5), ("bf16", 0.03)])
def test_folded_computes_the_same_and_unfolded_is_as_before(
    injected: Callable[..., AdaptedModel], form: str, dtype: str, tolerance: float
) -> None:
    bundle = toy_bundle(dtype, tie_word_embeddings=False)
    model = injected(bundle, **FORMS[form])
    before, adapted = weights(bundle), logits_of(bundle, ROWS)
    folded = FoldedAdapter(model, keep_base=True)
    assert distance(logits_of(bundle, ROWS), adapted) < tolerance
    assert not same(weights(bundle), before)
    folded.unfold()
    assert torch.equal(logits_of(bundle, ROWS), adapted)
    assert same(weights(bundle), before), "a weight did not come back bit for bit"


def test_transposed_weights_are_folded_too(injected: Callable[..., AdaptedModel]) -> None:
    bundle = toy_gpt2_bundle()
    model = injected(bundle)
    adapted = logits_of(bundle, ROWS)
    folded = FoldedAdapter(model, keep_base=True)
    assert distance(logits_of(bundle, ROWS), adapted) < 1e-5
    folded.unfold()
    assert torch.equal(logits_of(bundle, ROWS), adapted)


def test_a_tied_head_follows_its_embedding(injected: Callable[..., AdaptedModel]) -> None:
    bundle = toy_bundle(tie_word_embeddings=True)
    model = injected(bundle)
    adapted = logits_of(bundle, ROWS)
    folded = FoldedAdapter(model, keep_base=True)
    assert distance(logits_of(bundle, ROWS), adapted) < 1e-5
    folded.unfold()
    module: Any = bundle.module
    assert module.lm_head.weight is module.model.embed_tokens.weight


def test_what_was_not_kept_cannot_come_back(injected: Callable[..., AdaptedModel]) -> None:
    folded = FoldedAdapter(injected(toy_bundle()), keep_base=False)
    with pytest.raises(AdapterError, match="were not kept"):
        folded.unfold()
