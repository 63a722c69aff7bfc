"""A prefix that is kept changes how long training takes, and no bit of what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel, Hidden, ModelBundle
from lorafw.errors import ConfigError
from lorafw.testing.toy_classifier import toy_class_rows, toy_classifier
from lorafw.testing.toy_experts import toy_experts_bundle
from lorafw.testing.toy_training import Trained, started, train, training_plan, training_rows
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.testing.values import as_if_trained, equal
from lorafw.training.prefix.frozen_prefix import beginning_of, digest_of
from lorafw.types import Encoded, Layout

EPOCHS, STEPS_PER_EPOCH = 3, 4
FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any], Layout]] = {
    "fused": ("custom", {}, {}, Layout.SEGMENTS),
    "fused, padded": ("custom", {}, {}, Layout.PADDED),
    "fused, dropped": ("custom", {"dropout": 0.2}, {}, Layout.SEGMENTS),
    "fused, recomputed": ("custom", {}, {"activations": "checkpoint"}, Layout.SEGMENTS),
    "peft": ("peft", {}, {}, Layout.SEGMENTS),
    "peft, dropped": ("peft", {"dropout": 0.2}, {}, Layout.PADDED),
    "peft, recomputed": ("peft", {}, {"activations": "checkpoint"}, Layout.PADDED),
    "ia3": ("peft", {"method": "ia3", "method_options": {}}, {}, Layout.SEGMENTS),
}


def bundle_of(dtype: str = "fp32") -> ModelBundle:
    return toy_bundle(dtype, num_hidden_layers=4)


def adapted(bundle: ModelBundle, injector: str, **options: Any) -> AdaptedModel:
    part: Any = Registry().load("injector", injector)
    model: AdaptedModel = part.from_mapping(options, where="injector").inject(bundle)
    as_if_trained(model)
    return model


def upper(injector: str = "custom", dtype: str = "fp32", **options: Any) -> AdaptedModel:
    rank = {} if "method" in options else {"r": 4}
    return adapted(bundle_of(dtype), injector, **rank, top_layers=2, **options)


def fit(model: AdaptedModel, plan: dict[str, Any] | None = None, **job: Any) -> Trained:
    three = {"epochs": EPOCHS, "max_steps": None, "composition": "fixed", "micro_batch_tokens": 60}
    trainer: Any = Registry().load("trainer", "ddp")()
    with started(trainer) as running:
        return train(running, model, training_plan(**{**three, **(plan or {})}), **job)


def agree(one: Trained, other: Trained) -> bool:
    same = equal(one.values, other.values) and one.figures("loss") == other.figures("loss")
    return same and one.result.evaluation == other.result.evaluation


def watched(model: AdaptedModel) -> list[bool]:
    """Gets an entry whenever the first layer is computed."""
    calls: list[bool] = []
    first: Any = model.bundle.layers[0]
    forward = first.forward

    def noted(*given: Any, **named: Any) -> Any:
        calls.append(torch.is_grad_enabled())
        return forward(*given, **named)

    first.forward = noted
    return calls


def forwards(model: AdaptedModel) -> list[Any]:
    """What stands in the place of each layer's own `forward`."""
    return [vars(layer).get("forward") for layer in model.bundle.layers]


def notices(done: Trained) -> list[str]:
    return [str(payload["message"]) for event, payload in done.events if event == "notice"]


QUICK = [
    ("fused", "bf16"),
    ("fused, dropped", "fp32"),
    ("fused, recomputed", "fp32"),
    ("peft, dropped", "fp32"),
]
SLOW = [
    pytest.param(form, dtype, marks=pytest.mark.slow)
    for form in FORMS
    for dtype in ("fp32", "bf16")
    if (form, dtype) not in QUICK
]


@pytest.mark.parametrize(("form", "dtype"), [*QUICK, *SLOW])
def test_every_form_of_adapter_trains_to_the_same_bits(
    form: str, dtype: str, tmp_path: Path
) -> None:
    injector, options, plan, layout = FORMS[form]
    plain, cached = (
        fit(upper(injector, dtype, **options), plan, layout=layout, prefix_cache=place)
        for place in (None, tmp_path)
    )
    assert agree(cached, plain)
    assert len(cached.figures("loss")) == EPOCHS * STEPS_PER_EPOCH


def test_lower_layers_are_computed_in_the_first_epoch_only(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for place in (None, tmp_path):
        model = upper()
        calls = watched(model)
        fit(model, eval_rows=training_rows()[:3], prefix_cache=place)
        seen.append((calls.count(True), calls.count(False)))
    (trained, measured), (trained_once, measured_too) = seen
    assert trained == EPOCHS * trained_once > 0
    assert measured_too == measured + 1  # the trial


def test_evaluations_on_the_way_are_what_they_were(tmp_path: Path) -> None:
    plan = {"evaluate_every": 3}
    plain, cached = (
        fit(upper(), plan, eval_rows=training_rows(), prefix_cache=place)
        for place in (None, tmp_path)
    )
    assert agree(cached, plain)
    figures = [
        [payload["figures"] for event, payload in done.events if event == "evaluation_end"]
        for done in (plain, cached)
    ]
    assert figures[0] == figures[1]
    assert len(figures[0]) > EPOCHS


@settings(max_examples=3, deadline=None)
@given(
    lowest=st.integers(1, 3),
    budget=st.integers(1, 200),
    batch=st.integers(1, 13),
    layout=st.sampled_from(Layout),
)
def test_any_cut_gives_the_same_bits(
    lowest: int, budget: int, batch: int, layout: Layout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = {"micro_batch_tokens": budget, "global_batch_size": batch, "max_steps": 8}
    options: dict[str, Any] = {"r": 2, "layers_to_transform": [lowest]}
    plain, cached = (
        fit(adapted(bundle_of(), "custom", **options), plan, layout=layout, prefix_cache=place)
        for place in (None, tmp_path_factory.mktemp("run"))
    )
    assert agree(cached, plain)


def test_nothing_is_left_on_disk_or_in_the_model(tmp_path: Path) -> None:
    model = upper()
    before = forwards(model)
    fit(model, prefix_cache=tmp_path / "made")
    assert list(tmp_path.rglob("*")) == [tmp_path / "made"]
    assert forwards(model) == before


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    model, ended = upper(), RuntimeError("no more")
    before = forwards(model)
    layers: Any = model.bundle.layers
    calls: list[int] = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 9:
            raise ended

    handle = layers[3].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no more"):
        fit(model, prefix_cache=tmp_path)
    handle.remove()
    assert not list(tmp_path.iterdir())
    assert forwards(model) == before


@pytest.mark.parametrize("injector", ["custom", pytest.param("peft", marks=pytest.mark.slow)])
def test_a_resumed_run_ends_as_one_that_went_on(injector: str, tmp_path: Path) -> None:
    whole = fit(upper(injector), prefix_cache=tmp_path)
    job: dict[str, Any] = {"checkpoints": tmp_path / "kept", "prefix_cache": tmp_path}
    fit(upper(injector), {"max_steps": 6, "checkpoint_every": 6}, **job)
    rest = fit(upper(injector), resume=True, accept_changed=("plan",), **job)
    assert rest.result.steps == whole.result.steps
    assert equal(rest.values, whole.values)


def test_a_trial_that_finds_no_memory_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pass fails in both runs, so both go on with the same smaller micro-batches."""
    tries: list[int] = []
    hidden = type(bundle_of()).hidden

    def scarce(bundle: Any, inputs: Any) -> Hidden:
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError
        return hidden(bundle, inputs)

    found = []
    for place in (None, tmp_path):
        model = upper(dropout=0.3)
        tries.clear()
        with monkeypatch.context() as patched:
            patched.setattr(type(model.bundle), "hidden", scarce)
            found.append(fit(model, {"micro_batch_tokens": 80}, prefix_cache=place))
    plain, cached = found
    assert agree(cached, plain)
    for done in found:
        assert any("Memory ran out: micro-batches have at most" in told for told in notices(done))
    assert any("kept on disk" in told for told in notices(cached))


def test_what_is_kept_and_how_much_is_told(tmp_path: Path) -> None:
    tokens = sum(len(row.input_ids) for row in training_rows())
    told = [one for one in notices(fit(upper(), prefix_cache=tmp_path)) if "kept on disk" in one]
    assert len(told) == 1
    assert told[0].startswith("Layers 0 to 1 are computed in the first epoch only; what enters")
    assert f"layer 2 is kept on disk, about {tokens * 32 * 4 / 1000:.3g} kB" in told[0]


def test_one_epoch_has_nothing_to_gain(tmp_path: Path) -> None:
    told = notices(fit(upper(), {"epochs": 1}, prefix_cache=tmp_path))
    assert "injector.prefix_cache does nothing here: plan.epochs is 1." in told


def test_a_full_disk_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fit(upper())
    free = iter([10**12, 10**12])
    usage = type("Usage", (), {"free": property(lambda _: next(free, 0))})()
    monkeypatch.setattr("lorafw.training.prefix.row_file.shutil.disk_usage", lambda _: usage)
    model = upper()
    calls = watched(model)
    cached = fit(model, prefix_cache=tmp_path)
    assert agree(cached, plain)
    passes = len(calls) - 1
    assert passes > STEPS_PER_EPOCH * EPOCHS
    told = [notice for notice in notices(cached) if "No space left on device" in notice]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"layers_to_transform": [0, 3]}, "in the model's first layer"),
        ({"top_layers": 1, "trainable_tokens": [5]}, "before the model's first layer"),
        ({"target_modules": ["lm_head"]}, "in any of the model's layers"),
    ],
)
def test_what_has_no_frozen_prefix_is_refused(
    options: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        fit(adapted(bundle_of(), "custom", **options), prefix_cache=tmp_path)
    assert caught.value.where == "injector.prefix_cache"


def test_rows_that_want_a_gradient_are_refused_wherever_they_come_from(tmp_path: Path) -> None:
    model = upper()
    module: Any = model.bundle.module
    embedding, moving = module.get_input_embeddings(), torch.zeros(32, requires_grad=True)
    embedding.register_forward_hook(lambda _module, _given, rows: rows + moving)
    with pytest.raises(ConfigError, match="before the model's first layer"):
        fit(model, prefix_cache=tmp_path)


def test_upper_layers_that_look_below_are_refused(tmp_path: Path) -> None:
    """As layers do that share keys and values with lower ones."""
    model = upper()
    layers: Any = model.bundle.layers
    seen: list[torch.Tensor] = []
    layers[0].mlp.register_forward_hook(lambda _module, _given, made: seen.append(made))
    layers[3].mlp.register_forward_hook(lambda _module, _given, made: made + seen.pop())
    with pytest.raises(ConfigError, match="take more from the lower ones"):
        fit(model, prefix_cache=tmp_path)


def test_a_loss_of_lower_layers_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As routers add one to the model's loss."""
    model = upper()
    layers: Any = model.bundle.layers
    noted: list[torch.Tensor] = []
    for layer in layers:
        layer.mlp.register_forward_hook(lambda _module, _given, made: noted.append(made.mean()))
    hidden = type(model.bundle).hidden

    def with_loss(bundle: Any, inputs: Any) -> Hidden:
        noted.clear()
        rows = hidden(bundle, inputs).rows
        return Hidden(rows, torch.stack(noted).sum())

    monkeypatch.setattr(type(model.bundle), "hidden", with_loss)
    with pytest.raises(ConfigError, match="take more from the lower ones"):
        fit(model, prefix_cache=tmp_path)


def test_a_mixture_of_experts_without_a_loss_of_its_own_is_kept(tmp_path: Path) -> None:
    plain, cached = (
        fit(
            adapted(toy_experts_bundle(), "custom", r=2, top_layers=1),
            layout=Layout.PADDED,
            prefix_cache=place,
        )
        for place in (None, tmp_path)
    )
    assert agree(cached, plain)


def test_a_classifier_is_kept(tmp_path: Path) -> None:
    from lorafw.builtin.classification import Classification
    from lorafw.builtin.text_pair import TextPair

    job: dict[str, Any] = {
        "objective": Classification(),
        "encoder": TextPair(),
        "rows": toy_class_rows(9),
        "layout": Layout.PADDED,
    }
    plain, cached = (
        fit(adapted(toy_classifier(), "peft", r=2, top_layers=1), prefix_cache=place, **job)
        for place in (None, tmp_path)
    )
    assert agree(cached, plain)


def test_a_digest_stands_for_names_types_shapes_and_numbers() -> None:
    base = {"ids": torch.arange(6), "ends": torch.tensor([0, 6], dtype=torch.int32)}
    others = [
        {**base, "ids": torch.tensor([0, 1, 2, 3, 5, 4])},
        {**base, "ids": torch.arange(6).view(2, 3)},
        {**base, "ids": torch.arange(6, dtype=torch.int32)},
        {**base, "ends": torch.tensor([0, 3, 6], dtype=torch.int32)},
        {"ids": base["ids"]},
        {"names": base["ids"], "ends": base["ends"]},
    ]
    digests = {digest_of(inputs) for inputs in [base, *others]}
    assert len(digests) == 1 + len(others)
    assert digest_of({**base, "ids": base["ids"].clone()}) == digest_of(base)
    assert {len(digest) for digest in digests} == {16}


@given(seed=st.integers(0, 99), longest=st.integers(2, 200), layout=st.sampled_from(Layout))
def test_a_beginning_is_the_first_tokens_of_the_first_row(
    seed: int, longest: int, layout: Layout
) -> None:
    rows = toy_rows(3, seed=seed, longest=longest)
    rows.sort(key=lambda row: -len(row.input_ids))
    inputs = beginning_of(ToyEncoder().collate(rows, layout, 3).inputs)
    few = ToyEncoder().collate([Encoded(rows[0].input_ids[:64], rows[0].labels[:64])], layout, 3)
    assert inputs.keys() == few.inputs.keys()
    assert all(torch.equal(inputs[name], few.inputs[name]) for name in inputs)
    assert all(inputs[name].dtype is few.inputs[name].dtype for name in inputs)
