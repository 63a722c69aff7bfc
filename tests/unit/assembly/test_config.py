"""Files, flags and `-o` make one config; every error says where the fault was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.compose import compose
from lorafw.assembly.config import RunConfig, read_config
from lorafw.assembly.registry import Registry
from lorafw.errors import LorafwError, UsageError

WHOLE = """\
run: {name: night}
dataset: toy
model:
  use: toy
  path: models/base
injector:
  use: toy
  r: 4
trainer:
  use: toy
  whole: true
  timeout: 5
plan:
  epochs: 2
  learning_rate: 1e-3
objective: toy
exporters: [toy]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole config in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("lorafw.yaml")
    path.write_text(WHOLE)
    return path


def fault(registry: Registry, text: str | None, **flags: Any) -> str:
    path = Path("lorafw.yaml")
    if text is not None:
        path.write_text(text)
    with pytest.raises(LorafwError) as caught:
        compose(read_config(registry, path=path, **flags), registry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_says_it_all(registry: Registry, file: Path) -> None:
    config = read_config(registry, path=file)
    assert (config.run.name, config.run.seed, config.run.output) == ("night", 0, None)
    assert (config.plan.epochs, config.plan.learning_rate) == (2, 1e-3)
    assert (config.dataset.name, dict(config.dataset.options)) == ("toy", {})
    assert config.trainer.options == {"whole": True, "timeout": 5}
    assert [choice.name for choice in config.exporters] == ["toy"]


def test_what_is_not_said_has_a_default(registry: Registry, file: Path) -> None:
    file.write_text(WHOLE.replace("objective: toy\nexporters: [toy]\n", "exporters:\n"))
    config = read_config(registry, path=file)
    assert (config.encoder, config.objective) == (None, None)
    assert config.scenario.name == "single"
    assert [choice.name for choice in config.exporters] == ["adapter"]
    assert [choice.name for choice in config.listeners] == ["console"]


def test_an_empty_list_is_not_the_default(registry: Registry, file: Path) -> None:
    assert read_config(registry, path=file, overrides=["listeners=[]"]).listeners == ()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "  whole: true",
            "  whle: true",
            "lorafw.yaml:11: trainer.whle: unknown option. Did you mean 'whole'?",
        ),
        (
            "  r: 4",
            "  r: 0",
            "lorafw.yaml:8: injector.r: Input should be greater than or equal to 1 (got 0).",
        ),
        (
            "  r: 4",
            "  rates: {a: 1, b: x}",
            (
                "lorafw.yaml:8: injector.rates.b: Input should be a valid number, unable to parse "
                "string as a number (got 'x')."
            ),
        ),
        (
            "  path: models/base",
            "  # path: models/base",
            "lorafw.yaml:3: model.path: is required. Set it: -o model.path=…",
        ),
        (
            "  epochs: 2",
            "  epocs: 2",
            "lorafw.yaml:14: plan.epocs: unknown option. Did you mean 'epochs'?",
        ),
        (
            "run: {name: night}",
            "run: {nam: night}",
            "lorafw.yaml:1: run.nam: unknown option. Did you mean 'name'?",
        ),
        (
            "dataset: toy",
            "datset: toy",
            "lorafw.yaml:2: datset: there is no such section. Did you mean 'dataset'?",
        ),
        (
            "dataset: toy",
            "dataset: 5",
            "lorafw.yaml:2: dataset: should be a name, or a mapping with `use`, not 5.",
        ),
        (
            "run: {name: night}",
            "run: night",
            "lorafw.yaml:1: run: should be a mapping of options, not 'night'.",
        ),
        (
            "trainer:\n  use: toy",
            "trainer:\n  use: toi",
            "lorafw.yaml:10: no trainer is called 'toi'. Did you mean 'toy'?",
        ),
        (
            "exporters: [toy]",
            "exporters:\n  - toy\n  - use: greedy\n    bits: 8",
            "lorafw.yaml:20: exporters.1.bits: unknown option. Known: accept_loss.",
        ),
        (
            "exporters: [toy]",
            "exporters:\n  - toy\n  - {}",
            (
                "lorafw.yaml:19: exporters.1: says not which exporter to use. "
                "Add: use: NAME (see `lorafw plugins list`)"
            ),
        ),
        (
            "  timeout: 5",
            "  whole: false",
            "lorafw.yaml:12: trainer.whole: is written twice, first on line 11.",
        ),
    ],
)
def test_faults_of_a_file_have_a_line(
    registry: Registry, file: Path, before: str, after: str, message: str
) -> None:
    assert before in WHOLE
    assert file.exists()
    assert fault(registry, WHOLE.replace(before, after)) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.whle=true", "-o trainer.whle: unknown option. Did you mean 'whole'?"),
        ("trainr.whole=true", "-o trainr: there is no such section. Did you mean 'trainer'?"),
        ("trainer.whole", "-o trainer.whole: is not of the form KEY=VALUE, such as injector.r=16."),
        ("trainer.whole.x=1", "-o trainer.whole.x: lies inside a plain value."),
        ("exporters.9.x=1", "-o exporters.9: there is no such item; the list has: toy."),
        ("plan.epochs=[", "-o plan.epochs: not valid YAML:"),
        ("trainer.use=5", "-o trainer.use: should be a name, not 5."),
        ("trainer.use.x=5", "-o trainer.use.x: lies inside a plain value."),
        ("exporters.0=5", "-o exporters.0: should be a name, or a mapping with `use`, not 5."),
        ("exporters=5", "-o exporters.0: should be a name, or a mapping with `use`, not 5."),
        ("plan=5", "-o plan: should be a mapping of options, not 5."),
        ("trainer=toi", "no trainer is called 'toi'. Did you mean 'toy'?"),
    ],
)
def test_faults_of_an_override_name_it(
    registry: Registry, file: Path, override: str, message: str
) -> None:
    assert file.exists()
    assert fault(registry, None, overrides=[override]).startswith(message)


def test_later_ones_win(registry: Registry, file: Path) -> None:
    plain = RunConfig.from_mapping(
        {"dataset": "toy", "model": "toy", "injector": "toy", "trainer": "toy"}, registry
    )
    assert plain.run.output is None
    file.write_text(WHOLE.replace("run: {name: night}", "run: {output: from-file}"))
    assert read_config(registry, path=file).run.output == Path("from-file")
    flagged = read_config(registry, path=file, output=Path("from-flag"))
    assert flagged.run.output == Path("from-flag")
    overridden = read_config(
        registry, path=file, output=Path("from-flag"), overrides=["run.output=from-o"]
    )
    assert overridden.run.output == Path("from-o")


def test_values_of_overrides_are_yaml(registry: Registry, file: Path) -> None:
    config = read_config(
        registry,
        path=file,
        overrides=[
            "plan.learning_rate=2e-4",
            "injector.rates.q=1",
            "exporters=[greedy, toy]",
            "exporters.greedy.x=null",
            "run.name=no",
        ],
    )
    assert config.plan.learning_rate == 2e-4
    assert config.injector.options == {"r": 4, "rates": {"q": 1}}
    assert [(c.name, c.options) for c in config.exporters] == [("greedy", {"x": None}), ("toy", {})]
    assert config.run.name == "no"


def test_options_of_parts_that_were_not_named(registry: Registry, file: Path) -> None:
    file.write_text(
        WHOLE.replace("objective: toy\nexporters: [toy]\n", "objective: {chunk_rows: 64}\n")
    )
    overrides = ["exporters.adapter.x=1", "encoder.max_length=64", "listeners.0=events"]
    config = read_config(registry, path=file, overrides=overrides)
    assert config.objective is not None
    assert (config.objective.name, config.objective.options) == ("", {"chunk_rows": 64})
    assert [(c.name, c.options) for c in config.exporters] == [("adapter", {"x": 1})]
    assert [(c.name, c.options) for c in config.listeners] == [("events", {})]
    assert config.encoder is not None
    assert (config.encoder.name, config.encoder.options) == ("", {"max_length": 64})


def test_another_part_keeps_the_options_it_has_too(registry: Registry, file: Path) -> None:
    config = read_config(registry, path=file, choices={"trainer": "other"})
    assert (config.trainer.name, config.trainer.options) == ("other", {"timeout": 5})
    assert config.notices == (
        "trainer.whole: dropped, meant for trainer 'toy'; 'other' has no such option.",
    )
    assert compose(config, registry).trainer.model_dump() == {"timeout": 5.0}


@pytest.mark.parametrize("override", ["trainer=other", "trainer.use=other"])
def test_an_override_can_swap_too(registry: Registry, file: Path, override: str) -> None:
    config = read_config(registry, path=file, overrides=["trainer.timeout=7", override])
    assert (config.trainer.name, config.trainer.options) == ("other", {"timeout": 7})


def test_options_of_overrides_are_never_dropped(registry: Registry, file: Path) -> None:
    assert file.exists()
    message = fault(registry, None, choices={"trainer": "other"}, overrides=["trainer.whole=false"])
    assert message == "-o trainer.whole: unknown option. Known: timeout."


def test_the_same_part_by_flag_changes_nothing(registry: Registry, file: Path) -> None:
    config = read_config(registry, path=file, choices={"trainer": "toy"})
    assert (config.trainer.options, config.notices) == ({"whole": True, "timeout": 5}, ())


def test_a_flag_can_name_the_part_of_bare_options(registry: Registry, file: Path) -> None:
    file.write_text(WHOLE.replace("trainer:\n  use: toy", "trainer:"))
    config = read_config(registry, path=file, choices={"trainer": "toy"})
    assert config.trainer.options == {"whole": True, "timeout": 5}


def test_lists_by_flag_replace_and_keep_options(registry: Registry, file: Path) -> None:
    file.write_text(WHOLE.replace("[toy]", "[{use: greedy, x: 1}, toy]"))
    config = read_config(registry, path=file, lists={"exporters": ["adapter", "greedy"]})
    assert [(c.name, c.options) for c in config.exporters] == [
        ("adapter", {}),
        ("greedy", {"x": 1}),
    ]


def test_aliases_do_not_tie_sections_together(registry: Registry, file: Path) -> None:
    rates = "injector:\n  use: toy\n  rates: &r {a: 1}\n"
    text = WHOLE.replace("injector:\n  use: toy\n", rates) + "scenario: {use: single, rates: *r}\n"
    file.write_text(text)
    config = read_config(registry, path=file, overrides=["injector.rates.a=2"])
    assert config.injector.options["rates"] == {"a": 2}
    assert config.scenario.options["rates"] == {"a": 1}


def test_all_that_is_missing_is_named_at_once(registry: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(registry, choices={"model": "toy", "trainer": "toy"})
    assert str(caught.value) == (
        "nothing says which dataset and injector to use: pass --dataset NAME "
        "(files, hf, jsonl, mix, toy, trace), --injector NAME (custom, full, peft, toy), "
        "or write a config with `lorafw init`."
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer": {"use": 5}}, "trainer.use: should be a name, not 5."),
        ({"trainr": {}}, "trainr: there is no such section. Did you mean 'trainer'?"),
    ],
)
def test_plain_values_have_keys_for_lines(values: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        RunConfig.from_mapping(values)
    assert str(caught.value) == message
