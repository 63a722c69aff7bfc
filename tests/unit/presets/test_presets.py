"""Every preset is a config that the installed parts accept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorafw.assembly.checks import CHECKS, encoder_accepts_the_rows
from lorafw.assembly.compose import Parts, _Builder
from lorafw.assembly.config import Choice, RunConfig, read_config
from lorafw.assembly.draft import SEVERAL, SINGLE
from lorafw.assembly.registry import Registry
from lorafw.assembly.schema import json_schema
from lorafw.assembly.unset import unset_keys
from lorafw.assembly.yaml_source import parse_yaml
from lorafw.errors import ConfigError
from lorafw.presets.catalog import preset_names, preset_text

PRESETS = preset_names()
WANTED = {
    *("glue-mrpc", "metamath-qa", "gsm8k", "code-feedback", "trace", "minimind-identity"),
    *(
        "glm-instruction",
        "tiny-llm",
        "mixed-ranks",
        "accelerate",
        "deepspeed-zero2",
        "deepspeed-zero3",
    ),
    "template",
}


def values(name: str) -> dict[str, Any]:
    return dict(parse_yaml(preset_text(name), name).values)


def filled(name: str, folder: Path) -> RunConfig:
    """The preset with something in the place of what only a user knows."""
    (folder / "tokenizer_config.json").write_text("{}")
    known = {"model.path": "lorafw:demo", "model.tokenizer_path": str(folder)}
    given = [f"{key}={known.get(key, 'rows.jsonl')}" for key in unset_keys(values(name))]
    if "objective" not in values(name):
        given.append("objective=causal-lm")  # else the rows tell, and there are none yet
    return read_config(Registry(), path=Path(f"preset:{name}"), overrides=given)


def choices(config: RunConfig) -> Iterator[Choice]:
    for kind in SINGLE:
        if choice := getattr(config, kind):
            yield choice
    for section in SEVERAL:
        yield from getattr(config, section)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json_schema(Registry())
    return found


def test_all_that_are_wanted_are_there() -> None:
    assert set(PRESETS) >= WANTED


@pytest.mark.parametrize("name", PRESETS)
def test_the_parts_are_installed_and_fit(name: str, tmp_path: Path) -> None:
    parts = _Builder(filled(name, tmp_path), Registry()).parts()
    assert isinstance(parts, Parts)
    for check in CHECKS:
        if check is not encoder_accepts_the_rows:  # there are no rows yet
            check(parts)


@pytest.mark.parametrize("name", PRESETS)
def test_the_schema_knows_every_key(name: str, tmp_path: Path, schema: dict[str, Any]) -> None:
    given = values(name)
    assert given.keys() <= schema["properties"].keys()
    for section in {"run", "plan"} & given.keys():
        assert given[section].keys() <= schema["$defs"][section]["properties"].keys()
    for choice in choices(filled(name, tmp_path)):
        if choice.name:
            options = schema["$defs"][f"{choice.kind}.{choice.name}"]
            assert choice.options.keys() <= options["properties"].keys()
            assert {*options["required"]} <= {"use", *choice.options}


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_user_must_set_is_told_by_name(name: str) -> None:
    keys = list(unset_keys(values(name)))
    if not keys:
        assert read_config(Registry(), path=Path(f"preset:{name}")).dataset.name
        return
    with pytest.raises(ConfigError) as caught:
        read_config(Registry(), path=Path(f"preset:{name}"))
    assert all(f"-o {key}=…" in str(caught.value) for key in keys)
    assert str(caught.value).startswith(f"preset:{name}:")


@pytest.mark.parametrize("name", PRESETS)
def test_the_head_says_how_to_run_it_and_what_is_better(name: str) -> None:
    head = preset_text(name).partition("\nrun:")[0].replace("\n# ", " ")
    assert f"preset:{name}" in head or f"--preset {name}" in head
    assert "Not repeated: " in head or name == "template"
    assert max(map(len, preset_text(name).splitlines())) <= 100


def test_the_figures_of_lora_ns() -> None:
    told = {
        name: (
            config["injector"]["r"],
            config["injector"]["alpha"],
            config["injector"]["dropout"],
            len(config["injector"]["target_modules"]),
            config["plan"]["learning_rate"],
            config["plan"]["global_batch_size"],
        )
        for name in ("glue-mrpc", "metamath-qa", "gsm8k", "code-feedback")
        for config in [values(name)]
    }
    assert told == {
        "glue-mrpc": (8, 16, 0.1, 2, 3e-4, 16),
        "metamath-qa": (16, 32, 0.05, 7, 2e-4, 32),
        "gsm8k": (32, 64, 0.05, 7, 2e-4, 32),
        "code-feedback": (16, 32, 0.1, 4, 1e-4, 32),
    }


@pytest.mark.parametrize("section", ["run", "plan", "dataset", "model", "injector", "trainer"])
def test_the_template_has_every_option_of_its_sections(
    section: str, tmp_path: Path, schema: dict[str, Any]
) -> None:
    config = values("template")
    name = section if section in ("run", "plan") else f"{section}.{config[section]['use']}"
    assert config[section].keys() == schema["$defs"][name]["properties"].keys()


@pytest.mark.parametrize("section", ["encoder", "objective", "scenario", "exporters", "listeners"])
def test_the_template_has_every_option_of_the_parts_with_defaults(
    section: str, schema: dict[str, Any]
) -> None:
    given = values("template")[section]
    for part in given if isinstance(given, list) else [given]:
        name = f"{SEVERAL.get(section, section)}.{part['use']}"
        assert part.keys() == schema["$defs"][name]["properties"].keys()


def test_the_template_changes_no_default(tmp_path: Path) -> None:
    parts = _Builder(filled("template", tmp_path), Registry()).parts()
    for part in (parts.model, parts.injector, parts.trainer, parts.encoder, *parts.exporters):
        required = {name for name, field in type(part).model_fields.items() if field.is_required()}
        given = part.model_dump(exclude=required)
        assert given == type(part)(**part.model_dump(include=required)).model_dump(exclude=required)
    assert json.loads(parts.plan.model_dump_json()) == json.loads(
        type(parts.plan)().model_dump_json()
    )
