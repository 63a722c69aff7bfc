from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from lorafw.serving import chances

if TYPE_CHECKING:
    from lorafw.inference.adapter_set import AdapterSet
    from lorafw.serving.job import Job


def test_each_token_of_the_text_has_its_chance(model: AdapterSet, job: Callable[..., Job]) -> None:
    (answer,) = job(logprobs=2, max_new_tokens=5).answers
    list(model.grow([answer]))
    tokenizer = model.bundle.tokenizer
    told = chances.of_chat(answer, tokenizer, 0, 5)["content"]
    assert [each["token"] for each in told] == [tokenizer.decode([i]) for i in answer.ids]
    assert all(bytes(each["bytes"]).decode() == each["token"] for each in told)
    logits = model.logits([[*answer.prompt, *answer.ids]], None)[0].log_softmax(-1)
    for at, (token, each) in enumerate(zip(answer.ids, told, strict=True)):
        exact = float(logits[len(answer.prompt) - 1 + at, token])
        assert math.isclose(each["logprob"], exact, abs_tol=1e-4)
        assert len(each["top_logprobs"]) == 2
    halves = [chances.of_chat(answer, tokenizer, *cut)["content"] for cut in ((0, 2), (2, 5))]
    assert [*halves[0], *halves[1]] == told


def test_offsets_are_places_in_the_text(model: AdapterSet, job: Callable[..., Job]) -> None:
    (answer,) = job(logprobs=1, max_new_tokens=4).answers
    list(model.grow([answer]))
    found = chances.of_completion(answer, model.bundle.tokenizer, 1, 4, offset=10)
    lengths = [len(token) for token in found["tokens"]]
    assert found["text_offset"] == [10, 10 + lengths[0], 10 + lengths[0] + lengths[1]]


def test_the_token_that_ends_an_answer_is_not_told(
    model: AdapterSet, job: Callable[..., Job]
) -> None:
    (answer,) = job(logprobs=0, bias={2: 100.0}).answers
    list(model.grow([answer]))
    assert answer.ids == [2]
    assert chances.of_chat(answer, model.bundle.tokenizer, 0, 1)["content"] == []
