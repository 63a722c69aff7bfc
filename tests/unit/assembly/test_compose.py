"""Parts that do not fit are refused with the reason, before anything heavy is imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import RunConfig
from lorafw.assembly.registry import Registry
from lorafw.errors import CompositionError, ConfigError, DataError, PluginError
from lorafw.types import Task

BASE: dict[str, Any] = {
    "dataset": "toy",
    "model": {"use": "toy", "path": "base"},
    "injector": "toy",
    "trainer": "toy",
    "objective": "toy",
    "exporters": ["toy"],
}


def fit(registry: Registry, **sections: Any) -> Parts:
    return compose(RunConfig.from_mapping({**BASE, **sections}, registry), registry)


def reason(registry: Registry, **sections: Any) -> str:
    with pytest.raises(CompositionError) as caught:
        fit(registry, **sections)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_parts_are_built_and_named(registry: Registry) -> None:
    parts = fit(registry, injector={"use": "toy", "r": 3}, exporters=["toy", "adapter"])
    assert parts.injector.model_dump()["r"] == 3
    assert parts.names == {
        **dict.fromkeys(("dataset", "model", "injector", "trainer", "encoder", "objective"), "toy"),
        "scenario": "single",
        "exporters": ("toy", "adapter"),
        "listeners": ("console",),
    }
    assert parts.versions["toy-parts"] == "1.0"
    assert set(parts.versions) == {"toy-parts", "lorafw"}


def test_the_encoder_is_the_models_choice(registry: Registry) -> None:
    assert type(fit(registry).encoder).__name__ == "ToyEncoder"
    assert type(fit(registry, encoder="prompt").encoder).__name__ == "Prompt"
    told = fit(registry, encoder={"max_length": 64})
    assert (told.names["encoder"], told.encoder.max_length) == ("toy", 64)


@pytest.mark.parametrize(
    ("rows", "objective", "encoder"),
    [("labeled", "classification", "text-pair"), ("prompt", "causal-lm", "prompt")],
)
def test_the_objective_is_the_rows_choice(
    registry: Registry, tmp_path: Path, rows: str, objective: str, encoder: str
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    config = {
        **{kind: part for kind, part in BASE.items() if kind != "objective"},
        "dataset": {"use": "toy", "rows": rows},
        "model": {"use": "auto", "path": str(tmp_path)},
    }
    parts = compose(RunConfig.from_mapping(config, registry), registry)
    assert (parts.names["objective"], parts.names["encoder"]) == (objective, encoder)


def test_preflight_runs_on_every_part(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        fit(registry, dataset={"use": "toy", "path": str(tmp_path / "none")})


def test_an_unknown_part_is_told(registry: Registry) -> None:
    with pytest.raises(PluginError, match="no encoder is called 'tou'"):
        fit(registry, encoder="tou")


def test_encoder_and_rows(registry: Registry) -> None:
    assert reason(registry, dataset={"use": "toy", "rows": "chat"}) == (
        "dataset 'toy' produces ChatExample, encoder 'toy' accepts PromptExample. "
        "Choose another encoder: --encoder NAME"
    )
    fit(registry, dataset={"use": "toy", "rows": "chat"}, encoder="chat")


def test_model_and_task(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["toy_parts"].ToyModel, "tasks", frozenset())
    assert reason(registry).startswith("model 'toy' cannot do causal-lm, which objective 'toy'")


def test_encoder_and_task(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(registry)
    other = type("OtherTask", (str,), {})("tagging")
    monkeypatch.setattr(sys.modules["toy_parts"].ToyEncoder, "task", other)
    assert reason(registry) == (
        f"encoder 'toy' is for tagging, objective 'toy' is for {Task.CAUSAL_LM}."
    )


def test_sharding_trainer_and_injector(registry: Registry) -> None:
    sharding = {"use": "toy", "whole": False}
    assert reason(registry, trainer=sharding).startswith(
        "trainer 'toy' partitions parameters over ranks, and injector 'toy' needs them whole."
    )
    fit(registry, trainer=sharding, injector={"use": "toy", "can": ["shardable"]})


def test_layout_and_injector(registry: Registry) -> None:
    plan = {"layout": "segments"}
    assert reason(registry, plan=plan).startswith(
        "plan.layout is segments, which injector 'toy' cannot take."
    )
    fit(registry, plan=plan, injector={"use": "toy", "can": ["segments"]})


def test_exporter_and_injector(registry: Registry) -> None:
    assert reason(registry, exporters=["toy", "greedy"]) == (
        "exporter 'greedy' requires mergeable, which injector 'toy' does not offer with these "
        "options."
    )
    fit(registry, exporters=["greedy"], injector={"use": "toy", "can": ["mergeable"]})


@pytest.mark.parametrize(("section", "name"), [("exporters", "toy"), ("listeners", "console")])
def test_nothing_is_listed_twice(registry: Registry, section: str, name: str) -> None:
    assert (
        reason(registry, **{section: [name, name]}) == f"'{name}' is listed 2 times in {section}."
    )


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ({"metric_for_best": "perplexty"}, "Did you mean 'perplexity'?"),
        ({"metric_for_best": "accuracy"}, "Known: loss, perplexity."),
        ({"early_stopping_patience": 2}, "plan.early_stopping_patience: needs evaluations"),
        ({"export_best": True}, "plan.export_best: needs evaluations"),
    ],
)
def test_evaluations_can_decide(registry: Registry, plan: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(registry, objective="causal-lm", plan=plan)
    assert fault in str(caught.value)
    assert str(caught.value).startswith(f"plan.{next(iter(plan))}: ")
    whole = {**plan, "evaluate_every": "epoch", "metric_for_best": "perplexity"}
    assert fit(registry, objective="causal-lm", plan=whole).plan.evaluate_every == "epoch"
