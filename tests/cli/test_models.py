"""`lorafw models inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw.testing.toys import toy_folder


def inspect(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", "inspect", *arguments])


def test_the_embedded_model_in_words() -> None:
    result = inspect("lorafw:demo")
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line)
    assert lines["family"] == "llama, LlamaForCausalLM"
    assert lines["parameters"] == "967,808"
    assert lines["q_proj"].split() == ["4", "128", "->", "128"]
    assert lines["8"].split() == ["78,848", "8.15%"]
    assert lines["template"] == "chat"


def test_the_embedded_model_as_json() -> None:
    found = json.loads(inspect("lorafw:demo", "--json").stdout)
    assert found["model"] in {"auto", "llama"}
    assert found["trainable"]["8"] == 78848
    assert found["refused"] == []


def test_what_would_be_refused_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    result = inspect(str(folder), "--json")
    assert result.exit_code == 1
    assert "cut off" in json.loads(result.stdout)["refused"][0]
    assert result.stderr.startswith("Error: lorafw would refuse this model: ")
    assert result.stderr.count("\n") == 1


def test_an_adapter_is_named_with_its_base(tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "base_model_name_or_path": "/models/base"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    result = inspect(str(tmp_path))
    assert result.exit_code == 1
    assert "this is an adapter, not a model. Give its base model: /models/base." in result.stderr


@pytest.mark.parametrize(
    ("path", "fault"),
    [("nowhere", "there is no such folder"), ("odd.bin", "no installed model reads this")],
)
def test_what_is_no_model_is_an_error(tmp_path: Path, path: str, fault: str) -> None:
    (tmp_path / "odd.bin").write_bytes(b"\x80\x04")
    result = inspect(str(tmp_path / path))
    assert result.exit_code == 1
    assert fault in result.stderr


def test_added_tokens_are_told_with_their_rows(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "base", vocab_size=30)
    result = inspect(str(folder), "-o", 'add_tokens=["<|call|>", quux]')
    assert "added       <|call|> 29 (special, a row to spare), quux 30 (a new row)" in result.stdout
    assert "vocabulary 31" in result.stdout
    refused = inspect(str(folder), "-o", "add_tokens=[cat]")
    assert refused.exit_code == 1
    assert "the tokenizer knows 'cat' already" in refused.stderr


def test_another_model_and_its_options_can_be_asked(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "base")
    for file in folder.glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    assert inspect(str(folder), "--model", "auto").exit_code == 1
    options = ["--model", "auto", "-o", f"tokenizer_path={tmp_path}"]
    assert inspect(str(folder), *options).exit_code == 0
