"""Methods that lorafw does not know are carried under PEFT's own names and options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter, write_adapter
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from pathlib import Path

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
TOMORROW = {
    "peft_type": "TOMORROW",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "/somewhere",
    "inference_mode": True,
    "modules_to_save": ["score"],
    "target_modules": ["q", "up"],
    "strength": 0.5,
    "nested": {"a": [1, None]},
}


def stored(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Path:
    (folder / CONFIG).write_text(json.dumps(config))
    save_file(tensors, folder / TENSORS)
    return folder


@pytest.fixture
def tomorrow(tmp_path: Path) -> Path:
    tensors = {
        "base_model.model.m.0.q.tomorrow_x": torch.full((3,), 2.0).half(),
        "base_model.model.m.10.q.tomorrow_x": torch.ones(3),
        "base_model.model.m.2.up.tomorrow_x.weight": torch.ones(3, 3),
        "base_model.model.m.2.up.tomorrow_places": torch.tensor([4, 1]),
        "base_model.tomorrow_shared": torch.ones(2),
        "base_model.model.score.weight": torch.ones(2, 3),
    }
    return stored(tmp_path, TOMORROW, tensors)


def test_a_method_of_tomorrow_is_read_by_name(tomorrow: Path) -> None:
    state = read_adapter(tomorrow)
    assert (state.spec.method, state.spec.trained) == ("TOMORROW", ("score",))
    assert state.spec.targets == ("m.0.q", "m.2.up", "m.10.q")
    own = ("target_modules", "strength", "nested")
    assert state.spec.options == {key: TOMORROW[key] for key in own}
    assert state.tensors["m.0.q.tomorrow_x"].dtype == torch.float32
    assert state.tensors["m.2.up.tomorrow_places"].tolist() == [4, 1]
    assert "base_model.tomorrow_shared" in state.tensors


def test_and_written_as_it_was(tomorrow: Path, tmp_path: Path) -> None:
    state, again = read_adapter(tomorrow), tmp_path / "again"
    again.mkdir()
    write_adapter(again, state, base_path="/somewhere", recipe={})
    assert json.loads((again / CONFIG).read_text()) == TOMORROW
    before, after = load_file(tomorrow / TENSORS), load_file(again / TENSORS)
    assert before.keys() == after.keys()
    assert all(after[name].equal(tensor.to(after[name])) for name, tensor in before.items())
    assert adapter_digest(read_adapter(again)) == adapter_digest(state)


@pytest.mark.parametrize("change", [{"method": "TODAY"}, {"options": {"strength": 0.25}}])
def test_method_and_options_are_part_of_the_digest(change: dict[str, Any]) -> None:
    about: dict[str, Any] = {"method": "TOMORROW", "options": {"strength": 0.5}}
    states = [
        AdapterState(AdapterSpec(1, 1.0, (), **each), {"prompt_embeddings": torch.ones(2, 3)})
        for each in (about, {**about, **change})
    ]
    assert adapter_digest(states[0]) != adapter_digest(states[1])


def test_a_learned_prompt_has_a_plain_name_and_a_head_the_bases(tmp_path: Path) -> None:
    config = {"peft_type": "P_TUNING", "num_virtual_tokens": 2, "modules_to_save": ["score"]}
    tensors = {"prompt_embeddings": torch.ones(2, 3), "base_model.score.weight": torch.ones(2, 3)}
    state = read_adapter(stored(tmp_path, config, tensors))
    assert set(state.tensors) == {"prompt_embeddings", "score.weight"}
    assert (state.spec.targets, state.spec.trained) == ((), ("score",))
    write_adapter(tmp_path, state, base_path=None, recipe={})
    assert load_file(tmp_path / TENSORS).keys() == tensors.keys()


def test_targets_are_named_shortly_where_no_option_names_them(tmp_path: Path) -> None:
    spec = AdapterSpec(1, 1.0, ("m.0.q", "m.1.q"), method="TOMORROW")
    state = AdapterState(spec, {"m.0.q.x": torch.ones(1), "m.1.q.x": torch.ones(1)})
    modules = ("m.0.q", "m.0.k", "m.1.q", "m.1.k")
    write_adapter(tmp_path, state, base_path=None, recipe={}, modules=modules)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == ["q"]
    assert read_adapter(tmp_path).spec.targets == spec.targets


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"peft_type": 7}, "peft_type: Input should be a valid string"),
        ({"modules_to_save": ["head"]}, "lacks what modules_to_save names: head"),
        ({"modules_to_save": "score"}, "modules_to_save: should be a list of names"),
        ({"target_modules": "("}, "a choice of modules cannot be understood"),
        ({"target_modules": [1]}, "target_modules: should be a list of names"),
    ],
)
def test_a_config_that_does_not_fit(tomorrow: Path, change: dict[str, Any], fault: str) -> None:
    (tomorrow / CONFIG).write_text(json.dumps({**TOMORROW, **change}))
    with pytest.raises(AdapterError, match=fault) as caught:
        read_adapter(tomorrow)
    assert str(tomorrow) in str(caught.value)


@pytest.mark.parametrize("told", [4, -5, 10**12, "five"])
def test_a_prompt_of_another_length_than_its_config_says(tmp_path: Path, told: object) -> None:
    config = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": told}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    save_file({"prompt_embeddings": torch.ones(5, 8)}, tmp_path / TENSORS)
    with pytest.raises(AdapterError, match=rf"is \[5, 8\], but {CONFIG} says {told} tokens"):
        read_adapter(tmp_path)


def test_copies_of_the_bases_weights_are_left_out(tomorrow: Path) -> None:
    before = read_adapter(tomorrow).tensors.keys()
    copy = {"base_model.model.lm_head.base_layer.weight": torch.ones(3, 2)}
    save_file({**load_file(tomorrow / TENSORS), **copy}, tomorrow / TENSORS)
    assert read_adapter(tomorrow).tensors.keys() == before


def test_numbers_that_are_none(tomorrow: Path) -> None:
    tensors = load_file(tomorrow / TENSORS)
    tensors["base_model.tomorrow_shared"][0] = float("nan")
    save_file(tensors, tomorrow / TENSORS)
    with pytest.raises(AdapterError, match=r"base_model\.tomorrow_shared holds NaN"):
        read_adapter(tomorrow)
