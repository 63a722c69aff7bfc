"""Toy bases, and every injector that is installed."""

from __future__ import annotations

import copy
import functools
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import torch

from lorafw.builtin.auto import Auto
from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle, ModelRequest
from lorafw.testing.toys import toy_folder, toy_tokenizer
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class BuildBundle(Protocol):
    def __call__(self, *, tied: bool = False, dtype: str = "fp32") -> ModelBundle: ...


class Inject(Protocol):
    def __call__(self, bundle: ModelBundle, **options: Any) -> AdaptedModel: ...


@pytest.fixture(scope="session")
def toy_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders of toy models, by whether their head is tied to the embeddings."""
    folder = tmp_path_factory.mktemp("bases")
    return {
        tied: toy_folder(folder / f"tied-{tied}", tie_word_embeddings=tied)
        for tied in (False, True)
    }


@pytest.fixture(scope="session")
def build_bundle(toy_bases: dict[bool, Path]) -> BuildBundle:
    loaded = functools.cache(lambda tied, dtype: bundle_of(toy_bases[tied], dtype=dtype))

    def build(*, tied: bool = False, dtype: str = "fp32") -> ModelBundle:
        return copy.deepcopy(loaded(tied, dtype))

    return build


@pytest.fixture
def open_bundle() -> Callable[..., ModelBundle]:
    return bundle_of


def bundle_of(folder: Path, dtype: str = "fp32") -> ModelBundle:
    builder = Auto.from_mapping({"path": str(folder), "dtype": dtype}, where="model")
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    return builder.build(request, toy_tokenizer())


INJECTORS = {entry.name: entry for entry in entry_points(group="lorafw.injectors")}
INJECTORS.pop("full", None)  # makes no adapter


@pytest.fixture(params=sorted(INJECTORS))
def injector_class(request: pytest.FixtureRequest) -> type[LoRAInjector]:
    loaded: type[LoRAInjector] = INJECTORS[request.param].load()
    return loaded


@pytest.fixture
def all_injectors() -> list[type[LoRAInjector]]:
    return [INJECTORS[name].load() for name in sorted(INJECTORS)]


@pytest.fixture
def inject(injector_class: type[LoRAInjector]) -> Inject:
    def inject(bundle: ModelBundle, **options: Any) -> AdaptedModel:
        return injector_class.from_mapping(options, where="injector").inject(bundle)

    return inject
