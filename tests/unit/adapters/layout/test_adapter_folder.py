"""Folders of adapters, and adapters made of others: every injector and PEFT apply them alike."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.unit.adapters.states import dense_update, random_adapter

from lorafw.adapters.algebra.combinable import Part
from lorafw.adapters.algebra.combination import Method, Way, combine
from lorafw.adapters.algebra.resizing import resize_to_energy, resize_to_rank
from lorafw.adapters.layout.adapter_folder import (
    AdapterFolder,
    open_adapter,
    refuse_unlike,
    same_base,
    write_derived,
)
from lorafw.adapters.layout.digest import adapter_digest
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.errors import AdapterError
from lorafw.testing.toys import toy_gpt2_bundle
from lorafw.types import AdapterState, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from lorafw.contracts import LoRAInjector, ModelBundle

    BuildBundle = Callable[..., ModelBundle]

TOKENS = torch.tensor([[5, 9, 11, 4, 30, 22, 7], [17, 3, 8, 60, 41, 6, 12]])
MODULES = {
    "model.layers.0.self_attn.q_proj": (32, 32),
    "model.layers.0.mlp.up_proj": (48, 32),
    "model.layers.1.self_attn.v_proj": (16, 32),
}
FIRST = "model.layers.0.self_attn.q_proj"
RECIPE = {"base": "sha256:1", "model": {"use": "auto", "path": "base"}, "encoder": {"use": "chat"}}


def toy_adapter(seed: int, **spec: Any) -> AdapterState:
    state = random_adapter(seed, MODULES, **spec)
    return AdapterState(state.spec, {n: t * 0.2 for n, t in state.tensors.items()})


def folder(path: Path, state: AdapterState, recipe: dict[str, Any] | None = None) -> AdapterFolder:
    path.mkdir()
    write_adapter(path, state, base_path=None, recipe=RECIPE if recipe is None else recipe)
    return open_adapter(path)


@torch.no_grad()
def logits(bundle: ModelBundle) -> Tensor:
    inputs = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}
    return bundle.logits(bundle.hidden(inputs).rows)


def by_weights(bundle: ModelBundle, state: AdapterState) -> Tensor:
    """Logits of the base with each update added to its weight."""
    with torch.no_grad():
        for module in state.spec.targets:
            bundle.module.get_parameter(f"{module}.weight").add_(dense_update(state, module))
    return logits(bundle)


def by_injector(kind: type[LoRAInjector], bundle: ModelBundle, state: AdapterState) -> Tensor:
    adapted = kind().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    bundle.module.eval()
    return logits(bundle)


def by_peft(bundle: ModelBundle, path: Path) -> Tensor:
    from peft import PeftModel

    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers by a name that transformers 5 calls deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        module: Any = bundle.module
        PeftModel.from_pretrained(module, str(path)).eval()
    return logits(bundle)


def summed() -> AdapterState:
    states = [toy_adapter(0), toy_adapter(1, rank=2, use_rslora=True)]
    parts = [Part("a", states[0], 0.5), Part("b", states[1], 2.0)]
    return combine(parts, Way()).state


DERIVED = {
    "linear": summed,
    "ties": lambda: (
        combine([Part("a", toy_adapter(0)), Part("b", toy_adapter(1))], Way(Method.TIES)).state
    ),
    "rank": lambda: resize_to_rank(toy_adapter(0, rank_pattern={FIRST: 1}), 2).state,
    "energy": lambda: resize_to_energy(toy_adapter(0, rank=8, use_rslora=True), 0.9).state,
}


@pytest.mark.parametrize("name", DERIVED)
def test_injectors_and_peft_compute_the_derived_updates(
    build_bundle: BuildBundle,
    all_injectors: list[type[LoRAInjector]],
    tmp_path: Path,
    name: str,
) -> None:
    state, out = DERIVED[name](), tmp_path / "out"
    write_derived(out, state, [folder(tmp_path / "in", toy_adapter(0))], {"verb": "test"})
    expected = by_weights(build_bundle(), state)
    assert (expected - logits(build_bundle())).abs().max() > 0.1
    back = open_adapter(out).state
    for kind in all_injectors:
        found = by_injector(kind, build_bundle(), back)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(by_peft(build_bundle(), out), expected, rtol=0, atol=1e-4)


def test_a_combination_acts_as_both_adapters_at_once(build_bundle: BuildBundle) -> None:
    bundle = build_bundle()
    for seed, weight in ((0, 0.5), (1, 2.0)):
        state = toy_adapter(0) if seed == 0 else toy_adapter(1, rank=2, use_rslora=True)
        by_weights(bundle, AdapterState(replace(state.spec, alpha=5.0 * weight), state.tensors))
    torch.testing.assert_close(by_weights(build_bundle(), summed()), logits(bundle))


def test_transposed_bases_stay_transposed(tmp_path: Path) -> None:
    name = "transformer.h.0.attn.c_attn"
    state = random_adapter(shapes={name: (96, 32)})
    source = tmp_path / "in"
    source.mkdir()
    write_adapter(source, state, base_path=None, recipe={}, fan_in_fan_out=True)
    resized = resize_to_rank(state, 1).state
    write_derived(tmp_path / "out", resized, [open_adapter(source)], {"verb": "test"})
    bundle = toy_gpt2_bundle()
    with torch.no_grad():
        bundle.module.get_parameter(f"{name}.weight").add_(dense_update(resized, name).T)
    found = by_peft(toy_gpt2_bundle(), tmp_path / "out")
    torch.testing.assert_close(found, logits(bundle), rtol=0, atol=1e-4)


def test_the_recipe_stays_and_says_what_was_done(tmp_path: Path) -> None:
    first = folder(tmp_path / "in", toy_adapter(0))
    write_derived(tmp_path / "one", first.state, [first], {"verb": "resize", "rank": 3})
    second = open_adapter(tmp_path / "one")
    write_derived(tmp_path / "two", second.state, [second, first], {"verb": "combine"})
    found = open_adapter(tmp_path / "two").recipe
    assert {key: found[key] for key in RECIPE} == RECIPE
    digest = adapter_digest(first.state)
    assert found["history"] == [
        {"verb": "resize", "rank": 3, "of": [{"path": str(first.path), "sha256": digest}]},
        {
            "verb": "combine",
            "of": [{"path": str(each.path), "sha256": digest} for each in (second, first)],
        },
    ]


def test_a_classifier_stays_one(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    state = toy_adapter(0)
    write_adapter(tmp_path / "in", state, base_path="b", recipe={}, task=Task.CLASSIFICATION)
    source = open_adapter(tmp_path / "in")
    write_derived(tmp_path / "out", state, [source], {})
    found = open_adapter(tmp_path / "out")
    assert (found.task, found.base_path) == (Task.CLASSIFICATION, "b")


def test_nothing_is_left_of_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "in", toy_adapter(0))
    before = sorted(tmp_path.iterdir())

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lorafw.adapters.layout.adapter_folder.write_adapter", fail)
    with pytest.raises(AdapterError, match="out: cannot be written: No space left"):
        write_derived(tmp_path / "out", source.state, [source], {})
    assert sorted(tmp_path.iterdir()) == before


def test_the_folder_of_a_run_is_that_of_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").touch()
    folder(tmp_path / "adapter", toy_adapter(0))
    assert open_adapter(tmp_path).path == tmp_path / "adapter"


def made(base: str = "", path: str = "", **recipe: Any) -> AdapterFolder:
    noted = {"base": base, "model": {"use": "auto", "path": path}, **recipe}
    return AdapterFolder(Path(f"{base or path}"), random_adapter(), noted, {})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (made("sha256:1", "x"), made("sha256:1", "y"), True),
        (made("sha256:1", "x"), made("sha256:2", "x"), False),
        (made("sha256:1", "x"), made("", "x"), True),
        (made("sha256:1", "x"), made("", "y"), None),
        (made(), made(), None),
    ],
)
def test_the_same_base(one: AdapterFolder, other: AdapterFolder, same: bool | None) -> None:
    assert same_base(one, other) is same


def test_adapters_of_other_bases_or_classes_are_refused() -> None:
    refuse_unlike([made("sha256:1"), made("sha256:1"), made("", "elsewhere")])
    with pytest.raises(AdapterError, match="sha256:2: has another base model than sha256:1"):
        refuse_unlike([made("sha256:1"), made("sha256:2")])
    with pytest.raises(AdapterError, match="has another task or other classes"):
        refuse_unlike([made("sha256:1", labels=["a"]), made("sha256:1", labels=["b"])])


def test_what_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json: is missing"):
        open_adapter(tmp_path)
