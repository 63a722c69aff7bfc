from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.errors import ModelError
from lorafw.models import segment_attention
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.types import Capability, Task

TAKE_SEGMENTS = ("llama", "qwen2", "gpt2", "cohere", "granite", "mixtral", "phi")
EXACT: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def bundle_of(model: Any) -> TransformersBundle:
    return TransformersBundle(model, toy_tokenizer(), base="sha256:0")


def rows_of(lengths: list[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randint(4, 64, (length,), generator=generator) for length in lengths]


def segments(rows: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    lengths = torch.tensor([0, *map(len, rows)])
    return {
        "input_ids": torch.cat(rows),
        "position_ids": torch.cat([torch.arange(len(row)) for row in rows]),
        "cu_seqlens": lengths.cumsum(0).int(),
    }


def padded(rows: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=3)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


@pytest.fixture(scope="module")
def llama() -> TransformersBundle:
    return bundle_of(toy_llama())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_segments_are_padded_rows_are_rows_alone(
    llama: TransformersBundle, lengths: list[int]
) -> None:
    rows = rows_of(lengths)
    alone = torch.cat([llama.hidden(padded([row])).rows[0] for row in rows])
    batch = padded(rows)
    torch.testing.assert_close(llama.hidden(segments(rows)).rows, alone, **EXACT)
    together = llama.hidden(batch).rows
    assert together.shape == (*batch["input_ids"].shape, 32)
    torch.testing.assert_close(together[batch["attention_mask"].bool()], alone, **EXACT)


@pytest.mark.parametrize("name", TAKE_SEGMENTS)
def test_families_that_take_segments_do_it_right(family: Any, name: str) -> None:
    bundle = bundle_of(family(name))
    assert bundle.capabilities == {Capability.SEGMENTS}
    rows = rows_of([5, 1, 9])
    alone = torch.cat([bundle.hidden(padded([row])).rows[0] for row in rows])
    torch.testing.assert_close(bundle.hidden(segments(rows)).rows, alone, **EXACT)


@pytest.mark.parametrize("name", [*TAKE_SEGMENTS, "gemma2", "hyperclovax"])
def test_logits_are_the_models_own(family: Any, name: str) -> None:
    bundle = bundle_of(family(name))
    batch = padded(rows_of([7, 11]))
    have = bundle.logits(bundle.hidden(batch).rows)
    want = bundle.module(**batch, use_cache=False).logits
    mask = batch["attention_mask"].bool()
    torch.testing.assert_close(have[mask], want[mask], **EXACT)


def test_a_soft_cap_on_scores_takes_no_segments(family: Any) -> None:
    assert bundle_of(family("gemma2")).capabilities == frozenset()


def test_a_window_that_attention_is_told_of_takes_segments(family: Any) -> None:
    assert bundle_of(family("mistral", sliding_window=4)).capabilities == {Capability.SEGMENTS}


def test_a_window_that_only_the_mask_knows_of_takes_no_segments(family: Any) -> None:
    model = family("qwen2")
    model.config.sliding_window = 4096  # the layers were made without one
    model.config.layer_types = ["full_attention", "sliding_attention"]
    model.model.has_sliding_layers = True
    assert bundle_of(model).capabilities == frozenset()


def test_a_model_that_would_mix_rows_takes_no_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(boundaries: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"attention_mask": torch.ones(1, int(boundaries[-1]))}

    monkeypatch.setattr(segment_attention, "segment_inputs", forgetful)
    bundle = bundle_of(toy_llama())
    assert bundle.capabilities == frozenset()
    config: Any = bundle.module.config
    assert config._attn_implementation == "sdpa"


def test_a_model_that_refuses_segments_takes_none() -> None:
    model = toy_llama()
    forward = model.model.forward

    def refusing(**inputs: Any) -> Any:
        if "cu_seq_lens_q" in inputs:
            raise TypeError("forward() got an unexpected keyword argument 'cu_seq_lens_q'")
        return forward(**inputs)

    model.model.forward = refusing
    assert bundle_of(model).capabilities == frozenset()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bf16_takes_segments_too(dtype: torch.dtype) -> None:
    bundle = bundle_of(toy_llama().to(dtype))
    assert Capability.SEGMENTS in bundle.capabilities
    assert bundle.hidden(segments(rows_of([3, 4]))).rows.dtype == dtype


@pytest.mark.parametrize("tied", [True, False])
def test_a_plain_head_shows_its_weight(tied: bool) -> None:
    model = toy_llama(tie_word_embeddings=tied)
    bundle = bundle_of(model)
    assert bundle.head_weight is model.lm_head.weight
    assert (bundle.head_weight is model.model.embed_tokens.weight) == tied


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite", "phi"])
def test_a_head_with_cap_scale_or_bias_does_not(family: Any, name: str) -> None:
    assert bundle_of(family(name)).head_weight is None


def test_a_head_that_trains_or_was_replaced_does_not() -> None:
    model = toy_llama()
    bundle = bundle_of(model)
    model.lm_head.weight.requires_grad_(True)
    assert bundle.head_weight is None
    model.lm_head = torch.nn.Sequential(torch.nn.Linear(32, 64, bias=False))
    assert bundle.head_weight is None


def test_everything_is_frozen_and_in_eval_mode(llama: TransformersBundle) -> None:
    assert not any(p.requires_grad for p in llama.module.parameters())
    assert not any(m.training for m in llama.module.modules())
    assert llama.task is Task.CAUSAL_LM


def test_targets_exist_in_the_model(llama: TransformersBundle) -> None:
    for name in llama.lora_targets:
        assert isinstance(llama.module.get_submodule(name), torch.nn.Linear)
    assert len(llama.lora_targets) == 14


def test_the_padding_id_has_an_embedding() -> None:
    bundle = bundle_of(toy_llama())
    assert bundle.pad_id == bundle.tokenizer.pad_token_id
    bundle.tokenizer.pad_token = "<a new token>"  # type: ignore[attr-defined]
    bundle.module.resize_token_embeddings(2)  # type: ignore[operator]
    assert bundle.pad_id == 0


def test_an_unknown_rule_for_logits_is_refused() -> None:
    model = toy_llama()
    forward = model.forward

    def doubled(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = output.logits * 2
        return output

    model.forward = doubled
    with pytest.raises(ModelError, match="does not know how 'llama' makes its logits"):
        bundle_of(model)


def test_a_model_that_looks_ahead_is_refused() -> None:
    with pytest.raises(ModelError, match="sees later tokens"):
        bundle_of(toy_llama(is_causal=False))


def test_a_decoder_that_does_not_say_where_it_is_is_found() -> None:
    model = toy_llama()
    model.get_decoder = lambda: model
    assert bundle_of(model).capabilities == {Capability.SEGMENTS}


def test_an_encoder_is_refused(family: Any) -> None:
    with pytest.raises(ModelError):
        bundle_of(family("bert"))


def test_weights_that_give_no_numbers_are_refused() -> None:
    model = toy_llama()
    model.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        bundle_of(model)
