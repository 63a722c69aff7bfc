"""What a builder refuses before anything heavy starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorafw.builtin.auto import Auto
from lorafw.errors import ModelError
from lorafw.testing.toys import toy_folder


def auto(folder: Path) -> Auto:
    return Auto.from_mapping({"path": str(folder)}, where="model")


def test_a_cut_off_file_is_refused_without_torch(tmp_path: Path) -> None:
    file = toy_folder(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    code = (
        "import sys; from lorafw.builtin.auto import Auto\n"
        "from lorafw.errors import ModelError\n"
        "try: Auto(path=sys.argv[1]).preflight()\n"
        "except ModelError as error: print(error)\n"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors: the file is cut off" in done.stdout


def test_a_missing_part_of_the_weights_is_refused(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="there are no weights"):
        auto(folder).preflight()


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="convert the model to safetensors"):
        auto(folder).preflight()


def test_an_adapter_is_refused_with_the_name_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(ModelError, match=r"this is an adapter.*org/base"):
        auto(tmp_path).preflight()
