"""`lorafw adapter convert`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter, write_adapter
from lorafw.cli.main import main
from lorafw.errors import AdapterError
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle, toy_folder
from lorafw.testing.values import as_if_trained
from lorafw.types import AdapterState


def convert(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["adapter", "convert", *map(str, arguments)])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("convert") / "base")


@pytest.fixture(scope="module")
def state() -> AdapterState:
    model = ToyInjector(r=4, alpha=6.0, target_modules=("q_proj", "v_proj")).inject(toy_bundle())
    as_if_trained(model)
    return model.state()


@pytest.fixture
def adapter(tmp_path: Path, base: Path, state: AdapterState) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    recipe = {"model": {"use": "auto", "path": str(base)}, "encoder": {"use": "prompt"}}
    write_adapter(folder, state, base_path=str(base), recipe=recipe)
    return folder


def test_there_and_back_with_the_recipe(adapter: Path, state: AdapterState, tmp_path: Path) -> None:
    there = convert(adapter, tmp_path / "old", "--to", "peft-bin")
    assert there.exit_code == 0, there.output
    assert there.output.splitlines() == [
        f"Read {adapter} as peft: 4 modules, rank 4, scaling 1.5.",
        f"Wrote {tmp_path / 'old'} as peft-bin: 4 modules, rank 4, scaling 1.5.",
        "Read back and compared: bit for bit the same.",
    ]
    back = convert(tmp_path / "old", tmp_path / "new", "--to", "peft")
    assert back.exit_code == 0, back.output
    assert adapter_digest(read_adapter(tmp_path / "new")) == adapter_digest(state)
    recipe = json.loads((tmp_path / "new" / "lorafw.json").read_text())
    assert recipe["encoder"] == {"use": "prompt"}
    config = json.loads((tmp_path / "new" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "v_proj"]  # the base is where the recipe says


def test_options_and_the_base_from_the_command_line(
    adapter: Path, base: Path, state: AdapterState, tmp_path: Path
) -> None:
    file, out = tmp_path / "lora.pt", tmp_path / "out"
    assert convert(adapter, file, "--to", "trace", "-o", "to.lora_scaling=32").exit_code == 0
    result = convert(
        file, out, "--to", "peft", "--from", "trace", "--base", base, "-o", "from.lora_scaling=32"
    )
    assert result.exit_code == 0, result.output
    assert "scaling 8" in result.output
    recipe = json.loads((out / "lorafw.json").read_text())
    assert recipe["model"]["path"] == str(base)
    found = read_adapter(out)
    assert {found.spec.scaling_of(m) for m in state.spec.targets} == {8.0}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["adapter", "adapter", "--to", "peft"], 2, "exists already and is left as it is"),
        (["nowhere", "out", "--to", "peft"], 1, "there is no such file or folder"),
        (["empty", "out", "--to", "peft"], 1, "no format that is known here: "),
        (["adapter", "out", "--to", "pefd"], 2, "no adapter format is called 'pefd'. Did you mean"),
        (["adapter", "out", "--to", "trace", "-o", "lora=1"], 2, "Begin with: from, to, base."),
        (["adapter", "out", "--to", "trace", "-o", "to.lora=1"], 2, "to.lora: unknown option"),
        (["adapter", "out", "--to", "peft", "--base", "gone"], 1, "gone"),
    ],
)
def test_what_cannot_be_is_one_line(
    adapter: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(adapter.parent)
    result = convert(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = toy_folder(tmp_path / "other", num_hidden_layers=1)
    result = convert(adapter, tmp_path / "out", "--to", "peft", "--base", other)
    assert result.exit_code == AdapterError.exit_code
    assert "the base has no module model.layers.1" in result.stderr
    assert not (tmp_path / "out").exists()
