"""LoftQ takes back, as far as its rank goes, what quantisation did to the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft.utils.loftq_utils import _low_rank_decomposition
from safetensors.torch import load_file, save_file

from lorafw.builtin.auto import Auto
from lorafw.contracts import ModelRequest
from lorafw.errors import AdapterError
from lorafw.models.dense import dense_weight
from lorafw.models.folder import identity
from lorafw.testing.exchange import load_with_peft
from lorafw.testing.toys import toy_folder, toy_rows
from lorafw.testing.values import as_if_trained, distance, equal, logits_of
from lorafw.types import Capability, Task
from lorafw_peft.injector import PeftInjector

if TYPE_CHECKING:
    from lorafw.contracts import AdaptedModel, ModelBundle

pytest.importorskip("bitsandbytes")

SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}
ROWS = toy_rows(3, seed=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base"), **SIZES)


def built(base: Path, quantize: str | None = "nf4") -> ModelBundle:
    builder = Auto.from_mapping({"path": str(base), "quantize": quantize}, where="model")
    return builder.build(ModelRequest(Task.CAUSAL_LM, torch.device("cpu")), builder.tokenizer())


def injected(bundle: ModelBundle, **options: Any) -> AdaptedModel:
    given = {"r": 8, "alpha": 4.0, "init": "loftq", **options}
    return PeftInjector.from_mapping(given, where="injector").inject(bundle)


def test_the_factors_are_those_of_peft(base: Path) -> None:
    bundle, stored = built(base), load_file(base / "model.safetensors")
    held = {
        name: dense_weight(bundle.module.get_submodule(name)).clone()
        for name in bundle.lora_targets
    }
    model = injected(bundle, alpha=8.0)  # PEFT knows of no factor on B·A but one
    for module, quantised in held.items():
        error = stored[f"{module}.weight"] - quantised
        wanted = _low_rank_decomposition(error, 8)
        down, up = (model.trainable()[name].detach() for name in model.spec.pair_of(module))
        assert distance(up @ down, wanted["L"] @ wanted["R"]) < 1e-4, module


@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_a_fresh_adapter_is_nearer_to_the_weights_in_the_files(base: Path, quantize: str) -> None:
    """Whatever the factor on B·A is."""
    exact, lossy = (logits_of(built(base, kind), ROWS) for kind in (None, quantize))
    bundle = built(base, quantize)
    model = injected(bundle, r=32)
    mended = logits_of(bundle, ROWS)
    assert distance(mended, exact) < 0.75 * distance(lossy, exact)
    with model.disabled():
        assert torch.equal(logits_of(bundle, ROWS), lossy)
    assert Capability.IDENTITY_START not in PeftInjector(init="loftq").capabilities


def test_the_adapter_is_plain_lora_and_a_reset_comes_back_to_the_start(
    base: Path, tmp_path: Path
) -> None:
    model = injected(built(base))
    start = model.state().tensors
    as_if_trained(model)
    adapted, plain = logits_of(model.bundle, ROWS), built(base)
    load_with_peft(plain, model, tmp_path)
    assert distance(logits_of(plain, ROWS), adapted) < 1e-5
    assert not model.training_state()
    model.reset(seed=3)
    assert equal(model.state().tensors, start)


def test_a_base_that_is_not_quantised_has_nothing_to_mend(base: Path) -> None:
    with pytest.raises(AdapterError, match=r"injector\.init: .*quantised.*model\.quantize: nf4"):
        injected(built(base, None))


def test_what_is_not_in_the_files_cannot_be_mended(base: Path, tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, **SIZES)
    bundle = built(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(AdapterError, match=r"'loftq' needs the weights as they were"):
        injected(bundle)
    lacking = built(base)
    lacking.base = _without(base, folder, "model.layers.1.mlp.up_proj.weight")
    vars(lacking.module)["name_or_path"] = str(folder)
    with pytest.raises(AdapterError, match=r"needs model\.layers\.1\.mlp\.up_proj\.weight"):
        injected(lacking)


def _without(base: Path, folder: Path, name: str) -> str:
    """Write the base's weights but one; the folder's identity."""
    tensors = load_file(base / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return identity(folder)
