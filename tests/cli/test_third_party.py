"""A plugin of forty lines, installed as users install one, works by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[1] / "fixtures" / "plugins" / "lorafw-shout"

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the plugin into."""
    source = shutil.copytree(SOURCE, tmp_path_factory.mktemp("source") / "lorafw-shout")
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    here = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *here, str(source)], check=True, capture_output=True, timeout=120)
    return site


def test_it_is_at_most_forty_lines() -> None:
    files = [file for file in SOURCE.iterdir() if file.is_file()]
    assert len(files) == 2
    assert sum(len(file.read_text().splitlines()) for file in files) <= 40


def test_its_verb_stands_in_help_and_runs(lorafw: Lorafw, installed: Path) -> None:
    shown = " ".join(lorafw("--help", path=[installed]).stdout.split())
    assert "shout Encoder and command 'shout': everything in capitals" in shown
    assert lorafw("shout", "ahoy", path=[installed]).stdout == "AHOY\n"


def test_its_encoder_is_found_by_name(
    lorafw: Lorafw, installed: Path, toys: Path, config: Path
) -> None:
    assert config.exists()
    listed = lorafw("plugins", "list", path=[installed]).stdout
    assert "lorafw-shout 0.3.0" in listed
    found = lorafw("config", "show", "--encoder", "shout", path=[installed, toys])
    shown = yaml.safe_load(found.stdout)
    assert shown["encoder"]["use"] == "shout"
    assert shown["versions"]["lorafw-shout"] == "0.3.0"


def test_its_encoder_does_what_it_says(installed: Path) -> None:
    script = (
        "from lorafw.assembly.registry import Registry\n"
        "from lorafw.types import PromptExample\n"
        "class Letters:\n"
        "    bos_token_id = pad_token_id = chat_template = None\n"
        "    eos_token_id = 0\n"
        "    def encode(self, text, add_special_tokens=True):\n"
        "        return [ord(letter) for letter in text]\n"
        "shout = Registry().load('encoder', 'shout')()\n"
        "row = shout.encode(PromptExample('say', 'ahoy'), Letters())\n"
        "print(''.join(chr(token) for token in row.input_ids))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.stdout == "say\nAHOY\x00\n", found.stderr
