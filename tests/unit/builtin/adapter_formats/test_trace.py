"""TRACE's layer: the numbers of its own code, and weights that have the update in them already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lorafw.assembly.registry import Registry
from lorafw.builtin.adapter_formats.trace import Trace
from lorafw.builtin.auto import Auto
from lorafw.contracts import AdapterBase, Hidden, ModelBuilder, ModelBundle, ModelRequest
from lorafw.errors import AdapterError, PluginError
from lorafw.testing.toys import toy_folder, toy_tokenizer
from lorafw.types import AdapterSpec, AdapterState, Task, Tokenizer, canonical_pair

RIGHT, LEFT = ".lora_right_weight", ".lora_left_weight"


class Net(nn.Module):
    """The net of the reference numbers: y = fc2(tanh(fc1(x)))."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"fc1": nn.Linear(6, 5), "fc2": nn.Linear(5, 4, bias=False)})
        self.load_state_dict(state)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net["fc2"](torch.tanh(self.net["fc1"](x)))
        return y


class NetBundle(ModelBundle):
    task = Task.CAUSAL_LM
    base = "net"
    lora_targets = ("net.fc1", "net.fc2")
    capabilities = frozenset()
    head_weight = None

    def __init__(self, module: nn.Module) -> None:
        self.module, self.tokenizer = module.requires_grad_(requires_grad=False), toy_tokenizer()

    def hidden(self, inputs: Mapping[str, Tensor]) -> Hidden:
        x = inputs["x"] if "x" in inputs else torch.eye(6)[inputs["input_ids"] % 6]
        return Hidden(self.module(x))

    def logits(self, rows: Tensor) -> Tensor:
        return rows


class NetBuilder(ModelBuilder):
    """The net as a base model."""

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CAUSAL_LM})
    weights: dict[str, Any]

    def default_encoder(self, task: Task) -> str:
        return "prompt"

    def tokenizer(self) -> Tokenizer:
        return toy_tokenizer()

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        return NetBundle(Net(self.weights))

    def native_config(self) -> Mapping[str, object]:
        return {}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    arrays = np.load(shared / "golden" / "trace_lora" / "arrays.npz")
    return {name: torch.tensor(array) for name, array in arrays.items()}


def part(golden: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in golden.items() if n.startswith(prefix)}


@pytest.fixture
def base(golden: Mapping[str, Tensor]) -> AdapterBase:
    return AdapterBase(NetBuilder(weights=part(golden, "base.")))


@torch.no_grad()
@pytest.mark.parametrize("kept", ["lora_state.", "fused."])
@pytest.mark.parametrize("injector", ["custom", "peft"])
def test_both_injectors_give_the_numbers_of_traces_own_layer(
    golden: Mapping[str, Tensor], base: AdapterBase, tmp_path: Path, kept: str, injector: str
) -> None:
    torch.save(part(golden, kept), tmp_path / "lora.bin")
    read = Trace(lora_scaling=32.0)
    state = read.read(tmp_path / "lora.bin", base)
    assert (state.spec.rank, state.spec.scaling_of("net.fc1")) == (2, 16.0)
    assert bool(read.remarks(tmp_path / "lora.bin", base)) is (kept == "fused.")
    try:
        kind: Any = Registry().load("injector", injector)
    except PluginError as error:
        pytest.skip(str(error))
    bundle = NetBundle(Net(part(golden, "base.")))
    adapted = kind().for_spec(state.spec).inject(bundle)
    adapted.load_state(state.tensors)
    bundle.module.eval()
    x = golden["x"]
    torch.testing.assert_close(bundle.hidden({"x": x}).rows, golden["y_lora"], atol=1e-5, rtol=0)
    merged = Net({**part(golden, "base."), **dict(adapted.merged_state())})
    torch.testing.assert_close(merged(x), golden["y_fused"], atol=1e-5, rtol=0)


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(AdapterError, match=message) as caught:
        yield
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", ["lora_state.", "fused."])
def test_weights_beside_the_adapter_are_told_apart_only_with_the_base(
    golden: Mapping[str, Tensor], tmp_path: Path, kept: str
) -> None:
    torch.save(part(golden, kept), tmp_path / "lora.bin")
    with refused(r"lora\.bin: holds weights beside LoRA.*--base"):
        Trace(lora_scaling=32.0).read(tmp_path / "lora.bin", AdapterBase())


def test_fused_weights_betray_the_scaling(
    golden: Mapping[str, Tensor], base: AdapterBase, tmp_path: Path
) -> None:
    torch.save(part(golden, "fused."), tmp_path / "lora.bin")
    with refused(r"net\.fc1\.weight has the update folded in 32 times.*lora_scaling=32:"):
        Trace().read(tmp_path / "lora.bin", base)


def test_weights_of_another_base_are_refused(
    golden: Mapping[str, Tensor], base: AdapterBase, tmp_path: Path
) -> None:
    stored = part(golden, "lora_state.")
    stored["net.fc2.weight"] = stored["net.fc2.weight"].roll(1, 0)
    torch.save(stored, tmp_path / "lora.bin")
    with refused(r"net\.fc2\.weight is neither the base's nor.*another base"):
        Trace(lora_scaling=32.0).read(tmp_path / "lora.bin", base)
    stored["net.fc2.weight"] = torch.zeros(3, 5)
    torch.save(stored, tmp_path / "lora.bin")
    with refused(r"the weight of net\.fc2 is \[3, 5\] here, its weight \[4, 5\] in the base"):
        Trace(lora_scaling=32.0).read(tmp_path / "lora.bin", base)


def test_single_weights_are_read_from_the_bases_files(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "base")
    builder = Auto.from_mapping({"path": str(folder)}, where="model")
    module = "model.layers.1.self_attn.q_proj"
    stored = {module + RIGHT: torch.ones(32, 2), module + LEFT: torch.ones(2, 32)}
    torch.save({**stored, f"{module}.weight": torch.ones(32, 32)}, tmp_path / "lora.pt")
    with refused("neither the base's nor"):
        Trace().read(tmp_path / "lora.pt", AdapterBase(builder))
    (folder / "tokenizer.json").unlink()  # so the model cannot be built
    with refused("neither the base's nor"):
        Trace().read(tmp_path / "lora.pt", AdapterBase(builder))


def test_a_wrapped_state_dict_is_read(tmp_path: Path) -> None:
    tensors = {f"module.fc{RIGHT}": torch.ones(3, 2), f"module.fc{LEFT}": torch.ones(2, 4).half()}
    torch.save(tensors, tmp_path / "lora.pt")
    assert Trace.recognises(tmp_path / "lora.pt")
    state = Trace().read(tmp_path / "lora.pt", AdapterBase())
    assert {n: (list(t.shape), t.dtype) for n, t in state.tensors.items()} == {
        "fc.lora_A.weight": ([2, 3], torch.float32),
        "fc.lora_B.weight": ([4, 2], torch.float32),
    }


FAULTS: dict[str, tuple[Any, str]] = {
    "half": ({f"fc{RIGHT}": torch.ones(3, 2)}, f"lacks fc{LEFT}"),
    "none": ({"fc.weight": torch.ones(3, 2)}, "holds no tensor of LoRA"),
    "vector": ({f"fc{RIGHT}": torch.ones(3), f"fc{LEFT}": torch.ones(2)}, "holds no matrix"),
    "ranks": ({f"fc{RIGHT}": torch.ones(3, 2), f"fc{LEFT}": torch.ones(1, 4)}, "do not fit"),
    "nan": (
        {f"fc{RIGHT}": torch.ones(3, 2), f"fc{LEFT}": torch.full((2, 4), torch.nan)},
        "NaN or infinity",
    ),
    "list": ([1], "holds a list"),
    "checkpoint": ({"step": 3, f"fc{RIGHT}": torch.ones(3, 2)}, "'step' in it is a int"),
    "pickle": ({"path": Path("x")}, "more than plain tensors.*no pickles that could run code"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_none_is_one_error(tmp_path: Path, fault: str) -> None:
    content, message = FAULTS[fault]
    torch.save(content, tmp_path / "lora.pt")
    with refused(rf"lora\.pt: .*{message}"):
        Trace().read(tmp_path / "lora.pt", AdapterBase())


@settings(max_examples=25, deadline=None)
@given(
    ranks=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    alpha=st.floats(0.1, 64),
    scaling=st.floats(0.1, 64),
)
def test_the_layer_computes_what_the_adapter_does(
    tmp_path_factory: pytest.TempPathFactory, ranks: list[int], alpha: float, scaling: float
) -> None:
    chance = torch.Generator().manual_seed(0)
    names = [f"layers.{i}.fc" for i in range(len(ranks))]
    tensors: dict[str, Tensor] = {}
    for name, rank in zip(names, ranks, strict=True):
        pair = torch.randn(rank, 5, generator=chance), torch.randn(7, rank, generator=chance)
        tensors |= zip(canonical_pair(name), pair, strict=True)
    pattern = dict(zip(names, ranks, strict=True))
    state = AdapterState(AdapterSpec(2, alpha, tuple(names), rank_pattern=pattern), tensors)
    file = tmp_path_factory.mktemp("trace") / "lora.pt"
    Trace(lora_scaling=scaling).write(state, file, AdapterBase())
    stored, x = torch.load(file, weights_only=True), torch.randn(3, 5, generator=chance)
    for name, rank in pattern.items():
        layer = (x @ stored[name + RIGHT]) @ stored[name + LEFT] * (scaling / rank)
        down, up = (tensors[key] for key in canonical_pair(name))
        wanted = x @ down.T @ up.T * state.spec.scaling_of(name)
        torch.testing.assert_close(layer, wanted, rtol=1e-4, atol=1e-4 * alpha)
