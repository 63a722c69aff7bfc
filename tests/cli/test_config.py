"""`lorafw config`: show, validate, schema."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


def test_show_prints_every_default(lorafw: Lorafw, toys: Path, config: Path) -> None:
    assert config.exists()
    found = lorafw("config", "show", "-o", "plan.epochs=7", path=[toys])
    shown = yaml.safe_load(found.stdout)
    assert shown["injector"] == {"use": "toy", "can": [], "r": 4, "rates": {}}
    assert (shown["plan"]["epochs"], shown["plan"]["weight_decay"]) == (7, 0.0)


def test_what_show_prints_is_valid(
    lorafw: Lorafw, toys: Path, config: Path, tmp_path: Path
) -> None:
    assert config.exists()
    (tmp_path / "shown.yaml").write_text(lorafw("config", "show", path=[toys]).stdout)
    found = lorafw("config", "validate", "shown.yaml", path=[toys])
    assert (found.returncode, found.stdout, found.stderr) == (0, "shown.yaml: ok\n", "")


def test_validate_tells_line_and_fault(lorafw: Lorafw, toys: Path, config: Path) -> None:
    config.write_text(config.read_text() + "plan: {epochs: many}\n")
    found = lorafw("config", "validate", "lorafw.yaml", path=[toys])
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("Error: lorafw.yaml:9: plan.epochs: Input should be a valid")


def test_validate_without_a_file(lorafw: Lorafw) -> None:
    found = lorafw("config", "validate", "none.yaml")
    assert found.returncode == 2
    assert found.stderr == "Error: none.yaml: cannot be read: No such file or directory.\n"


def test_schema_is_json_with_the_installed_parts(lorafw: Lorafw, toys: Path) -> None:
    schema = json.loads(lorafw("config", "schema", path=[toys]).stdout)
    assert {"trainer.toy", "trainer.other", "plan"} <= schema["$defs"].keys()


def test_a_config_is_named_with_its_flag_or_without(
    lorafw: Lorafw, toys: Path, config: Path
) -> None:
    other = config.rename(config.with_name("other.yaml"))
    named = lorafw("config", "show", "other.yaml", path=[toys])
    assert yaml.safe_load(named.stdout)["injector"]["r"] == 4
    assert named.stdout == lorafw("config", "show", "--config", "other.yaml", path=[toys]).stdout
    both = lorafw("config", "show", "other.yaml", "--config", str(other), path=[toys])
    assert both.returncode == 2
    assert "which config is meant" in both.stderr
