"""One way to speak for single answers, batches and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import lorafw
from lorafw.errors import UsageError
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import TUNED

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.inference.loaded import LoadedModel

ASKED = ["the cat", "a", "seven small birds fly over the old red barn", "on a mat"]
SHORT = Sampling(max_new_tokens=8)


@pytest.fixture
def model(adapter: Path) -> LoadedModel:
    return lorafw.load(adapter, device="cpu", strict=False)


def test_single_batched_and_streamed_answers_are_the_same(model: LoadedModel) -> None:
    for name in (TUNED, None):
        alone = ["".join(model.pieces(model.begin(text, SHORT, name))) for text in ASKED]
        answers = [model.begin(text, SHORT, name) for text in ASKED]
        for batch_tokens in (1, 60, 10_000):
            answers = [model.begin(text, SHORT, name) for text in ASKED]
            ended = list(model.grow(answers, batch_tokens=batch_tokens))
            assert {id(each) for each in ended} == {id(each) for each in answers}
            assert [answer.text for answer in answers] == alone


def test_adapter_and_base_speak_differently(model: LoadedModel) -> None:
    tuned, base = (model.begin("the cat", SHORT, name) for name in (TUNED, None))
    list(model.grow([tuned, base]))
    assert tuned.ids != base.ids
    assert tuned.prompt == base.prompt


def test_nobody_else_is_there(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match=r"no adapter 'king'.*called adapter"):
        model.begin("the cat", SHORT, "king")


def test_nothing_cannot_be_continued(model: LoadedModel) -> None:
    with pytest.raises(UsageError, match="the prompt is empty"):
        model.begin_ids([], SHORT, TUNED)


def test_an_ended_answer_takes_no_more_steps(model: LoadedModel) -> None:
    answer = model.begin("the cat", Sampling(max_new_tokens=1), TUNED)
    assert [each.end for each in model.grow([answer])] == [answer.end]
    assert len(answer.ids) == 1
