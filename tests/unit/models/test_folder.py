from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw.testing.toys import toy_folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("toy"))


def _copy(toy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy, tmp_path / "copy"))


def test_an_existing_folder_is_itself(tmp_path: Path) -> None:
    assert folders.resolve(str(tmp_path)) == tmp_path.resolve()


def test_the_demo_model_is_in_the_package() -> None:
    assert folders.resolve(folders.DEMO).parts[-3:] == ("lorafw", "demo", "base")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./no/such/place", "no such folder"),
        ("nosuchplace", "no such folder"),
        ("some-org/some-model", "out of reach"),
    ],
)
def test_what_is_not_there_is_an_error(path: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        folders.resolve(path)
    assert error.value.where == path


def test_a_file_is_not_a_folder(toy: Path) -> None:
    with pytest.raises(ModelError, match="is a file"):
        folders.resolve(str(toy / "config.json"))


def test_model_type(toy: Path) -> None:
    assert folders.model_type(toy) == "llama"


def test_a_missing_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: the file is missing"):
        folders.model_type(tmp_path)


def test_an_adapter_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="adapter, not a model"):
        folders.model_type(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n oops}', r"config\.json:2: not valid JSON"),
        ("[1]", "JSON object"),
        ("{}", "no 'model_type'"),
    ],
)
def test_a_bad_config_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        folders.model_type(tmp_path)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="cannot be read"):
        folders.model_type(tmp_path)


def test_a_chat_template_may_be_a_file_or_a_field(tmp_path: Path) -> None:
    assert not folders.has_chat_template(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text('{"chat_template": null}')
    assert not folders.has_chat_template(tmp_path)
    config.write_text('{"chat_template": "{{ messages }}"}')
    assert folders.has_chat_template(tmp_path)
    config.unlink()
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert folders.has_chat_template(tmp_path)


def test_weights_in_one_file_or_in_parts(toy: Path, tmp_path: Path) -> None:
    assert folders.weight_files(toy) == (toy / "model.safetensors",)
    parts = {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (tmp_path / "model-1.safetensors").touch()
    with pytest.raises(ModelError, match=r"model-2\.safetensors is missing"):
        folders.weight_files(tmp_path)
    (tmp_path / "model-2.safetensors").touch()
    names = [file.name for file in folders.weight_files(tmp_path)]
    assert names == ["model-1.safetensors", "model-2.safetensors"]


def test_an_index_without_a_map_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelError, match="no 'weight_map'"):
        folders.weight_files(tmp_path)


def test_no_weights_is_an_error_and_pickles_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there are no weights"):
        folders.weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*convert.*safetensors"):
        folders.weight_files(tmp_path)


def test_identity_is_of_content_not_of_place(toy: Path, tmp_path: Path) -> None:
    copy = _copy(toy, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert folders.identity(copy) == folders.identity(toy)
    assert folders.identity(toy).startswith("sha256:")


def test_identity_changes_with_config_and_with_weights(
    toy: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = _copy(toy, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    other = toy_folder(tmp_path_factory.mktemp("other"), seed=1)
    assert len({folders.identity(place) for place in (toy, copy, other)}) == 3


def test_one_changed_byte_of_a_small_file_changes_the_identity(toy: Path, tmp_path: Path) -> None:
    copy = _copy(toy, tmp_path)
    _flip(copy / "model.safetensors", -1)
    assert folders.identity(copy) != folders.identity(toy)


def test_of_a_large_file_header_and_blocks_are_read(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_WHOLE", 1024)
    monkeypatch.setattr(folders, "_STRIDE", 16384)
    monkeypatch.setattr(folders, "_BLOCK", 512)
    seen = set()
    for at in (100, 16384 + 511, 16384 + 512):
        copy = _copy(toy, tmp_path / str(at))
        _flip(copy / "model.safetensors", at)
        seen.add(folders.identity(copy))
    assert len(seen - {folders.identity(toy)}) == 2  # the last change lies between blocks


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
