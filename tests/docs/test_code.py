"""The code on the pages is right: it compiles, it runs, it names what exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from tests.docs.pages import DOCS, README, ROOT, Block, all_blocks, blocks, marked_block, pages

from lorafw.cli.main import main

SHOUT = ROOT / "tests" / "fixtures" / "plugins" / "lorafw-shout"
SHELL = all_blocks("sh")


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.name)
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.name, "exec")


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=lambda block: block.name)
def test_yaml_is_yaml(block: Block) -> None:
    yaml.safe_load(block.text)


def test_every_block_says_its_language() -> None:
    silent = [block.name for block in all_blocks() if not block.language]
    assert not silent


@pytest.mark.parametrize(
    ("language", "file"), [("toml", "pyproject.toml"), ("python", "lorafw_shout.py")]
)
def test_the_tutorial_plugin_is_the_tested_one(language: str, file: str) -> None:
    told = blocks(DOCS / "tutorials" / "first-plugin.md", language)[0].text
    assert told == (SHOUT / file).read_text(encoding="utf-8")


def lorafw_lines(block: Block) -> list[list[str]]:
    """The calls of `lorafw` in a shell block, as words."""
    parts = [part for line in block.text.splitlines() for part in line.split("&&")]
    words = [re.sub(r"\s#.*| > .*", "", part).split() for part in parts]
    return [line[line.index("lorafw") + 1 :] for line in words if "lorafw" in line]


CALLS = [(block.name, words) for block in SHELL for words in lorafw_lines(block)]


@pytest.mark.parametrize(("name", "words"), CALLS, ids=lambda value: str(value)[:60])
def test_lorafw_is_called_with_verbs_and_flags_it_has(name: str, words: list[str]) -> None:
    command: click.Command = main
    while isinstance(command, click.Group):
        if command.invoke_without_command and not words:
            return
        verb = words[0]
        if verb == "shout":  # the tutorial's plugin brings it
            return
        words = words[1:]
        found = command.get_command(click.Context(command), verb)
        assert found is not None, f"{name}: no verb {verb}"
        command = found
    options = command.params
    known = {flag for each in options for flag in (*each.opts, *each.secondary_opts)}
    assert [word for word in words if word.startswith("-") and word not in known] == []


@pytest.mark.parametrize("mark", ["ci: main", "ci: test"])
def test_the_commands_of_the_readme_name_files_that_exist(mark: str) -> None:
    command = marked_block(README, mark).text
    files = re.findall(r"-r (\S+)", command)
    assert files
    assert all((ROOT / file).is_file() for file in files)
    assert len(command.splitlines()) == 1


def test_ci_takes_the_test_command_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (extract,) = re.findall(r"command=\$\((.*)\)", script)
    found = subprocess.run(
        ["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
    )
    assert found.stdout == marked_block(README, "ci: test").text


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"\S+\.md", text)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_dependencies_of_the_readme_are_exact() -> None:
    for file in ("requirements.txt", "requirements-dev.txt", "requirements-docs.txt"):
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        pinned = re.compile(r"(#.*|-e \S+|[\w.-]+==[\w.]+|)")
        assert [line for line in lines if not pinned.fullmatch(line)] == []
    plugins = {f"-e plugins/{path.parent.name}" for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert plugins <= set((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("plugin", sorted(ROOT.glob("plugins/*/pyproject.toml")), ids=str)
def test_every_plugin_has_a_readme_that_names_its_parts_and_options(plugin: Path) -> None:
    project = tomllib.loads(plugin.read_text(encoding="utf-8"))["project"]
    text = (plugin.parent / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) > 15
    for group, points in project["entry-points"].items():
        for name in points:
            assert f"`{name}`" in text
            assert all(f"`{option}`" in text for option in _options(group, name))


def _options(group: str, name: str) -> list[str]:
    from lorafw.assembly.registry import KINDS, Registry

    kind = next((kind.name for kind in KINDS.values() if kind.group == group), None)
    return list(Registry().load(kind, name).model_fields) if kind else []  # a command has none


@pytest.fixture(scope="module")
def example_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that the README's library example makes after `lorafw init`."""
    place = tmp_path_factory.mktemp("example")
    (example,) = blocks(README, "python")
    _python(place, "-m", "lorafw", "init")
    assert _python(place, "-c", example.text).strip(), "the model said nothing"
    return place / "runs" / "run"


def _python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_library_example_of_the_readme_is_short_and_trains(example_run: Path) -> None:
    (example,) = blocks(README, "python")
    assert len(example.text.splitlines()) <= 12
    assert (example_run / "adapter" / "adapter_model.safetensors").exists()


def test_the_page_on_run_folders_names_every_file_and_key(example_run: Path) -> None:
    text = (DOCS / "reference" / "run-folder.md").read_text(encoding="utf-8")
    files = {path.name for path in example_run.rglob("*") if path.is_file()}
    assert [file for file in files if file not in text] == []
    record = json.loads((example_run / "run.json").read_text(encoding="utf-8"))
    assert [key for key in record if f"`{key}`" not in text] == []
