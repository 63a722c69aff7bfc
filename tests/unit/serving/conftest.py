"""A toy model with two adapters, and requests for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.builtin.prompt import Prompt
from lorafw.inference.adapter_set import AdapterSet
from lorafw.inference.generation.sampling import Sampling
from lorafw.serving.catalogue import Catalogue
from lorafw.serving.job import Job
from lorafw.testing.toys import toy_bundle
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts.model import ModelBundle

WORDS_ONLY = {"bias": dict.fromkeys([*range(4), *range(21, 64)], -100.0)}
"""Wishes of an answer that does not end by itself, and whose every token is a word."""


def adapter(bundle: ModelBundle, seed: int) -> AdapterState:
    spec = AdapterSpec(4, 8.0, bundle.lora_targets[:5])
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for target in spec.targets:
        module: Any = bundle.module.get_submodule(target)
        down, up = spec.pair_of(target)
        tensors[down] = torch.randn(4, module.in_features, generator=generator)
        tensors[up] = torch.randn(module.out_features, 4, generator=generator)
    return AdapterState(spec, tensors)


@pytest.fixture(scope="module")
def model() -> AdapterSet:
    bundle = toy_bundle()
    together = AdapterSet(bundle, Prompt())
    for seed, name in enumerate(("a", "b")):
        together.add(name, adapter(bundle, seed), Prompt())
    return together


@pytest.fixture
def catalogue(model: AdapterSet) -> Catalogue:
    return Catalogue(model, {"toy": None, "a": "a", "b": "b"}, created=7)


@pytest.fixture
def job(model: AdapterSet) -> Callable[..., Job]:
    """A job of one answer, or of several alike."""

    def make(
        *, streams: bool = False, many: int = 1, name: str | None = None, **wishes: Any
    ) -> Job:
        sampling = Sampling(**{"max_new_tokens": 20, **WORDS_ONLY, **wishes})
        return Job(
            [model.begin("the cat", sampling, name) for _ in range(many)], 2, streams=streams
        )

    return make
