"""What the live model goes on with behind prompts, drawn at random; prompts shared among ranks."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lorafw.inference.generation.answer import Answer
from lorafw.inference.generation.room import room_behind
from lorafw.inference.loaded import TUNED, LoadedModel
from lorafw.stages.sharing import shared
from lorafw.types import Encoded

if TYPE_CHECKING:
    from lorafw.contracts.trainer import RunningTrainer, TrainJob
    from lorafw.inference.generation.sampling import Sampling

_TOGETHER = 32
"""Prompts that one rank continues at once."""


def draws(
    job: TrainJob,
    running: RunningTrainer,
    name: str,
    prompts: Sequence[Encoded],
    sampling: Sampling,
    ends: Collection[int],
) -> list[list[int]]:
    """What follows on each prompt; collective.

    Args:
        job: whose model, with its live adapter, and seed.
        running: the ranks that share the prompts.
        name: with the job's seed and a prompt's place, all that chance depends on.
        prompts: all their ids are given to the model.
        sampling: how tokens are chosen; its seed is not looked at.
        ends: ids at which a draw ends, and which it keeps.

    Returns:
        Ids for each prompt, the same on every rank.

    Raises:
        UsageError: a prompt is empty or fills the model's context, or the model is a classifier.
    """
    model = LoadedModel(job.model.bundle, job.encoder, job.model)
    job.model.train(mode=False)
    seeds = [_seed(job.seed, name, at) for at in range(len(prompts))]
    begun = [
        _begun(model, prompt, replace(sampling, seed=seed), ends)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    with running.full_parameters(job.model.bundle.module):
        return shared(running, begun, _TOGETHER, lambda group: _grown(model, group))


def _seed(seed: int, name: str, at: int) -> int:
    return random.Random(f"{seed} {name} {at}").getrandbits(63)


def _begun(
    model: LoadedModel, prompt: Encoded, sampling: Sampling, ends: Collection[int]
) -> Answer:
    ids = list(prompt.input_ids)
    room = room_behind(model.bundle, len(ids), model.voice(TUNED).virtual)
    return Answer(ids, ends, sampling, model.bundle.tokenizer, room=room, adapter=TUNED)


def _grown(model: LoadedModel, answers: Sequence[Answer]) -> list[list[int]]:
    for _ in model.grow(answers):
        pass
    return [answer.ids for answer in answers]
