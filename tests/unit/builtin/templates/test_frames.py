"""Templates that put text around a prompt: what they write, and what of it survives a cut."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.templates.alpaca import Alpaca
from lorafw.builtin.templates.code import Code
from lorafw.builtin.templates.gsm8k import Gsm8k
from lorafw.builtin.templates.metamath import MetaMath
from lorafw.builtin.templates.pair import Framed
from lorafw.data.rendering.tokens import opening_ids, text_ids
from lorafw.errors import CompositionError
from lorafw.types import Encoded, Message, PromptExample, TextExample

BARE = PromptExample("How many?", "72")
ALPACA = "Below is an instruction that describes a task. Write a response that appropriately "
ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides "
    "further context. Write a response that appropriately completes the request.\n\n"
)
FULL = PromptExample("Add them.", "72", "48 and 24")


def encoded(encoder: Framed, pair: PromptExample, tokenizer: Any) -> Encoded:
    row = encoder.encode(pair, tokenizer)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("encoder", "pair", "prompt"),
    [
        (MetaMath(), BARE, "### Instruction:\nHow many?\n\n### Response:\n"),
        (MetaMath(), FULL, "### Instruction:\nAdd them.\n\n48 and 24\n\n### Response:\n"),
        (Gsm8k(), BARE, "Question: How many?\n\nAnswer: Let's solve this step by step.\n"),
        (Code(), BARE, "### Instruction:\nHow many?\n\n### Output:\n"),
        (Code(), FULL, "### Instruction:\nAdd them.\n\n### Input:\n48 and 24\n\n### Output:\n"),
        (
            Alpaca(),
            BARE,
            ALPACA + "completes the request.\n\n### Instruction:\nHow many?\n\n### Response:\n",
        ),
        (
            Alpaca(),
            FULL,
            ALPACA_INPUT
            + "### Instruction:\nAdd them.\n\n### Input:\n48 and 24\n\n### Response:\n",
        ),
    ],
)
def test_the_prompt_is_the_frame_tokenised_in_one_go(
    llama_tokenizer: Any, encoder: Framed, pair: PromptExample, prompt: str
) -> None:
    row, asked = encoded(encoder, pair, llama_tokenizer), encoder.prompt(pair, llama_tokenizer)
    ids = [*opening_ids(llama_tokenizer), *text_ids(llama_tokenizer, prompt)]
    assert list(asked.input_ids) == ids
    said = row.input_ids[len(ids) :]
    assert llama_tokenizer.decode(said) == "72</s>"
    assert list(row.labels[len(ids) :]) == list(said)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_cut_prompt_keeps_its_frame(llama_tokenizer: Any, side: str) -> None:
    words = [f"word{at}" for at in range(200)]
    encoder = Gsm8k.from_mapping({"max_length": 80, "truncate": side}, where="encoder")
    asked = encoder.prompt(PromptExample(" ".join(words), "72"), llama_tokenizer)
    text = llama_tokenizer.decode(asked.input_ids)
    assert text.startswith("<s> Question: ")
    assert text.endswith("\n\nAnswer: Let's solve this step by step.\n")
    assert ("word199" in text, "word0 " in text) == (side == "left", side == "right")


def test_the_instruction_is_the_last_to_go_when_the_right_side_is_cut(byte_tokenizer: Any) -> None:
    pair = PromptExample("Sum up.", "It is long.", "very long text " * 100)
    encoder = Code(max_length=100, max_prompt_length=60, truncate="right")
    text = byte_tokenizer.decode(encoder.prompt(pair, byte_tokenizer).input_ids)
    assert text.startswith("### Instruction:\nSum up.\n\n### Input:\nvery long text")
    assert text.endswith("\n\n### Output:\n")


def test_a_response_has_a_limit_of_its_own(llama_tokenizer: Any) -> None:
    pair = PromptExample("How many?", "seventy two " * 20)
    row = encoded(Gsm8k(max_response_length=6), pair, llama_tokenizer)
    asked = Gsm8k(max_response_length=6).prompt(pair, llama_tokenizer)
    assert len(row.input_ids) - len(asked.input_ids) == 6
    assert row.labels[-1] == llama_tokenizer.eos_token_id
    assert list(asked.input_ids) == list(Gsm8k().prompt(pair, llama_tokenizer).input_ids)


def test_everything_can_be_trained(llama_tokenizer: Any) -> None:
    row = encoded(Gsm8k(train_on="all"), BARE, llama_tokenizer)
    assert list(row.labels) == list(row.input_ids)


def test_braces_in_a_text_are_text(byte_tokenizer: Any) -> None:
    pair = PromptExample("Explain {prompt} and {0}.", "{input}")
    row = encoded(MetaMath(), pair, byte_tokenizer)
    assert "Explain {prompt} and {0}." in byte_tokenizer.decode(row.input_ids)


@pytest.mark.parametrize("example", [TextExample("hi"), Message("user", "hi")])
def test_other_examples_are_refused(byte_tokenizer: Any, example: Any) -> None:
    with pytest.raises(CompositionError, match=f"PromptExample, not {type(example).__name__}"):
        Alpaca().encode(example, byte_tokenizer)
