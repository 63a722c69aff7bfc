"""PEFT's names for the factors of experts that are one tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorafw.adapters.layout.peft_layout import CONFIG_FILE, TENSOR_FILE, read_adapter, write_adapter
from lorafw.adapters.layout.peft_parameters import read_from_wrappers, stored_as_wrappers
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState

EXPERTS = "model.layers.0.mlp.experts"
UP, DOWN = f"{EXPERTS}.gate_up_proj", f"{EXPERTS}.down_proj"
QUERY = "model.layers.0.self_attn.q_proj"
PATH = Path("adapter_model.safetensors")


def made(*modules: str) -> dict[str, torch.Tensor]:
    return {
        f"{name}.lora_{side}.weight": torch.full((4, 4), float(n))
        for n, name in enumerate(modules)
        for side in "AB"
    }


def test_the_last_parameter_of_a_module_is_the_outermost_wrapper() -> None:
    stored = stored_as_wrappers(made(DOWN, QUERY, UP), [DOWN, UP])
    assert stored[f"{EXPERTS}.lora_A.weight"].unique() == 0
    assert stored[f"{EXPERTS}.base_layer.lora_B.weight"].unique() == 2
    assert stored[f"{QUERY}.lora_A.weight"].unique() == 1


@pytest.mark.parametrize("parameters", [[UP], [DOWN], [UP, DOWN]])
@pytest.mark.parametrize("full", [True, False])
def test_names_come_back_from_what_was_written(parameters: list[str], full: bool) -> None:
    tensors = made(QUERY, *parameters)
    stored = stored_as_wrappers(tensors, parameters)
    prefixed = {f"base_model.model.{name}": tensor for name, tensor in stored.items()}
    wanted = parameters if full else [name.rpartition(".")[2] for name in parameters]
    found, names = read_from_wrappers(prefixed, wanted, PATH)
    assert set(names) == set(parameters)
    for name, tensor in tensors.items():
        assert found[f"base_model.model.{name}"] is tensor


def test_an_order_that_is_not_known_is_refused() -> None:
    with pytest.raises(AdapterError, match="in an order that is not known"):
        stored_as_wrappers({}, [UP, f"{EXPERTS}.mystery"])
    assert stored_as_wrappers({}, [f"{EXPERTS}.mystery"]) == {}


def state(rank: int = 2, experts: int = 3) -> AdapterState:
    spec = AdapterSpec(rank, 4.0, (QUERY, UP, DOWN), parameters=(UP, DOWN))
    sizes = {QUERY: (rank, 5, 6), UP: (rank * experts, 5, 8), DOWN: (rank * experts, 4, 5)}
    tensors: dict[str, Any] = {}
    for module, (rows, wide, out) in sizes.items():
        a, b = spec.pair_of(module)
        tensors |= {a: torch.randn(rows, wide), b: torch.randn(out, rows)}
    return AdapterState(spec, tensors)


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = state()
    write_adapter(tmp_path, written, base_path=None, recipe={})
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert (config["target_modules"], config["target_parameters"]) == ([QUERY], [UP, DOWN])
    read = read_adapter(tmp_path)
    assert set(read.spec.parameters) == {UP, DOWN}
    assert read.tensors.keys() == written.tensors.keys()
    assert all(torch.equal(read.tensors[name], t) for name, t in written.tensors.items())


def test_a_wrapper_too_few_is_an_error(tmp_path: Path) -> None:
    write_adapter(tmp_path, state(), base_path=None, recipe={})
    stored = load_file(tmp_path / TENSOR_FILE)
    save_file({n: t for n, t in stored.items() if ".base_layer." not in n}, tmp_path / TENSOR_FILE)
    with pytest.raises(AdapterError, match="has 1 wrappers around"):
        read_adapter(tmp_path)


def test_rows_that_are_no_multiple_of_the_rank_are_an_error(tmp_path: Path) -> None:
    write_adapter(tmp_path, state(rank=2), base_path=None, recipe={})
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "rank_pattern": {UP: 4}}))
    with pytest.raises(AdapterError, match="says rank 4"):
        read_adapter(tmp_path)
