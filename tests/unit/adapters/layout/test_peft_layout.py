"""Adapters on disk: what was written is read, by lorafw and by PEFT, and damage is noticed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lorafw.adapters.layout.peft_layout import (
    adapter_digest,
    base_copies,
    read_adapter,
    read_recipe,
    write_adapter,
)
from lorafw.adapters.layout.peft_patterns import resolve_pattern
from lorafw.adapters.live.targets import base_modules
from lorafw.errors import AdapterError
from lorafw.types import AdapterSpec, AdapterState, token_rows_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, ModelBundle

    BuildBundle = Callable[..., ModelBundle]
    Inject = Callable[..., AdaptedModel]

CONFIG, TENSORS, RECIPE = "adapter_config.json", "adapter_model.safetensors", "lorafw.json"
RECIPE_VALUES = {"encoder": {"use": "chat"}, "lorafw": "0.1.0"}


def adapter(modules: tuple[str, ...], *, rank: int = 2, **spec: Any) -> AdapterState:
    """A state with random values, every layer mapping 4 to 6."""
    whole = AdapterSpec(rank=rank, alpha=3.0, targets=modules, **spec)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for module in modules:
        r = whole.rank_of(module)
        for name, shape in zip(whole.names_of(module), [(r, 4), (6, r), (6,)], strict=False):
            tensors[name] = torch.randn(shape, generator=generator)
    for module in whole.trained:
        tensors[f"{module}.weight"] = torch.randn(3, 4, generator=generator)
    for module, rows in whole.token_rows.items():
        tensors[token_rows_name(module)] = torch.randn(len(rows), 4, generator=generator)
    return AdapterState(whole, tensors)


def write(folder: Path, state: AdapterState, modules: tuple[str, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    write_adapter(folder, state, base_path=None, recipe=RECIPE_VALUES, modules=modules)
    return folder


def assert_same(one: AdapterState, other: AdapterState) -> None:
    assert one.spec == other.spec
    assert list(one.tensors) == list(other.tensors)
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path / "adapter", adapter(("a.0.q", "a.1.q", "a.1.v")))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"use_rslora": True, "dropout": 0.25},
        {"rank_pattern": {"a.2.q": 7}, "alpha_pattern": {"a.10.q": 0.5, "a.2.q": 8.0}},
        {"use_dora": True},
        {"embeddings": ("a.2.v",)},
        {"embeddings": ("a.2.v",), "use_dora": True, "trained": ("head",)},
        {"token_rows": {"e.embed_tokens": (7, 3), "lm_head": (7, 3)}},
    ],
)
def test_what_is_written_is_read(tmp_path: Path, spec: dict[str, Any]) -> None:
    state = adapter(("a.2.q", "a.2.v", "a.10.q"), **spec)
    write(tmp_path / "adapter", state)
    assert adapter_digest(read_adapter(tmp_path / "adapter")) == adapter_digest(state)
    assert_same(read_adapter(tmp_path / "adapter"), state)
    assert read_recipe(tmp_path / "adapter") == RECIPE_VALUES


def test_the_files_are_those_of_peft(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {CONFIG, TENSORS, RECIPE}
    config = json.loads((written / CONFIG).read_text())
    assert (config["peft_type"], config["task_type"], config["r"]) == ("LORA", "CAUSAL_LM", 2)
    assert (config["bias"], config["inference_mode"]) == ("none", True)
    tensors = load_file(written / TENSORS)
    assert "base_model.model.a.0.q.lora_A.weight" in tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


names = st.text("ab.1-+$(", min_size=1, max_size=5).filter(
    lambda text: not (set(text.split(".")) & {""})
)


@settings(deadline=None)
@given(st.dictionaries(names, st.integers(1, 3), min_size=1, max_size=5), st.data())
def test_any_names_and_patterns_survive(ranks: dict[str, int], data: st.DataObject) -> None:
    from lorafw.adapters.layout.peft_config import config_for

    targets = tuple(ranks)
    some = data.draw(st.sets(st.sampled_from(targets)))
    others = data.draw(st.sets(names.filter(lambda name: name not in ranks), max_size=4))
    pattern = {name: ranks[name] for name in targets if name in some}
    spec = AdapterSpec(rank=9, alpha=1.0, targets=targets, rank_pattern=pattern)
    config = config_for(spec, base_path=None, modules=(*targets, *others))
    assert resolve_pattern(config["rank_pattern"], targets) == pattern
    assert selected_by_peft(config["target_modules"], [*targets, *others]) == set(targets)


def selected_by_peft(target_modules: Any, modules: list[str]) -> set[str]:
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    config = LoraConfig(target_modules=target_modules)
    return {name for name in modules if check_target_module_exists(config, name)}


MODULES = ("m.0.attn.q", "m.0.attn.up", "m.0.mlp.up", "m.1.attn.q", "m.1.attn.up", "m.1.mlp.up")


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (("m.0.attn.q", "m.1.attn.q"), ["q"]),
        (("m.0.mlp.up", "m.1.mlp.up"), ["mlp.up"]),
        (("m.0.attn.q",), ["0.attn.q"]),
        (("m.0.mlp.up", "m.1.attn.q"), ["m.0.mlp.up", "m.1.attn.q"]),
    ],
)
def test_targets_are_named_as_shortly_as_is_exact(
    tmp_path: Path, targets: tuple[str, ...], expected: list[str]
) -> None:
    folder = write(tmp_path / "adapter", adapter(targets), modules=MODULES)
    found = json.loads((folder / CONFIG).read_text())["target_modules"]
    assert found == expected or found == list(targets)
    assert selected_by_peft(found, list(MODULES)) == set(targets)


def test_without_a_list_of_modules_targets_are_full_names(written: Path) -> None:
    found = json.loads((written / CONFIG).read_text())["target_modules"]
    assert found == ["a.0.q", "a.1.q", "a.1.v"]


def test_a_folder_of_another_tool_has_an_empty_recipe(written: Path) -> None:
    (written / RECIPE).unlink()
    assert read_recipe(written) == {}
    assert read_adapter(written).spec.rank == 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"peft_type": "IA3"}, "is not what was written with this file"),
        ({"peft_type": None}, "peft_type: Input should be a valid string"),
        ({"peft_type": "lora"}, "a method's name such as LORA"),
        ({"r": 3}, r"a\.0\.q has A and B of shapes \[2, 4\] and \[6, 2\], but .* says rank 3"),
        ({"r": 0}, "r: Input should be greater than or equal to 1"),
        ({"r": "2"}, "r: Input should be a valid integer"),
        ({"lora_alpha": 4}, "is not what was written with this file"),
        ({"lora_alpha": float("inf")}, "lora_alpha: Input should be a finite number"),
        ({"r": -4}, "r: Input should be greater than or equal to 1"),
        ({"use_dora": True}, r"lacks base_model\.model\.a\.0\.q\.lora_magnitude_vector"),
        ({"bias": "some"}, "bias: Input should be 'none', 'all' or 'lora_only'"),
        ({"trainable_token_indices": [3]}, "names other modules than the tensors do"),
        ({"modules_to_save": ["lm_head"]}, "lacks what modules_to_save names: lm_head"),
        ({"from_the_future": {"x": 1}}, "uses from_the_future"),
        ({"init_lora_weights": "pissa_niter_4"}, "'pissa_niter_4' changed the base's weights"),
        ({"rank_pattern": {"(": 2}}, "a pattern is no regular expression"),
        ({"rank_pattern": {"q": 3}}, "says rank 3"),
        ({"lora_alpha": -4}, "lora_alpha: Input should be greater than 0"),
        ({"alpha_pattern": {"q": 0}}, r"alpha_pattern\.q: Input should be greater than 0"),
        ({"target_modules": 3}, "target_modules.*: Input should be a valid string"),
        ({"exclude_modules": [4]}, "exclude_modules.*: Input should be a valid string"),
        ({"layers_to_transform": "abc"}, "layers_to_transform.*: Input should be a valid integer"),
        ({"layers_pattern": {}}, "layers_pattern.*: Input should be a valid string"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    written: Path, change: dict[str, Any], fault: str
) -> None:
    config = json.loads((written / CONFIG).read_text())
    (written / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(AdapterError, match=fault) as caught:
        read_adapter(written)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


NAME = "base_model.model.a.0.q.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({NAME: None}, f"lacks {NAME}"),
        ({NAME: torch.full((2, 4), float("nan"))}, f"{NAME} holds NaN or infinity"),
        ({NAME: torch.full((2, 4), float("inf"))}, f"{NAME} holds NaN or infinity"),
        ({NAME: torch.full((2, 4), 1e300, dtype=torch.float64)}, f"{NAME} holds NaN or infinity"),
        ({NAME: torch.zeros(3, 4)}, "says rank 2"),
        ({NAME: torch.zeros(8)}, r"has A and B of shapes \[8\] and \[6, 2\]"),
        ({NAME: torch.zeros(2, 4, dtype=torch.int64)}, r"is torch\.int64 \[2, 4\], not numbers"),
        ({NAME: torch.zeros(2, 4)}, "is not what was written with this file"),
        ({"lm_head.weight": torch.ones(2)}, "holds lm_head.weight, which is no part of LoRA"),
        ({"base_model.model.a.0.q.lora_magnitude_vector": torch.ones(6)}, "no part of LoRA"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    written: Path, change: dict[str, torch.Tensor | None], fault: str
) -> None:
    changed = {**load_file(written / TENSORS), **change}
    save_file({n: tensor for n, tensor in changed.items() if tensor is not None}, written / TENSORS)
    with pytest.raises(AdapterError, match=fault) as caught:
        read_adapter(written)
    assert str(written) in str(caught.value)


def test_an_intended_change_is_read_once_the_digest_is_gone(written: Path) -> None:
    config = json.loads((written / CONFIG).read_text())
    (written / CONFIG).write_text(json.dumps({**config, "lora_alpha": 4}))
    (written / RECIPE).write_text("{}")
    assert read_adapter(written).spec.alpha == 4.0


@pytest.mark.parametrize("name", [CONFIG, TENSORS])
def test_a_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(AdapterError, match=rf"{name}: is missing\. Is this the folder of"):
        read_adapter(written)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (CONFIG, b"{r: 2}", "is no JSON: "),
        (CONFIG, b"[2]", "is no JSON object"),
        (TENSORS, None, "is damaged: "),
        (RECIPE, b"{", "is no JSON: "),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(
    written: Path, name: str, content: bytes | None, fault: str
) -> None:
    cut_off = (written / name).read_bytes()[:-5]
    (written / name).write_bytes(cut_off if content is None else content)
    with pytest.raises(AdapterError, match=fault) as caught:
        read_adapter(written)
    assert (caught.value.where, caught.value.mend) == (
        str(written / name),
        "Fetch or export the adapter again.",
    )


def test_a_pickle_is_not_opened_but_how_to_convert_it_is_said(written: Path) -> None:
    (written / TENSORS).rename(written / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"model\.bin: is a pickle.*lorafw adapter convert"):
        read_adapter(written)


def test_biases_are_read_where_the_config_says_that_they_were_trained(written: Path) -> None:
    config = json.loads((written / CONFIG).read_text())
    (written / CONFIG).write_text(json.dumps({**config, "bias": "all"}))
    assert read_adapter(written).spec.rank == 2
    assert not read_adapter(written).spec.biases
    prefix = "base_model.model."
    biases = {f"{prefix}a.0.q.base_layer.bias": torch.ones(6), f"{prefix}norm.bias": torch.ones(2)}
    save_file({**load_file(written / TENSORS), **biases}, written / TENSORS)
    (written / "lorafw.json").unlink()  # it notes what was written before
    state = read_adapter(written)
    assert state.spec.biases == ("a.0.q", "norm")
    assert state.tensors["a.0.q.bias"].equal(torch.ones(6))
    (written / CONFIG).write_text(json.dumps(config))
    with pytest.raises(AdapterError, match=r"a\.0\.q\.base_layer\.bias, which is no part of LoRA"):
        read_adapter(written)


def test_copies_of_the_base_are_kept_apart(written: Path) -> None:
    before = read_adapter(written)
    copy = torch.ones(6, 4)
    stored = {**load_file(written / TENSORS), "base_model.model.a.0.q.base_layer.weight": copy}
    save_file(stored, written / TENSORS)
    assert_same(read_adapter(written), before)
    assert base_copies(written)["a.0.q.weight"].equal(copy)


def test_a_vocabulary_that_peft_saved_unasked_counts_as_trained(written: Path) -> None:
    stored = {
        **load_file(written / TENSORS),
        "base_model.model.m.embed_tokens.weight": torch.ones(9, 4),
    }
    save_file(stored, written / TENSORS)
    (written / RECIPE).unlink()
    assert read_adapter(written).spec.trained == ("m.embed_tokens",)


def test_a_converted_start_of_peft_is_plain_lora(written: Path) -> None:
    config = json.loads((written / CONFIG).read_text())
    about = {"corda_config": {"corda_method": "ipm"}, "eva_config": {"rho": 2.0}}
    (written / CONFIG).write_text(json.dumps({**config, **about, "init_lora_weights": "eva"}))
    assert read_adapter(written).spec.rank == 2


def test_half_precision_tensors_are_read_as_fp32(written: Path) -> None:
    before = read_adapter(written)
    halves = {name: tensor.bfloat16() for name, tensor in load_file(written / TENSORS).items()}
    save_file(halves, written / TENSORS)
    (written / RECIPE).unlink()
    for name, tensor in read_adapter(written).tensors.items():
        assert torch.equal(tensor, before.tensors[name].bfloat16().float())


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300
)
@given(data=st.data())
def test_damage_is_noticed_or_harmless(written: Path, data: st.DataObject) -> None:
    intact = written.with_name("intact")
    if not intact.exists():
        shutil.copytree(written, intact)
    path = written / data.draw(st.sampled_from([CONFIG, TENSORS, RECIPE]))
    content = bytearray((intact / path.name).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        state = read_adapter(written)
    except AdapterError as error:
        assert str(written) in str(error)  # noqa: PT017 - reading it whole is as good
    else:
        assert adapter_digest(state) == adapter_digest(read_adapter(intact))
    finally:
        shutil.copy(intact / path.name, path)


@pytest.fixture
def golden(shared: Path) -> Path:
    return shared / "golden" / "peft"


def test_patterns_of_peft_are_resolved_to_modules(golden: Path) -> None:
    spec = read_adapter(golden / "lora_patterns").spec
    assert spec.rank_pattern == {
        "model.layers.0.self_attn.q_proj": 2,
        "model.layers.0.self_attn.v_proj": 6,
        "model.layers.1.self_attn.v_proj": 6,
    }
    assert spec.alpha_pattern["model.layers.1.mlp.gate_proj"] == 3.0
    assert spec.scaling_of("model.layers.1.self_attn.q_proj") == 20 / 4


@pytest.mark.parametrize(("name", "modules"), [("dora_qv", 4), ("dora_all_linear", 14)])
def test_magnitudes_of_dora_are_read(golden: Path, name: str, modules: int) -> None:
    state = read_adapter(golden / name)
    assert state.spec.use_dora
    assert len(state.spec.targets) == modules
    assert list(state.tensors) == [n for m in state.spec.targets for n in state.spec.names_of(m)]
    target = state.spec.targets[0]
    magnitude = f"{target}.lora_magnitude_vector"
    changed = {**state.tensors, magnitude: state.tensors[magnitude] + 1}
    assert adapter_digest(AdapterState(state.spec, changed)) != adapter_digest(state)


def test_modules_that_peft_saves_whole_are_read(golden: Path) -> None:
    state = read_adapter(golden / "lora_modules_to_save")
    assert state.spec.trained == ("lm_head",)
    assert list(state.tensors)[-1] == "lm_head.weight"
    changed = {**state.tensors, "lm_head.weight": state.tensors["lm_head.weight"] + 1}
    assert adapter_digest(AdapterState(state.spec, changed)) != adapter_digest(state)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "use_rslora": True,
            "target_modules": ["q_proj"],
            "rank_pattern": {"layers.1.self_attn.q_proj": 3},
        },
        {"target_modules": r".*layers\.0.*proj", "alpha_pattern": {"mlp.up_proj": 1.5}},
    ],
)
def test_plain_peft_loads_what_is_written(
    tmp_path: Path,
    toy_bases: dict[bool, Path],
    build_bundle: BuildBundle,
    inject: Inject,
    tied: bool,
    options: dict[str, Any],
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    bundle = build_bundle(tied=tied)
    model = inject(bundle, **options)
    generator = torch.Generator().manual_seed(5)
    shapes = {name: tensor.shape for name, tensor in model.state().tensors.items()}
    model.load_state({n: torch.randn(s, generator=generator) / 5 for n, s in shapes.items()})
    write(tmp_path, model.state(), base_modules(bundle.module, model.spec.targets))
    base = AutoModelForCausalLM.from_pretrained(toy_bases[tied])
    loaded = PeftModel.from_pretrained(base, str(tmp_path))
    adapted = [n for n, _ in loaded.base_model.model.named_modules() if n.endswith(".lora_A")]
    assert [name.removesuffix(".lora_A") for name in adapted] == list(model.spec.targets)
    ids = torch.arange(4, 24).reshape(2, 10)
    with torch.no_grad():
        compare_tightly(loaded(ids).logits, bundle.module(ids).logits)


def compare_tightly(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
