"""Tokens added to a vocabulary: kept whole, with rows of their own, and refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.data.cache.tokenizer_identity import tokenizer_identity
from lorafw.data.rendering.tokens import literal_ids, text_ids
from lorafw.errors import ConfigError, ModelError
from lorafw.models.added_tokens import added_ids, extend, make_room
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer
from lorafw.types import Task

CALL = "<|call|>"
TOKENS = (CALL, "quux")


def extended(*tokens: str) -> Any:
    tokenizer: Any = toy_tokenizer()
    extend(tokenizer, tokens)
    return tokenizer


def built(builder: Auto) -> ModelBundle:
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    return builder.build(request, builder.tokenizer())


def test_added_tokens_get_the_next_ids_in_order() -> None:
    known = len(toy_tokenizer().get_vocab())  # type: ignore[attr-defined]
    assert added_ids(extended(*TOKENS), TOKENS) == (known, known + 1)


def test_only_those_in_bars_are_special() -> None:
    tokenizer = extended(*TOKENS)
    ids = tokenizer.encode(f"cat{CALL}quux", add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == ["cat", "quux"]


@settings(max_examples=50, deadline=None)
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_they_are_kept_whole_in_any_text(before: str, after: str) -> None:
    tokenizer = extended(*TOKENS)
    ids = tokenizer.encode(f"{before}{CALL}{after}quux", add_special_tokens=False)
    assert all(number in ids for number in added_ids(tokenizer, TOKENS))


def test_they_are_found_before_the_text_is_normalised() -> None:
    from tokenizers.normalizers import Lowercase

    tokenizer: Any = toy_tokenizer()
    tokenizer.backend_tokenizer.normalizer = Lowercase()
    extend(tokenizer, ("Quux",))
    (number,) = added_ids(tokenizer, ("Quux",))
    assert number in tokenizer.encode("cat Quux")
    assert number not in tokenizer.encode("cat quux")


@settings(max_examples=50, deadline=None)
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_they_are_read_where_special_tokens_are_plain_text(before: str, after: str) -> None:
    """As in texts to classify, and by ChatGLM's tokenizers: others of the sort stay unread."""
    tokenizer = extended(*TOKENS)
    text = f"{before}</s>{CALL}quux<s>{after}"
    strict: Any = extended(*TOKENS)
    strict.split_special_tokens = strict.backend_tokenizer.encode_special_tokens = True
    for ids in (literal_ids(tokenizer, text), text_ids(strict, text)):
        assert all(number in ids for number in added_ids(tokenizer, TOKENS))
        assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids)


def test_a_saved_tokenizer_reads_them_in_plain_text_too(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = extended(*TOKENS)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = f"the{CALL}quux</s>"
    assert literal_ids(again, text) == literal_ids(tokenizer, text)
    assert set(added_ids(tokenizer, TOKENS)) <= set(literal_ids(again, text))


def test_a_saved_tokenizer_has_them(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = extended(*TOKENS)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = f"the{CALL}quux cat"
    assert again.encode(text) == tokenizer.encode(text)
    assert added_ids(again, TOKENS) == added_ids(tokenizer, TOKENS)


def test_cached_rows_of_the_old_vocabulary_are_not_taken() -> None:
    assert len({tokenizer_identity(extended(*t)) for t in ((), TOKENS, TOKENS[:1])}) == 3


def test_a_known_token_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match=r"model\.add_tokens: .* knows 'cat' .*trainable_tokens"):
        extended("quux", "cat")


def test_a_tokenizer_that_takes_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer: Any = toy_tokenizer()
    monkeypatch.setattr(tokenizer, "add_tokens", lambda *_, **__: 0)
    with pytest.raises(ModelError, match="does not keep 'quux' whole"):
        extend(tokenizer, ("quux",))


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        (["a", "a"], "there twice"),
        ([" "], "no blank"),
        ([3], "string"),
        (["\ud800"], "not valid Unicode"),
    ],
)
def test_a_senseless_list_is_refused(tokens: list[Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Auto.from_mapping({"path": "x", "add_tokens": tokens}, where="model")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_beyond_the_last_are_the_mean_rounded_once(tied: bool, dtype: torch.dtype) -> None:
    model = toy_llama(vocab_size=30, tie_word_embeddings=tied).to(dtype)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = make_room(model, extended(*TOKENS), TOKENS)
    assert rows == dict.fromkeys(
        ["model.embed_tokens"] if tied else ["model.embed_tokens", "lm_head"], (29, 30)
    )
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old, new = before[name], model.state_dict()[name]
        assert torch.equal(new[:30], old)
        assert torch.equal(new[30], old.float().mean(0).to(dtype))
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert model.config.vocab_size == model.lm_head.out_features == 31


def test_rows_to_spare_are_used_and_nothing_grows() -> None:
    model = toy_llama()
    before = model.get_input_embeddings().weight
    assert make_room(model, extended(*TOKENS), TOKENS)["lm_head"] == (29, 30)
    assert model.get_input_embeddings().weight is before


def test_no_random_number_is_drawn() -> None:
    model, state = toy_llama(vocab_size=29), torch.random.get_rng_state()
    make_room(model, extended(*TOKENS), TOKENS)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "phi", "qwen2"])
def test_every_family_computes_with_the_rows(family: Any, name: str) -> None:
    model = family(name, vocab_size=30).eval()
    ids = torch.tensor([[5, 6, 7]])
    before = model(input_ids=ids).logits
    make_room(model, extended(*TOKENS), TOKENS)
    after = model(input_ids=ids).logits
    assert after.shape[-1] == 31
    torch.testing.assert_close(after[..., :30], before, rtol=0, atol=1e-6)


def test_a_model_with_a_second_table_of_as_many_rows_is_not_grown() -> None:
    model = toy_llama(vocab_size=30)
    model.model.per_layer = torch.nn.Embedding(30, 4)
    with pytest.raises(ModelError, match="cannot grow the vocabulary of a 'llama'"):
        make_room(model, extended(*TOKENS), TOKENS)


def test_the_builder_keeps_the_identity_and_tells_the_vocabulary(tmp_path: Path) -> None:
    folder = str(toy_folder(tmp_path, vocab_size=30))
    plain, more = Auto(path=folder), Auto(path=folder, add_tokens=TOKENS)
    assert more.native_config() == {**plain.native_config(), "vocab_size": 31}
    bundle = built(more)
    assert bundle.base == built(plain).base
    assert bundle.token_rows == {"model.embed_tokens": (29, 30), "lm_head": (29, 30)}
    assert built(plain).token_rows == {}
