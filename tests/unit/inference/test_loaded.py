from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lorafw
from lorafw.builtin.templates.gsm8k import Gsm8k
from lorafw.builtin.templates.text import Text
from lorafw.errors import UsageError
from lorafw.inference.loaded import LoadedModel
from lorafw.testing.toys import toy_folder
from lorafw.types import Message

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }} {{ m.content }}{% if m.role == 'assistant' %}</s>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<s>assistant {% endif %}"
)


@pytest.fixture(scope="module")
def model(toy: Path) -> LoadedModel:
    return lorafw.load(toy, device="cpu")


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = toy_folder(tmp_path_factory.mktemp("talker"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return lorafw.load(folder, device="cpu")


def greedy_by_hand(model: LoadedModel, ids: list[int], count: int) -> list[int]:
    """The likeliest token, one after the other, each from a fresh pass over all before it."""
    found: list[int] = []
    while len(found) < count and not set(found[-1:]) & set(model.stop_ids):
        found.append(int(model.logits([*ids, *found])[-1].argmax()))
    return found


@pytest.mark.parametrize("ids", [[1, 5], [1, 9, 7, 12, 6], [1]])
def test_greedy_takes_the_likeliest_token(model: LoadedModel, ids: list[int]) -> None:
    have = model.continue_ids(ids, max_new_tokens=20)
    assert have == greedy_by_hand(model, ids, 20)


def test_decoding_habits_of_the_files_are_not_followed(tmp_path: Path, model: LoadedModel) -> None:
    folder = toy_folder(tmp_path)
    habits = {"repetition_penalty": 9.0, "do_sample": True, "top_k": 3, "eos_token_id": [2, 40]}
    (folder / "generation_config.json").write_text(json.dumps(habits))
    other = lorafw.load(folder, device="cpu")
    assert other.stop_ids == (2, 40)
    assert other.continue_ids([1, 5], max_new_tokens=20) == greedy_by_hand(other, [1, 5], 20)


def test_an_answer_ends_at_a_stop_id(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "stop_ids", ())
    endless = model.continue_ids([1, 5], max_new_tokens=20)
    assert len(endless) == 20
    stop = endless[6]
    monkeypatch.setattr(model, "stop_ids", (stop,))
    until_stop = endless[: endless.index(stop) + 1]
    assert model.continue_ids([1, 5], max_new_tokens=20) == until_stop


def test_the_answer_is_what_follows_the_prompt(model: LoadedModel) -> None:
    given = list(model.encode("the cat").input_ids)
    ids = model.continue_ids(given, max_new_tokens=8)
    want = model.bundle.tokenizer.decode(ids, skip_special_tokens=True)
    assert model.generate("the cat", max_new_tokens=8) == want


def test_draws_are_a_function_of_the_seed(model: LoadedModel) -> None:
    def draw(seed: int, **options: Any) -> list[int]:
        return model.continue_ids([1, 5], max_new_tokens=12, seed=seed, **options)

    torch.manual_seed(1)
    first = draw(0, temperature=3.0)
    torch.manual_seed(2)
    assert draw(0, temperature=3.0) == first
    assert any(draw(seed, temperature=3.0) != first for seed in range(1, 5))
    assert draw(7, temperature=3.0, top_p=1e-6) == draw(0)


def test_drawing_leaves_torchs_generator_alone(model: LoadedModel) -> None:
    torch.manual_seed(1)
    want = torch.rand(1)
    torch.manual_seed(1)
    model.continue_ids([1, 5], max_new_tokens=3, temperature=1.0)
    assert torch.equal(torch.rand(1), want)


def test_a_conversation_is_rendered_by_the_template(talker: LoadedModel) -> None:
    turns = [Message("user", "the cat"), Message("assistant", "sat"), Message("user", "on a mat")]
    text = "<s>user the cat<s>assistant sat</s><s>user on a mat<s>assistant "
    want = talker.bundle.tokenizer.encode(text, add_special_tokens=False)
    assert list(talker.encode(turns).input_ids) == want
    assert talker.encode("the cat") == talker.encode(turns[:1])


def test_a_model_without_a_template_takes_one_turn(model: LoadedModel) -> None:
    assert model.encode([Message("user", "the cat")]) == model.encode("the cat")
    with pytest.raises(UsageError, match="not conversations"):
        model.encode([Message("system", "fly"), Message("user", "the cat")])
    with pytest.raises(UsageError, match="conversation is empty"):
        model.encode([])


def test_a_prompt_is_not_cut(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match=r"prompt has \d+ tokens, the model's context is 128"):
        model.generate("the cat " * 80)


def test_an_answer_stays_within_the_context(model: LoadedModel) -> None:
    assert len(model.continue_ids([5] * 126, max_new_tokens=20)) <= 2


def test_an_empty_prompt_is_an_error(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match="prompt is empty"):
        model.continue_ids([])


@pytest.mark.parametrize("token", [-1, 10**6])
def test_tokens_that_the_model_does_not_have_are_errors(model: LoadedModel, token: int) -> None:
    with pytest.raises(UsageError, match=f"no token {token}"):
        model.continue_ids([1, token])
    with pytest.raises(UsageError, match=f"no token {token}"):
        model.continue_ids([1], bias={token: 1.0})


def test_half_a_character_cannot_be_measured(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match="not valid Unicode at character 1"):
        model.perplexity("a\ud800")


def test_one_text_is_not_several_prompts(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match="must be a list"):
        model.generate_many("the cat")


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"max_new_tokens": 0}])
def test_values_out_of_range_are_errors(model: LoadedModel, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needed"):
        model.continue_ids([1], **wrong)


def test_real_weights_give_reference_text_and_logits(shared: Path) -> None:
    expected = json.loads((shared / "models/stories260k.expected.json").read_text())
    model = lorafw.load(shared / "models/stories260k-llama", device="cpu")
    greedy, logits = expected["greedy"], expected["logits"]
    ids = greedy["start_ids"] + model.continue_ids(greedy["start_ids"], max_new_tokens=200)
    assert ids == greedy["ids"]
    assert model.bundle.tokenizer.decode(ids, skip_special_tokens=True) == greedy["text"]
    have = model.logits(logits["input_ids"])[logits["positions"]].double()
    want = torch.tensor(logits["values"], dtype=torch.float64)
    torch.testing.assert_close(have, want, rtol=0, atol=1e-4)


def test_a_prompt_is_not_cut_as_rows_of_training_are(model: LoadedModel) -> None:
    short = Gsm8k(max_length=16, max_prompt_length=8)
    asked = LoadedModel(model.bundle, short).encode("the cat sat on a mat " * 4)
    assert len(asked.input_ids) > 24
    assert asked.cut == 0


def test_an_encoder_of_plain_text_is_asked_to_go_on(model: LoadedModel) -> None:
    tokenizer = model.bundle.tokenizer
    asked = LoadedModel(model.bundle, Text()).encode("the cat sat")
    assert list(asked.input_ids) == tokenizer.encode("the cat sat")
