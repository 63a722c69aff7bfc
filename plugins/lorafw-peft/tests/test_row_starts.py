"""Starts that rows of data decide are those PEFT finds on the same rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora.config import CordaConfig, EvaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.eva import get_eva_state_dict
from peft.tuners.lora.loraga import preprocess_loraga

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.errors import AdapterError
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_gpt2_bundle, toy_rows
from lorafw.testing.values import as_if_trained, distance, equal, logits_of
from lorafw.types import Layout
from lorafw_peft import _looking
from lorafw_peft._looking import sharing
from lorafw_peft.injector import PeftInjector
from lorafw_peft.starts import ROW_STARTS, moves_output

sys.path.insert(0, str(Path(__file__).parent))
from two_ranks import looked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorafw.contracts import AdaptedModel, ModelBundle
    from lorafw.types import Batch, Encoded

ROWS = toy_rows(8, seed=7)
STARTS = sorted(ROW_STARTS)
TARGETS = ["q_proj", "v_proj", "down_proj"]
REMARK = "ignore:Full backward hook is firing:UserWarning"  # PEFT counts backward passes with one


def injected(start: str, bundle: ModelBundle | None = None, **options: Any) -> AdaptedModel:
    given = {"r": 4, "alpha": 6.0, "init": start, **options}
    return PeftInjector.from_mapping(given, where="injector").inject(bundle or toy_bundle())


def batches(rows: Sequence[Encoded] = ROWS, layout: Layout = Layout.PADDED) -> list[Batch]:
    """Two micro-batches."""
    half = len(rows) // 2
    return [ToyEncoder().collate(part, layout, 3) for part in (rows[:half], rows[half:])]


def started(start: str, given: list[Batch] | None = None, **options: Any) -> AdaptedModel:
    model = injected(start, **options)
    model.start_from(given or batches(), CausalLM())
    return model


def factors(model: AdaptedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in model.trainable().items()}


def peft_config(model: AdaptedModel, **options: Any) -> LoraConfig:
    modules = list(model.spec.targets)
    return LoraConfig(r=4, lora_alpha=6, target_modules=modules, **options)


def check_same(model: AdaptedModel, module: Any) -> None:
    """Compare with PEFT's factors, sought at random: each vector may have the other sign."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = inject_adapter_in_model(peft_config(model, **module[1]), module[0]).state_dict()
    for name, value in factors(model).items():
        wanted = theirs[name.replace(".weight", ".default.weight")]
        assert distance(value.abs(), wanted.abs()) < 1e-2, name


def test_eva_finds_the_directions_that_peft_finds() -> None:
    model = started("eva")
    config = peft_config(model, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0))
    loader = [{**batch.inputs, "labels": batch.labels} for batch in batches()]

    def forward(module: Any, inputs: dict[str, torch.Tensor]) -> None:
        module(**{name: value for name, value in inputs.items() if name != "labels"})

    wanted = get_eva_state_dict(
        toy_bundle().module, loader, config, forward_fn=forward, show_progress_bar=False
    )
    assert {f"{module}.lora_A.weight" for module in wanted} == {
        name for name in model.trainable() if name.endswith("lora_A.weight")
    }
    for module, down in wanted.items():
        torch.testing.assert_close(factors(model)[f"{module}.lora_A.weight"], down.float())
        assert not factors(model)[f"{module}.lora_B.weight"].any()


@pytest.mark.parametrize(("start", "method"), [("corda", "ipm"), ("corda_kpm", "kpm")])
def test_corda_chooses_the_part_that_peft_chooses(start: str, method: Any) -> None:
    rows = [ToyEncoder().collate([row], Layout.PADDED, 3) for row in ROWS]
    model = started(start, rows)
    module: Any = toy_bundle().module
    options = {"init_lora_weights": "corda", "corda_config": CordaConfig(corda_method=method)}

    def run() -> None:
        for row in rows:
            module(**row.inputs)

    preprocess_corda(module, peft_config(model, **options), run_model=run)
    check_same(model, (module, options))


@pytest.mark.filterwarnings(REMARK)
def test_lora_ga_follows_the_gradient_that_peft_follows() -> None:
    rows = [ToyEncoder().collate(ROWS, Layout.PADDED, 3)]
    model = started("lora_ga", rows)
    bundle = toy_bundle()
    options = {"init_lora_weights": "lora_ga", "lora_ga_config": LoraGAConfig()}

    def step() -> None:
        targets = CausalLM().counts(rows[0])
        torch.autograd.backward(CausalLM().loss(bundle, rows[0], targets))

    preprocess_loraga(bundle.module, peft_config(model, **options), step)
    check_same(model, (bundle.module, options))


@pytest.mark.parametrize("start", STARTS)
def test_the_base_is_not_touched_and_the_function_stays(start: str) -> None:
    bundle, plain = toy_gpt2_bundle(), toy_gpt2_bundle()
    model = injected(start, bundle)
    model.start_from(batches(), CausalLM())
    assert distance(logits_of(bundle, ROWS), logits_of(plain, ROWS)) < 1e-5
    with model.disabled():
        assert torch.equal(logits_of(bundle, ROWS), logits_of(plain, ROWS))
    assert all(p.grad is None for p in bundle.module.parameters())
    wanting = {id(p) for p in bundle.module.parameters() if p.requires_grad}
    assert wanting == {id(p) for p in model.trainable().values()}


@pytest.mark.parametrize("start", STARTS)
def test_how_rows_are_laid_out_matters_little(start: str) -> None:
    padded, laid = (
        started(start, batches(layout=layout), target_modules=TARGETS) for layout in Layout
    )
    for name, value in factors(padded).items():
        torch.testing.assert_close(factors(laid)[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("start", ["corda", "lora_ga"])
def test_one_layer_at_a_time_gives_the_same(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = factors(started(start, target_modules=TARGETS))
    monkeypatch.setattr(_looking, "MEMORY", 1)
    assert equal(factors(started(start, target_modules=TARGETS)), at_once)


@pytest.mark.parametrize("start", ["corda", "eva"])
def test_a_trained_adapter_is_plain_lora(start: str, tmp_path: Path) -> None:
    model = started(start, rank_pattern={"q_proj": 2}, target_modules=TARGETS)
    as_if_trained(model)
    adapted, rank = logits_of(model.bundle, ROWS), model.state().spec.rank
    assert rank == (8 if moves_output(start) else 4)
    plain = toy_bundle()
    load_with_peft(plain, model, tmp_path)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5
    merged = toy_bundle()
    merged.module.load_state_dict(dict(model.merged_state()), strict=False)
    assert distance(logits_of(merged, ROWS), adapted) < 1e-5


def test_a_resumed_run_sees_no_rows_and_goes_on_the_same() -> None:
    first = started("lora_ga", target_modules=TARGETS)
    heir = injected("lora_ga", target_modules=TARGETS)
    as_if_trained(first)
    heir.load_state(factors(first))
    heir.load_training_state(first.training_state())
    assert equal(heir.state().tensors, first.state().tensors)


def test_two_ranks_start_alike_to_the_bit_and_as_one_does(
    two_ranks: list[dict[str, torch.Tensor]],
) -> None:
    first, second = (
        {
            name.removeprefix("lora_ga/"): t
            for name, t in each.items()
            if name.startswith("lora_ga/")
        }
        for each in two_ranks
    )
    assert len(first) == 2 * len(injected("kaiming").trainable())
    assert equal(first, second)
    trainer: Any = Registry().load("trainer", "ddp").from_mapping({}, where="trainer")
    assert equal(looked(trainer), first)


def test_a_reset_forgets_the_rows() -> None:
    model, fresh = started("corda", target_modules=TARGETS), injected("kaiming")
    model.reset(seed=4)
    fresh.reset(seed=4)
    for name, value in factors(model).items():
        assert torch.equal(value, factors(fresh)[name])
    assert distance(logits_of(model.bundle, ROWS), logits_of(toy_bundle(), ROWS)) < 1e-6


@pytest.mark.parametrize(
    ("make", "groups"), [(toy_bundle, 2 * 4), (toy_gpt2_bundle, 2 * 4)], ids=["llama", "gpt2"]
)
def test_layers_with_one_input_are_looked_at_once(
    make: Callable[[], ModelBundle], groups: int
) -> None:
    model: Any = injected("eva", make())
    found = sharing(model.bundle, batches()[0], model._layers)
    assert len(found) == groups
    assert sorted(name for group in found for name in group) == sorted(model.spec.targets)


def test_only_starts_that_look_at_rows_ask_for_some() -> None:
    assert injected("eva", init_rows=5).start_rows == 5
    other = injected("gaussian", init_rows=5)
    assert other.start_rows == 0
    before = factors(other)
    other.start_from(batches(), CausalLM())
    assert equal(factors(other), before)


@pytest.mark.parametrize(
    ("start", "rank", "fault"),
    [("eva", 20, "rank of at most 16"), ("lora_ga", 9, "at most 8"), ("corda", 17, "at most 16")],
)
def test_a_rank_that_does_not_fit_is_refused(start: str, rank: int, fault: str) -> None:
    with pytest.raises(AdapterError, match=rf"injector\.r: .*{fault}"):
        started(start, [ToyEncoder().collate(ROWS, Layout.PADDED, 3)], r=rank)


def test_rows_that_are_too_few_are_refused() -> None:
    with pytest.raises(AdapterError, match=r"trained tokens.*injector\.init_rows"):
        started("eva", batches(toy_rows(2, seed=1, longest=4)))
    with pytest.raises(AdapterError, match="needs rows of data"):
        injected("eva").start_from([], CausalLM())


def test_an_embedding_has_no_inputs_to_look_at() -> None:
    with pytest.raises(AdapterError, match="no start for an embedding"):
        injected("eva", target_modules=["embed_tokens"])
