"""What is special to the methods that train virtual tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AlbertForSequenceClassification, LlamaForSequenceClassification

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.builtin.prompt import Prompt
from lorafw.contracts import AdaptedModel, ModelBundle
from lorafw.errors import AdapterError, ConfigError, UsageError
from lorafw.inference.loaded import LoadedModel
from lorafw.models.classifier_bundle import ClassifierBundle
from lorafw.testing.exchange import load_with_peft, peft_logits
from lorafw.testing.toy_classifier import toy_pair_tokenizer
from lorafw.testing.toys import toy_bundle, toy_folder, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Layout
from lorafw_peft.injector import PeftInjector

EMBEDDINGS = "prompt_embeddings"
ROWS = toy_rows(3, seed=4)


def classifier(kind: Any, head: str) -> ModelBundle:
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "embedding_size": 16}
    parts = {"num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 3, "num_labels": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = kind(kind.config_class(**sizes, **parts))
    return ClassifierBundle(module, toy_pair_tokenizer(), base="toy", head_modules=(head,))


def made(method: str, base: Any = None, **options: Any) -> AdaptedModel:
    injector = PeftInjector(method=method, method_options={"num_virtual_tokens": 4, **options})
    return injector.inject(base or toy_bundle())


def embedding(model: AdaptedModel) -> torch.Tensor:
    module: Any = model.bundle.module
    weight: torch.Tensor = module.get_input_embeddings().weight.detach()
    return weight


def test_a_prompt_starts_from_a_text() -> None:
    options = {"prompt_tuning_init": "TEXT", "prompt_tuning_init_text": "the cat sat"}
    model = made("prompt_tuning", **options)
    ids = model.bundle.tokenizer.encode("the cat sat")
    assert torch.equal(model.state().tensors[EMBEDDINGS], embedding(model)[[*ids, ids[0]]])
    before = model.state().tensors[EMBEDDINGS]
    as_if_trained(model)
    model.reset(seed=7)
    assert torch.equal(model.state().tensors[EMBEDDINGS], before)
    assert "prompt_tuning_init_text" not in model.state().spec.options


def test_a_prompt_starts_from_drawn_words() -> None:
    model = made("prompt_tuning", prompt_tuning_init="SAMPLE_VOCAB")
    drawn = model.state().tensors[EMBEDDINGS]
    words = embedding(model)
    assert all((words == row).all(-1).any() for row in drawn)


def test_a_prefix_starts_from_zero() -> None:
    assert not made("prefix_tuning", init_weights="zero").state().tensors[EMBEDDINGS].any()


def test_a_prefix_has_keys_and_values_of_the_heads_they_are_shared_among() -> None:
    model = made("prefix_tuning")  # 2 layers, 2 heads of keys for 4 of queries, 8 wide
    assert model.state().tensors[EMBEDDINGS].shape == (4, 2 * 2 * 2 * 8)
    assert list(model.trainable()) == [EMBEDDINGS]


@pytest.mark.parametrize(
    ("method", "options", "width"),
    [
        ("p_tuning", {}, 32),
        ("p_tuning", {"encoder_reparameterization_type": "LSTM"}, 32),
        ("prefix_tuning", {"prefix_projection": True}, 64),
    ],
)
def test_an_encoders_tokens_take_values_bit_for_bit_and_learn_on(
    method: str, options: dict[str, Any], width: int
) -> None:
    model = made(method, **options)
    assert EMBEDDINGS not in model.trainable()
    values = torch.randn(4, width, generator=torch.Generator().manual_seed(0))
    model.load_state({EMBEDDINGS: values})
    assert torch.equal(model.state().tensors[EMBEDDINGS], values)
    ids = torch.tensor([[4, 5, 6]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model.bundle.hidden(inputs).rows.exp().sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in model.trainable().items()}
    assert all(gradient is not None and gradient.any() for gradient in gradients.values())
    model.reset(seed=0)
    assert not model.training_state()


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(AdapterError, match=r"\[3, 32\], the model needs \[4, 32\]"):
        made("p_tuning").load_state({EMBEDDINGS: torch.zeros(3, 32)})
    with pytest.raises(AdapterError, match=r"token_dim is 64, this model's is 32"):
        made("prompt_tuning", token_dim=64)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    virtual=st.integers(1, 6),
    method=st.sampled_from(["prompt_tuning", "p_tuning"]),
)
def test_segments_are_what_rows_are_alone(lengths: list[int], virtual: int, method: str) -> None:
    model = made(method, BASE_OF[method], num_virtual_tokens=virtual)
    try:
        rows = [Encoded(ids := list(range(4, 4 + length)), ids) for length in lengths]
        together = logits_of(model.bundle, rows, Layout.SEGMENTS)
        alone = torch.cat([logits_of(model.bundle, [row]) for row in rows])
    finally:
        model._remove()  # type: ignore[attr-defined]
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-5)


def test_a_prefix_refuses_segments() -> None:
    with pytest.raises(AdapterError, match="before segments"):
        logits_of(made("prefix_tuning").bundle, ROWS, Layout.SEGMENTS)


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_rows_must_leave_positions_for_virtual_tokens(method: str) -> None:
    bundle = made(method, toy_gpt2_bundle()).bundle
    long = Encoded([5] * 124, [5] * 124)
    assert logits_of(bundle, [long]).isfinite().all()
    with pytest.raises(AdapterError, match="129 tokens with its virtual ones, the model 128"):
        logits_of(bundle, [Encoded([5] * 125, [5] * 125)])


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_an_answer_leaves_positions_for_virtual_tokens(method: str) -> None:
    adapted = made(method, toy_gpt2_bundle())
    model = LoadedModel(adapted.bundle, Prompt(), adapted)
    assert 0 < len(model.continue_ids([5] * 120, max_new_tokens=50)) <= 4
    assert 0 < len(model.continue_ids([5] * 123, max_new_tokens=50, stop="no")) <= 1
    with pytest.raises(UsageError, match="context is 128, 4 of them the adapter's"):
        model.continue_ids([5] * 124)


def test_another_adapter_beside_it_is_refused() -> None:
    model = made("prompt_tuning")
    with pytest.raises(AdapterError, match="carries an adapter already"):
        PeftInjector().inject(model.bundle)
    bundle = toy_bundle()
    PeftInjector().inject(bundle)
    with pytest.raises(AdapterError, match="carries an adapter already"):
        made("prompt_tuning", bundle)


def test_it_cannot_be_merged() -> None:
    with pytest.raises(AdapterError, match="cannot be merged"):
        next(made("prompt_tuning").merged_state())


def test_a_model_that_does_not_look_at_a_prefix_is_refused_and_left_alone() -> None:
    bundle = classifier(AlbertForSequenceClassification, "classifier")
    with pytest.raises(AdapterError, match="has no effect on this model"):
        made("prefix_tuning", bundle)
    assert made("prompt_tuning", bundle).trainable()[EMBEDDINGS].shape == (4, 16)


def test_a_decoders_score_is_that_of_the_last_real_token() -> None:
    model = made("prompt_tuning", classifier(LlamaForSequenceClassification, "score"))
    ids, mask = torch.tensor([[5, 6, 7, 3, 3]]), torch.tensor([[1, 1, 1, 0, 0]])
    with torch.no_grad():
        padded = model.bundle.hidden({"input_ids": ids, "attention_mask": mask}).rows
        alone = model.bundle.hidden({"input_ids": ids[:, :3], "attention_mask": mask[:, :3]}).rows
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("method", "options", "fault"),
    [
        ("prompt_tuning", {"num_virtual_token": 4}, "Did you mean 'num_virtual_tokens'"),
        ("prompt_tuning", {"num_virtual_tokens": 0}, "num_virtual_tokens: is too small: 0"),
        ("prompt_tuning", {"num_virtual_tokens": "x"}, "num_virtual_tokens: Input should be"),
        ("prompt_tuning", {"prompt_tuning_init": "WORDS"}, "TEXT, SAMPLE_VOCAB, RANDOM"),
        ("prompt_tuning", {"prompt_tuning_init": "TEXT"}, "prompt_tuning_init_text can't be None"),
        ("prompt_tuning", {"tokenizer_name_or_path": "x"}, "the model's own tokenizer"),
        ("p_tuning", {"encoder_reparameterization_type": "GRU"}, "Choose one of: MLP, LSTM"),
        ("prefix_tuning", {"init_weights": "ones"}, "init_weights"),
    ],
)
def test_a_wrong_option_is_explained(method: str, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=r"injector\.method_options") as caught:
        PeftInjector(method=method, method_options=options).preflight()
    assert fault in str(caught.value)


def test_an_option_of_adapters_in_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"injector\.r: method p_tuning has no such option"):
        PeftInjector(method="p_tuning", r=4).preflight()


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning", "p_tuning"])
def test_a_saved_adapter_answers_as_it_did(method: str, tmp_path: Path) -> None:
    base, adapter = toy_folder(tmp_path / "base"), tmp_path / "adapter"
    trained = lorafw.load(base, device="cpu").bundle
    model = made(method, trained)
    as_if_trained(model)
    adapter.mkdir()
    write_adapter(adapter, model.state(), base_path=str(base), recipe={})
    found, plain = lorafw.load(adapter, device="cpu"), lorafw.load(base, device="cpu")
    ids = [5, 9, 7, 12, 6]
    assert torch.equal(found.logits(ids), logits_of(trained, [Encoded(ids, ids)]))
    assert found.continue_ids(ids, max_new_tokens=8) != plain.continue_ids(ids, max_new_tokens=8)
    assert torch.equal(found.logits(ids, adapter=False), plain.logits(ids))


def test_a_module_that_is_trained_whole_goes_to_peft_with_it(tmp_path: Path) -> None:
    injector = PeftInjector(method="prompt_tuning", modules_to_save=("lm_head",))
    model, base = injector.inject(toy_bundle()), toy_bundle()
    as_if_trained(model)
    assert set(model.trainable()) == {EMBEDDINGS, "lm_head.weight"}
    found = peft_logits(load_with_peft(base, model, tmp_path), base, ROWS)
    torch.testing.assert_close(found, logits_of(model.bundle, ROWS), atol=1e-5, rtol=1e-5)
    with model.disabled():
        assert torch.equal(logits_of(model.bundle, ROWS), logits_of(toy_bundle(), ROWS))


BASE_OF = {"prompt_tuning": toy_bundle(), "p_tuning": toy_bundle()}
