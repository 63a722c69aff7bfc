"""Virtual tokens that are chosen are a prompt of their own, in training, answers and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.prompt import Prompt
from lorafw.contracts import AdaptedModel
from lorafw.errors import AdapterError
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import TUNED, LoadedModel
from lorafw.testing.exchange import load_with_peft, peft_logits
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, logits_of
from lorafw.types import Encoded, Layout
from lorafw_peft.injector import PeftInjector

TABLE = "prompt_embeddings"
ROWS = toy_rows(4, seed=4, longest=12)
ALL = 6
ASKED = [5, 9, 7, 12, 6]


def made(count: int = ALL, base: Any = None, **options: Any) -> AdaptedModel:
    told = {"num_virtual_tokens": count, **options}
    injector = PeftInjector(method="prompt_tuning", method_options=told)
    model = injector.inject(base or toy_bundle())
    as_if_trained(model)
    return model


def values(model: AdaptedModel) -> Tensor:
    return model.trainable()[TABLE].detach()


def plain(model: AdaptedModel, shown: list[int], base: Any = None) -> AdaptedModel:
    """A model that has only these tokens."""
    other = made(len(shown), base)
    other.load_state({TABLE: values(model)[shown]})
    return other


def loss_and_gradient(model: AdaptedModel, rows: list[Encoded], layout: Layout) -> list[Tensor]:
    batch = ToyEncoder().collate(rows, layout, model.bundle.pad_id)
    loss = CausalLM().loss(model.bundle, batch, {"targets": 20.0})
    return [loss.detach(), *torch.autograd.grad(loss, [model.trainable()[TABLE]])]


CHOOSER, BASE = made(), toy_bundle()


@settings(max_examples=15, deadline=None)
@given(
    shown=st.lists(st.integers(0, ALL - 1), min_size=1, max_size=ALL, unique=True),
    layout=st.sampled_from(list(Layout)),
)
def test_it_trains_as_a_model_with_only_these(shown: list[int], layout: Layout) -> None:
    alone = plain(CHOOSER, shown, BASE)
    try:
        wanted, gradient = loss_and_gradient(alone, ROWS, layout)
    finally:
        alone._remove()  # type: ignore[attr-defined]
    with CHOOSER.showing(torch.tensor(shown)):
        found, whole = loss_and_gradient(CHOOSER, ROWS, layout)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(whole[shown], gradient)
    others = sorted(set(range(ALL)) - set(shown))
    assert not whole[others].any()


@settings(max_examples=15, deadline=None)
@given(
    chosen=st.lists(st.permutations(range(ALL)), min_size=4, max_size=4),
    count=st.integers(1, ALL),
    layout=st.sampled_from(list(Layout)),
)
def test_each_row_trains_its_own(chosen: list[list[int]], count: int, layout: Layout) -> None:
    shown = torch.tensor(chosen)[:, :count]
    with CHOOSER.showing(shown):
        found = loss_and_gradient(CHOOSER, ROWS, layout)
    parts = []
    for row, own in zip(ROWS, shown, strict=True):
        with CHOOSER.showing(own):
            parts.append(loss_and_gradient(CHOOSER, [row], Layout.PADDED))
    for whole, each in zip(found, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.stack(list(each)).sum(0), atol=1e-6, rtol=1e-5)


def test_what_does_not_learn_is_there_and_gets_no_gradient() -> None:
    shown, learning = torch.tensor([4, 5, 0]), torch.tensor([5])
    with CHOOSER.showing(shown):
        loss, whole = loss_and_gradient(CHOOSER, ROWS, Layout.SEGMENTS)
    with CHOOSER.showing(shown, learning=learning):
        same, part = loss_and_gradient(CHOOSER, ROWS, Layout.SEGMENTS)
    assert torch.equal(loss, same)
    assert torch.equal(part[5], whole[5])
    assert not part[[0, 1, 2, 3, 4]].any()


@pytest.mark.parametrize("shown", [[2], [5, 1, 3], []])
def test_it_answers_as_a_model_with_only_these(shown: list[int]) -> None:
    chooser = made()
    model = LoadedModel(chooser.bundle, Prompt(), chooser)
    if shown:
        alone = plain(chooser, shown)
        other = LoadedModel(alone.bundle, Prompt(), alone)
    else:
        other = LoadedModel(toy_bundle(), Prompt())
    whole = model.continue_ids(ASKED, max_new_tokens=12)
    with chooser.showing(torch.tensor(shown, dtype=torch.long)):
        found = model.continue_ids(ASKED, max_new_tokens=12)
    assert found == other.continue_ids(ASKED, max_new_tokens=12)
    assert found != whole
    assert model.continue_ids(ASKED, max_new_tokens=12) == whole


def test_with_none_shown_rows_of_a_batch_have_the_bases_positions() -> None:
    chooser = made(base=toy_gpt2_bundle())
    with chooser.showing(torch.tensor([], dtype=torch.long)):
        found = _answers(LoadedModel(chooser.bundle, Prompt(), chooser))
    assert found == _answers(LoadedModel(toy_gpt2_bundle(), Prompt()))


def _answers(model: LoadedModel) -> list[list[int]]:
    """To rows of different lengths, padded on the left and answered together."""
    asked = [[5 + at] * length for at, length in enumerate((9, 2, 5, 1))]
    answers = [model.begin_ids(ids, Sampling(max_new_tokens=9), TUNED) for ids in asked]
    for _ in model.grow(answers):
        pass
    return [answer.ids for answer in answers]


def test_a_row_of_its_own_is_answered_with_its_tokens() -> None:
    chooser = made()
    model = LoadedModel(chooser.bundle, Prompt(), chooser)
    with chooser.showing(torch.tensor([3, 0])):
        wanted = model.continue_ids(ASKED, max_new_tokens=12)
    with chooser.showing(torch.tensor([[3, 0]])):
        assert model.continue_ids(ASKED, max_new_tokens=12) == wanted


def test_only_what_is_shown_takes_positions() -> None:
    chooser = made(base=toy_gpt2_bundle())
    long = Encoded([5] * 126, [5] * 126)
    with pytest.raises(AdapterError, match="132 tokens with its virtual ones"):
        logits_of(chooser.bundle, [long])
    with chooser.showing(torch.tensor([0, 4])):
        assert logits_of(chooser.bundle, [long]).isfinite().all()
        model = LoadedModel(chooser.bundle, Prompt(), chooser)
        assert len(model.continue_ids([5] * 125, max_new_tokens=50)) == 1


def test_a_file_holds_what_is_shown(tmp_path: Path) -> None:
    chooser, base, shown = made(), toy_bundle(), [5, 2]
    with chooser.showing(torch.tensor(shown)):
        state = chooser.state()
        loaded = load_with_peft(base, chooser, tmp_path)
        wanted = logits_of(chooser.bundle, ROWS)
    assert state.spec.options["num_virtual_tokens"] == 2
    assert torch.equal(state.tensors[TABLE], values(chooser)[shown])
    torch.testing.assert_close(peft_logits(loaded, base, ROWS), wanted, atol=1e-5, rtol=1e-5)
    assert chooser.state().spec.options["num_virtual_tokens"] == ALL
    assert torch.equal(chooser.state().tensors[TABLE], values(chooser))


def test_a_choice_within_a_choice_ends_where_it_began() -> None:
    chooser = made()
    with chooser.showing(torch.tensor([1])):
        outer = logits_of(chooser.bundle, ROWS)
        with pytest.raises(ZeroDivisionError), chooser.showing(torch.tensor([2, 3])):
            _ = 1 / 0
        assert torch.equal(logits_of(chooser.bundle, ROWS), outer)
        assert chooser.spec.options["num_virtual_tokens"] == 1
        with chooser.disabled():
            assert torch.equal(logits_of(chooser.bundle, ROWS), logits_of(toy_bundle(), ROWS))
    assert chooser.spec.options["num_virtual_tokens"] == ALL


@pytest.mark.parametrize("layout", Layout)
def test_a_choice_for_other_rows_is_refused(layout: Layout) -> None:
    chosen = torch.tensor([[0], [1]])
    with CHOOSER.showing(chosen), pytest.raises(AdapterError, match="2 rows, and there are 4"):
        logits_of(CHOOSER.bundle, ROWS, layout)


@pytest.mark.parametrize(
    ("shown", "learning", "fault"),
    [
        ([6], None, "no virtual token 6.*There are 6"),
        ([0, -1], None, "no virtual token -1"),
        ([0], [9], "no virtual token 9"),
        ([[[0]]], None, r"have the shape \[1, 1, 1\]"),
    ],
)
def test_tokens_that_are_not_there_are_refused(shown: Any, learning: Any, fault: str) -> None:
    named = None if learning is None else torch.tensor(learning)
    with (
        pytest.raises(AdapterError, match=fault),
        CHOOSER.showing(torch.tensor(shown), learning=named),
    ):
        pass


@pytest.mark.parametrize("chosen", [[[0], [1]], []])
def test_what_differs_by_row_is_no_file(chosen: Any) -> None:
    shown = torch.tensor(chosen, dtype=torch.long)
    with CHOOSER.showing(shown), pytest.raises(AdapterError, match="Show some to all rows alike"):
        CHOOSER.state()


@pytest.mark.parametrize("method", ["p_tuning", "prefix_tuning"])
def test_other_methods_have_none_to_choose_from(method: str) -> None:
    model = PeftInjector(method=method, method_options={}).inject(toy_bundle())
    fault = r"injector\.method: .* has no virtual tokens that can be chosen"
    with pytest.raises(AdapterError, match=fault), model.showing(torch.tensor([0])):
        pass
