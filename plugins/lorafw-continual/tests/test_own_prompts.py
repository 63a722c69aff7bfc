"""A task's prompt stands before those of earlier tasks, and alone is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import AdaptedModel
from lorafw.errors import CompositionError, TrainingError
from lorafw.testing.recording_session import RecordingSession
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained
from lorafw.types import IGNORE_INDEX, Layout
from lorafw_continual._own_prompts import OwnPrompts
from lorafw_continual._prompt_pool import TABLE
from lorafw_continual.progressive_prompts import ProgressivePrompts
from lorafw_peft.injector import PeftInjector

ROWS = toy_rows(4, seed=3, longest=16)


def _model(**options: Any) -> AdaptedModel:
    """Six virtual tokens, two for each of three tasks."""
    told = {"num_virtual_tokens": 6}
    injector = PeftInjector(method="prompt_tuning", method_options=told, **options)
    model = injector.inject(toy_bundle())
    as_if_trained(model)
    return model


class Prompting(RecordingSession):
    """A session around a real model with virtual tokens."""

    def __init__(self, **options: Any) -> None:
        super().__init__(several=True)
        self.model = _model(**options)

    def values(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.model.trainable().items()}


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("layout", Layout)
def test_loss_and_gradient_are_those_of_embeddings_joined_by_hand(
    number: int, layout: Layout
) -> None:
    session = Prompting()
    base: Any = toy_bundle().module.double()
    model = session.model
    model.bundle.module.double()
    table = model.trainable()[TABLE]
    p_3, p_2, p_1 = table.split(2)
    joined = {1: [p_1], 2: [p_2, p_1], 3: [p_3, p_2, p_1]}[number]
    losses: list[torch.Tensor] = []
    for row in ROWS:
        words = base.get_input_embeddings()(torch.tensor(row.input_ids))
        logits = base(inputs_embeds=torch.cat([*joined, words])[None]).logits[0, 2 * number :]
        labels = torch.tensor([*row.labels[1:], IGNORE_INDEX])
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
    wanted = torch.stack(losses).sum() / 9
    batch = ToyEncoder().collate(ROWS, layout, 3)
    with OwnPrompts.of(session).learning(number):
        found = CausalLM().loss(model.bundle, batch, {"targets": 9.0})
    torch.testing.assert_close(found, wanted)
    (gradient,) = torch.autograd.grad(found, [table])
    (own,) = torch.autograd.grad(wanted, [joined[0]])
    start = 6 - 2 * number
    torch.testing.assert_close(gradient[start : start + 2], own)
    assert own.any()
    assert not gradient[:start].any()
    assert not gradient[start + 2 :].any()


def test_before_the_first_task_there_are_none() -> None:
    session = Prompting()
    shown = OwnPrompts.of(session).up_to(0)
    batch = ToyEncoder().collate(ROWS, Layout.PADDED, 3)
    with torch.no_grad(), session.model.showing(shown):
        found = session.model.bundle.hidden(batch.inputs).rows
    assert torch.equal(found, toy_bundle().hidden(batch.inputs).rows)


def test_a_prompt_of_another_task_must_not_move() -> None:
    prompts = OwnPrompts.of(session := Prompting())
    table = session.model.trainable()[TABLE].data
    with prompts.learning(2):
        table[2:4] += 1
    for place in (0, 5):
        fault = "moved the prompt of another task"
        with pytest.raises(TrainingError, match=fault), prompts.learning(2):
            table[place] += 1e-6


def test_what_is_trained_beside_prompts_is_refused() -> None:
    with pytest.raises(CompositionError, match=r"lm_head would be trained by every task"):
        OwnPrompts.of(Prompting(modules_to_save=("lm_head",)))


def test_each_task_is_scored_with_the_prompts_up_to_its_own() -> None:
    session, shown = Prompting(), []

    def score(stage: str, task: Any, **_: Any) -> dict[str, float]:
        shown.append((stage, task.name, session.model.spec.options["num_virtual_tokens"]))
        return {"loss": 1.0}

    session.score = score  # type: ignore[method-assign]
    saved: dict[str, int] = {}
    session.save_adapter = lambda name: saved.update(  # type: ignore[method-assign]
        {name: session.model.state().spec.options["num_virtual_tokens"]}
    )
    ProgressivePrompts().run(session)
    names = ["first", "second", "third"]
    learned = {"before": 0, "first": 2, "second": 4, "third": 6}
    assert shown == [
        (stage, name, min(2 * at, learned[stage]))
        for stage in learned
        for at, name in enumerate(names, start=1)
    ]
    assert saved == {"adapters/first": 2, "adapters/second": 4, "adapters/third": 6}
