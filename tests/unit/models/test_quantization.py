"""Options of quantised weights; what they compute is in tests/integration."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from lorafw.builtin.auto import Auto
from lorafw.errors import ConfigError, ModelError
from lorafw.models import quantization
from lorafw.testing.toys import toy_folder
from lorafw.types import Capability


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base"))


def auto(base: Path, **options: Any) -> Auto:
    return Auto.from_mapping({"path": str(base), **options}, where="model")


@pytest.mark.parametrize("missing", ["bitsandbytes", "accelerate"])
def test_what_is_not_installed_is_named_with_the_command(
    base: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lambda name: None if name == missing else object()  # noqa: E731
    monkeypatch.setattr(quantization, "find_spec", found)
    auto(base).preflight()
    with pytest.raises(ConfigError, match=rf'{missing}.*pip install "lorafw\[quantization\]"'):
        auto(base, quantize="nf4").preflight()


@pytest.mark.parametrize(
    "options",
    [
        {"double_quant": True},
        {"compute_dtype": "bf16"},
        {"quantize": "int8", "double_quant": True},
        {"quantize": "fp4"},
    ],
)
def test_options_that_mean_nothing_are_refused(base: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="nf4"):
        auto(base, **options)


def test_nothing_is_quantised_unasked(base: Path) -> None:
    assert auto(base).quantization_config() is None
    assert auto(base).rules_out == frozenset()


needs = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not here")


@needs
@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, torch.float32),
        ({"dtype": "bf16"}, torch.bfloat16),
        ({"compute_dtype": "bf16"}, torch.bfloat16),
    ],
)
def test_products_are_in_the_dtype_of_the_other_weights_unless_told(
    base: Path, options: dict[str, Any], dtype: torch.dtype
) -> None:
    config = auto(base, quantize="nf4", double_quant=True, **options).quantization_config()
    assert config.bnb_4bit_compute_dtype == dtype
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant


@needs
def test_int8_is_llm_int8(base: Path) -> None:
    builder = auto(base, quantize="int8")
    assert builder.quantization_config().load_in_8bit
    assert builder.rules_out == {Capability.MERGEABLE, Capability.SHARDABLE}


@needs
def test_files_that_are_quantised_already_are_refused(tmp_path: Path) -> None:
    file = toy_folder(tmp_path) / "config.json"
    config = json.loads(file.read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="quantised already"):
        auto(tmp_path, quantize="nf4").preflight()
