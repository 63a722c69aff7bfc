"""Generation stops where training ended, whichever template it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.inference.stopping import stop_ids
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_llama

if TYPE_CHECKING:
    from lorafw.contracts import ModelBundle

ENDS = {
    "prompt": "</s>",
    "alpaca": "</s>",
    "glm-instruction": "</s>",
    "glm": "</s>",
    "tiny-llm": "</s>",
    "glm-v1": "<eop>",
    "minimind-2025-02": "</s>",
    "minimind-2025-04": "<|im_end|>",
    "minimind-2026": "<|im_end|>",
}


@pytest.fixture(scope="module")
def bundle(byte_tokenizer: Any) -> ModelBundle:
    return TransformersBundle(toy_llama(vocab_size=600), byte_tokenizer, base="toy")


@pytest.mark.parametrize("name", ENDS)
def test_an_answer_ends_with_the_trained_mark(bundle: ModelBundle, name: str) -> None:
    encoder: Any = Registry().load("encoder", name).from_mapping({}, where="encoder")
    mark = bundle.tokenizer.encode(ENDS[name], add_special_tokens=False)
    assert set(stop_ids(bundle, encoder)) == {2, 1, *mark}
