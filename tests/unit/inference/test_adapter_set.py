from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers.models.gemma.modeling_gemma import GemmaTextScaledWordEmbedding

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.builtin.prompt import Prompt
from lorafw.errors import AdapterError, UsageError
from lorafw.inference.adapter_set import AdapterSet
from lorafw.models import folder as folders
from lorafw.testing.toys import (
    toy_bundle,
    toy_folder,
    toy_gpt2_bundle,
)
from lorafw.types import AdapterSpec, AdapterState, token_rows_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.contracts.model import ModelBundle

ROWS = [[1, 5, 9, 7], [1, 6], [1, 12, 8, 4, 5, 6]]
PROMPTS = ["the cat sat on", "seven small birds", "an old red barn and a mat"]


def adapter(bundle: ModelBundle, seed: int, **spec: Any) -> AdapterState:
    """A LoRA adapter of a few modules whose effect shows."""
    targets = spec.pop("targets", bundle.lora_targets[:5])
    described = AdapterSpec(4, 8.0, targets, **spec)
    tensors: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(seed)
    for target in targets:
        module: Any = bundle.module.get_submodule(target)
        out, wide = _sizes(module)
        shapes = dict(zip(described.names_of(target), ((4, wide), (out, 4), (out,)), strict=False))
        tensors |= {n: torch.randn(s, generator=generator) * 0.3 for n, s in shapes.items()}
        if described.use_dora:
            weight = module.weight if module.weight.shape[0] == out else module.weight.t()
            tensors[described.names_of(target)[-1]] = weight.float().norm(dim=1) * 1.3
    return AdapterState(described, tensors)


def _sizes(module: Any) -> tuple[int, int]:
    if isinstance(module, torch.nn.Embedding):
        return module.embedding_dim, module.num_embeddings
    weight = module.weight.t() if hasattr(module, "nf") else module.weight
    return tuple(weight.shape)


def filled(bundle: ModelBundle, **states: AdapterState) -> AdapterSet:
    together = AdapterSet(bundle, Prompt())
    for name, state in states.items():
        together.add(name, state, Prompt())
    return together


def distance(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("make", [toy_bundle, toy_gpt2_bundle], ids=["llama", "gpt2"])
@pytest.mark.parametrize("spec", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
def test_an_adapter_acts_as_if_it_were_merged(make: Any, spec: dict[str, Any]) -> None:
    state, merged = adapter(make(), 0, **spec), make()
    for target in state.spec.targets:
        down, up = (state.tensors[name] for name in state.spec.pair_of(target))
        linear: Any = merged.module.get_submodule(target)
        update = state.spec.scaling_of(target) * up @ down
        linear.weight.data += update.t() if hasattr(linear, "nf") else update
    found = filled(make(), a=state).logits(ROWS, "a")
    assert distance(found, filled(merged).logits(ROWS, None)) < 1e-4
    assert distance(found, filled(make()).logits(ROWS, None)) > 0.01


def test_dora_is_the_formula_of_its_paper() -> None:
    bundle = toy_bundle()
    state = adapter(bundle, 3, use_dora=True)
    found = filled(toy_bundle(), a=state).logits(ROWS, "a")
    for target in state.spec.targets:
        down, up, magnitude = (state.tensors[name] for name in state.spec.names_of(target))
        linear: Any = bundle.module.get_submodule(target)
        whole = linear.weight + state.spec.scaling_of(target) * up @ down
        linear.weight.data = magnitude[:, None] * whole / whole.norm(dim=1, keepdim=True)
    assert distance(found, filled(bundle).logits(ROWS, None)) < 1e-5


def test_each_request_of_a_batch_gets_its_own_adapter() -> None:
    bundle = toy_bundle()
    other = adapter(bundle, 2, targets=bundle.lora_targets[3:8])
    together = filled(bundle, a=adapter(bundle, 1), b=other)
    mixed = together.logits(ROWS, ["a", None, "b"])
    alone = [
        together.logits([row], name)[0] for row, name in zip(ROWS, ("a", None, "b"), strict=True)
    ]
    assert distance(mixed, alone) < 1e-5
    assert distance(mixed, together.logits(ROWS, "a")) > 0.01


def test_answers_in_a_mixed_batch_are_those_given_alone() -> None:
    bundle = toy_bundle()
    together = filled(bundle, a=adapter(bundle, 1), b=adapter(bundle, 2))
    names = ["b", "a", None]
    mixed = together.generate(PROMPTS, names, max_new_tokens=12)
    alone = [
        together.generate([prompt], name, max_new_tokens=12)[0]
        for prompt, name in zip(PROMPTS, names, strict=True)
    ]
    assert mixed == alone
    assert mixed != together.generate(PROMPTS, None, max_new_tokens=12)


def test_draws_do_not_depend_on_the_company() -> None:
    bundle = toy_bundle()
    together = filled(bundle, a=adapter(bundle, 1))
    options: dict[str, Any] = {"max_new_tokens": 10, "temperature": 0.9, "top_p": 0.95}
    mixed = together.generate(PROMPTS, ["a", None, "a"], seed=5, **options)
    assert mixed[2] == together.generate(PROMPTS[2:], "a", seed=5, **options)[0]
    assert mixed != together.generate(PROMPTS, ["a", None, "a"], seed=6, **options)


def test_modules_that_were_trained_whole_are_per_adapter() -> None:
    bundle = toy_bundle(tie_word_embeddings=False)
    head = torch.randn(64, 32, generator=torch.Generator().manual_seed(9))
    state = adapter(bundle, 1, trained=("lm_head",))
    state = replace(state, tensors={**state.tensors, "lm_head.weight": head})
    plain = adapter(bundle, 1)
    together = filled(bundle, a=state, b=plain)
    mixed = together.logits(ROWS, ["a", "b", "a"])
    assert distance(mixed[1:2], together.logits(ROWS[1:2], "b")) < 1e-5
    assert distance(mixed[:1], together.logits(ROWS[:1], "b")) > 0.1


@pytest.mark.parametrize("tied", [True, False])
def test_trained_rows_stand_in_for_the_bases(tied: bool) -> None:
    bundle = toy_bundle(tie_word_embeddings=tied)
    rows = torch.randn(2, 32, generator=torch.Generator().manual_seed(9))
    places = {"model.embed_tokens": (5, 60)} | ({} if tied else {"lm_head": (5, 60)})
    state = adapter(bundle, 1, token_rows=places)
    values = {token_rows_name(name): rows for name in places}
    together = filled(bundle, a=replace(state, tensors={**state.tensors, **values}))
    found = together.logits(ROWS, ["a", None, "a"])
    by_hand = toy_bundle(tie_word_embeddings=tied)
    module: Any = by_hand.module
    module.model.embed_tokens.weight.data[[5, 60]] = rows
    module.lm_head.weight.data[[5, 60]] = rows
    expected = filled(by_hand, a=adapter(by_hand, 1)).logits(ROWS, "a")
    assert distance(found[::2], expected[::2]) < 1e-5


def test_adapters_of_embeddings() -> None:
    bundle = toy_bundle(tie_word_embeddings=False)
    name = "model.embed_tokens"
    state = adapter(bundle, 1, targets=(name,), embeddings=(name,))
    down, up = (state.tensors[key] for key in state.spec.pair_of(name))
    found = filled(bundle, a=state).logits(ROWS, "a")
    by_hand = toy_bundle(tie_word_embeddings=False)
    embedding: Any = by_hand.module.get_submodule(name)
    embedding.weight.data += 2.0 * (up @ down).t()
    assert distance(found, filled(by_hand).logits(ROWS, None)) < 1e-5


def test_a_familys_factor_on_its_embedding_acts_on_what_adapters_make_of_it() -> None:
    name = "model.embed_tokens"

    def scaled() -> ModelBundle:
        bundle = toy_bundle(tie_word_embeddings=False)
        table = bundle.module.get_submodule(name)
        embedding = GemmaTextScaledWordEmbedding(64, 32, padding_idx=3, embed_scale=3.0)
        embedding.weight = table.weight
        bundle.module.set_submodule(name, embedding)
        return bundle

    bundle, by_hand = scaled(), scaled()
    low = adapter(bundle, 1, targets=(name,), embeddings=(name,))
    rows = AdapterState(
        AdapterSpec(1, 1.0, (), token_rows={name: (5, 9)}),
        {token_rows_name(name): torch.ones(2, 32)},
    )
    mixed = filled(bundle, low=low, rows=rows).logits(ROWS[:2], ["low", "rows"])
    weight: Any = by_hand.module.get_parameter(f"{name}.weight")
    start = weight.data.clone()
    down, up = (low.tensors[key] for key in low.spec.pair_of(name))
    weight.data += 2.0 * (up @ down).t()
    assert distance(mixed[:1], filled(by_hand).logits(ROWS[:1], None)) < 1e-5
    weight.data.copy_(start)
    weight.data[[5, 9]] = 1.0
    assert distance(mixed[1:], filled(by_hand).logits(ROWS[1:2], None)) < 1e-5


def test_removing_gives_the_base_back_without_hooks() -> None:
    bundle = toy_bundle()
    before = filled(toy_bundle()).logits(ROWS, None)
    together = filled(bundle, a=adapter(bundle, 1))
    together.remove("a")
    assert together.names == ()
    assert not any(module._forward_hooks for module in bundle.module.modules())
    assert all(map(torch.equal, together.logits(ROWS, None), before))


def test_an_adapter_takes_the_place_of_its_namesake() -> None:
    bundle = toy_bundle()
    together = filled(bundle, a=adapter(bundle, 1))
    together.add("a", adapter(bundle, 2), Prompt())
    expected = filled(toy_bundle(), a=adapter(bundle, 2)).logits(ROWS, "a")
    assert distance(together.logits(ROWS, "a"), expected) == 0


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    bundle = toy_bundle()
    together = filled(bundle, a=adapter(bundle, 1))
    before = together.logits(ROWS, "a")
    other = toy_bundle(hidden_size=16)
    gone = replace(adapter(bundle, 1).spec, targets=("model.layers.9.q_proj",))
    for state, message in (
        (adapter(other, 1), "in the base"),
        (AdapterState(gone, {}), "no module"),
        (AdapterState(replace(gone, method="IA3"), {}), "cannot share"),
    ):
        with pytest.raises(AdapterError, match=message):
            together.add("a", state, Prompt())
    assert all(map(torch.equal, together.logits(ROWS, "a"), before))


def test_wrong_requests_are_told() -> None:
    together = filled(toy_bundle(), a=adapter(toy_bundle(), 1))
    with pytest.raises(UsageError, match=r"'b'.*There are: a"):
        together.generate(["the"], "b")
    with pytest.raises(UsageError, match="1 adapters are named for 2"):
        together.generate(["the", "cat"], ["a"])
    with pytest.raises(UsageError, match="'b'"):
        together.remove("b")
    assert together.generate([], "a") == []


def test_requests_to_experts_cannot_be_mixed() -> None:
    experts = toy_bundle()
    together = filled(experts, a=adapter(experts, 1))
    layer = experts.module.get_submodule(experts.lora_targets[0])
    tokens_of_all_requests = torch.zeros(2, 32)
    with (
        together._hooks.asked(["a", None]),
        pytest.raises(AdapterError, match="one adapter at a time"),
    ):
        layer(tokens_of_all_requests)


def test_several_folders_are_loaded_onto_one_base(tmp_path: Path) -> None:
    base = toy_folder(tmp_path / "base")
    recipe = {"model": {"use": "auto", "path": str(base)}, "base": folders.identity(base)}
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        state = adapter(toy_bundle(), number)
        write_adapter(tmp_path / name, state, base_path=str(base), recipe=recipe)
    together = lorafw.load_adapters({"x": tmp_path / "one", "y": tmp_path / "two"}, device="cpu")
    assert together.names == ("x", "y")
    for name, folder in (("x", "one"), ("y", "two")):
        single = lorafw.load(tmp_path / folder, device="cpu")
        assert distance(together.logits(ROWS[:1], name), [single.logits(ROWS[0])]) < 1e-5
        answer = together.generate(PROMPTS[:1], name, max_new_tokens=8)
        assert answer == [single.generate(PROMPTS[0], max_new_tokens=8)]


def test_adapters_of_two_bases_do_not_go_together(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two")):
        base = toy_folder(tmp_path / f"base-{name}", seed=number)
        recipe = {"model": {"use": "auto", "path": str(base)}, "base": folders.identity(base)}
        (tmp_path / name).mkdir()
        write_adapter(
            tmp_path / name, adapter(toy_bundle(), number), base_path=str(base), recipe=recipe
        )
    with pytest.raises(AdapterError, match="was trained on"):
        lorafw.load_adapters({"x": tmp_path / "one", "y": tmp_path / "two"}, device="cpu")
    with pytest.raises(AdapterError, match="is no adapter"):
        lorafw.load_adapters({"x": tmp_path / "base-one"}, device="cpu")
    with pytest.raises(UsageError, match="no adapter is named"):
        lorafw.load_adapters({})
