"""The saved config has every default written out and gives the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lorafw
from lorafw.assembly.compose import compose
from lorafw.assembly.config import RunConfig, read_config, resolved, write_resolved
from lorafw.assembly.registry import Registry

GIVEN: dict[str, Any] = {
    "run": {"output": "some where", "seed": 3},
    "dataset": "toy",
    "model": {"use": "toy", "path": "2e-4"},
    "injector": {"use": "toy-parts/toy", "can": ["segments"], "rates": {"no": 1e-8}},
    "trainer": "toy_parts:OtherTrainer",
    "objective": "toy",
    "exporters": [{"use": "toy"}, {"use": "adapter"}],
    "listeners": [],
    "plan": {"betas": [0.9, 0.95], "max_grad_norm": None},
}


@pytest.fixture
def values(registry: Registry) -> dict[str, Any]:
    """What `GIVEN` resolves to."""
    config = RunConfig.from_mapping(GIVEN, registry)
    return resolved(config, compose(config, registry))


def test_defaults_are_written_out(values: dict[str, Any]) -> None:
    assert list(values)[:2] == ["run", "dataset"]
    assert values["run"] == {"name": "run", "output": "some where", "seed": 3, "cache": True}
    assert values["dataset"] == {"use": "toy", "rows": "prompt", "path": None}
    assert values["trainer"] == {"use": "toy_parts:OtherTrainer", "timeout": 30.0}
    lengths = {"max_length": 1024, "max_prompt_length": None, "max_response_length": None}
    assert values["encoder"] == {"use": "toy", **lengths, "truncate": "left"}
    assert values["scenario"] == {"use": "single"}
    assert values["plan"]["betas"] == [0.9, 0.95]
    assert values["plan"]["epochs"] == 1


def test_versions_tell_what_the_run_was_made_with(values: dict[str, Any]) -> None:
    versions = values["versions"]
    assert (versions["lorafw"], versions["toy-parts"]) == (lorafw.__version__, "1.0")
    assert {"python", "torch", "transformers"} <= versions.keys()


def test_the_saved_file_gives_the_same_run(
    values: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    write_resolved(values, path)
    assert path.read_text().startswith("# The config of this run with every default written out.")
    again = read_config(registry, path=path)
    parts = compose(again, registry)
    assert resolved(again, parts) == values
    first = compose(RunConfig.from_mapping(GIVEN, registry), registry)
    for name in ("dataset", "model", "injector", "trainer", "encoder", "exporters", "plan"):
        assert getattr(parts, name) == getattr(first, name)


def test_the_lorafw_version_is_told_even_when_no_part_is_its_own(
    values: dict[str, Any], registry: Registry
) -> None:
    foreign = RunConfig.from_mapping(
        {**GIVEN, "scenario": "single", "exporters": ["toy"]}, registry
    )
    found = resolved(foreign, compose(foreign, registry))
    assert found["versions"]["lorafw"] == values["versions"]["lorafw"]
