"""The pages on asking a model show programs and commands that run."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cli.asked import make_models
from tests.docs.commands import commands, run
from tests.docs.pages import DOCS, Block, blocks

import lorafw

EMBED = blocks(DOCS / "how-to" / "embed.md", "python")
ASKING = [
    (block.name, words)
    for page in ("generate", "chat")
    for block in blocks(DOCS / "how-to" / f"{page}.md", "sh")
    for words in commands(block)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder after `lorafw init` whose runs are short, with files to ask about."""
    place = tmp_path_factory.mktemp("asking")
    with contextlib.chdir(place):
        run(["init"])
        config = yaml.safe_load(Path("lorafw.yaml").read_text(encoding="utf-8"))
        config |= {"trainer": "ddp", "listeners": []}
        config["plan"] |= {"max_steps": 4}
        Path("lorafw.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        lorafw.run("lorafw.yaml")
        shutil.copytree("runs/first-run", "runs/second-run")
        make_models(place / "toys").classifier.rename("runs/which-set")
        question = {"question": "Where does the camel live?"}
        Path("questions.jsonl").write_text(json.dumps(question), encoding="utf-8")
        Path("texts.jsonl").write_text(json.dumps({"text": "the cat"}), encoding="utf-8")
        yield place


@pytest.mark.parametrize("block", EMBED, ids=lambda block: block.name)
def test_programs_run(block: Block, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(block.text, block.name, "exec"), {"__name__": "example"})
    assert said.getvalue().strip(), "the program said nothing"


@pytest.mark.parametrize(("page", "words"), ASKING, ids=lambda value: str(value)[-60:])
def test_commands_run(
    page: str, words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    said = run(words, "Where does the camel live?\n/adapter none\n/reset\nWhere is it?\n")
    if "--output" in words:
        written = Path(words[words.index("--output") + 1]).read_text(encoding="utf-8")
        assert {"answer", "label"} & set(json.loads(written)), page
    else:
        assert said.strip(), page
