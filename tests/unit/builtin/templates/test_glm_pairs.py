"""LoRA_GLM's template, and the order of ChatGLM-6B."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.templates.glm_instruction import GlmInstruction
from lorafw.builtin.templates.glm_v1 import GlmV1
from lorafw.errors import ModelError
from lorafw.types import PromptExample

WRITTEN = "Instruction: Judge.\nInput: Very dull.\nAnswer: "


def test_instruction_and_input_stand_behind_glms_marks(glm2_tokenizer: Any) -> None:
    asked = GlmInstruction().prompt(PromptExample("Judge.", "", "Very dull."), glm2_tokenizer)
    marks = glm2_tokenizer.convert_tokens_to_ids(["[gMASK]", "sop"])
    text = glm2_tokenizer.encode(WRITTEN, add_special_tokens=False)
    assert list(asked.input_ids) == [*marks, *text]


def test_the_answer_is_tokenised_as_glm_does_it(glm2_tokenizer: Any) -> None:
    row = GlmInstruction().encode(PromptExample("Judge.", "助手", "Very dull."), glm2_tokenizer)
    assert row is not None
    trained = [label for label in row.labels if label >= 0]
    assert trained == [*glm2_tokenizer.encode("助手", add_special_tokens=False), 2]


def test_a_prompt_that_is_framed_already_is_not_framed_again(glm2_tokenizer: Any) -> None:
    framed = PromptExample(WRITTEN, "bad")
    apart = PromptExample("Judge.", "bad", "Very dull.")
    assert GlmInstruction().encode(framed, glm2_tokenizer) == GlmInstruction().encode(
        apart, glm2_tokenizer
    )


@pytest.mark.parametrize("prompt", ["Instruction: only this", "this only\nAnswer: ", ""])
def test_a_prompt_that_is_half_framed_is_a_prompt(byte_tokenizer: Any, prompt: str) -> None:
    asked = GlmInstruction().prompt(PromptExample(prompt, ""), byte_tokenizer)
    text = byte_tokenizer.decode(asked.input_ids, skip_special_tokens=True)
    assert text == f"Instruction: {prompt}\nAnswer: "


def test_answer_survives_a_cut_on_either_side(glm2_tokenizer: Any) -> None:
    for side in ("left", "right"):
        encoder = GlmInstruction.from_mapping(
            {"max_length": 60, "max_prompt_length": 40, "truncate": side}, where="encoder"
        )
        pair = PromptExample("Judge.", "bad", "dull " * 100)
        text = glm2_tokenizer.decode(encoder.prompt(pair, glm2_tokenizer).input_ids)
        assert text.endswith("Answer: ")
        assert ("Judge" in text) == (side == "right")


def test_another_tokenizer_has_its_own_opening(llama_tokenizer: Any) -> None:
    asked = GlmInstruction().prompt(PromptExample("Judge.", ""), llama_tokenizer)
    assert asked.input_ids[0] == llama_tokenizer.bos_token_id
    assert list(asked.input_ids).count(llama_tokenizer.bos_token_id) == 1


def test_the_first_chatglm_has_its_marks_behind_the_prompt(byte_tokenizer: Any) -> None:
    pair = PromptExample("How many?", "72")
    row = GlmV1().encode(pair, byte_tokenizer)
    assert row is not None
    assert byte_tokenizer.decode(row.input_ids) == "How many?[gMASK]<sop>72<eop>"
    trained = [label for label in row.labels if label >= 0]
    assert byte_tokenizer.decode(trained) == "72<eop>"
    assert byte_tokenizer.decode(GlmV1().prompt(pair, byte_tokenizer).input_ids) == (
        "How many?[gMASK]<sop>"
    )


def test_the_first_chatglms_marks_survive_a_cut(byte_tokenizer: Any) -> None:
    encoder = GlmV1(max_length=16)
    row = encoder.encode(PromptExample("many " * 50, "seventy two " * 20), byte_tokenizer)
    assert row is not None
    assert "[gMASK]<sop>" in byte_tokenizer.decode(row.input_ids)
    assert byte_tokenizer.decode(row.input_ids).endswith("<eop>")


def test_without_eop_the_end_is_eos(glm2_tokenizer: Any) -> None:
    assert GlmV1().affixes(glm2_tokenizer) == ("", "</s>")


def test_the_first_chatglm_needs_its_marks(llama_tokenizer: Any) -> None:
    with pytest.raises(ModelError, match=r"no \[gMASK\]"):
        GlmV1().encode(PromptExample("How many?", "72"), llama_tokenizer)
