from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorafw.errors import ModelError
from lorafw_glm import _convert
from lorafw_glm._convert import converted_glm
from lorafw_glm._tensors import stored_tensors
from lorafw_glm.chatglm_config import glm_fields
from lorafw_glm.checkpoint import original_weight_files

GOLDEN = ("hf-safetensors", "hf-bin-sharded")


def converted(folder: Path, dtype: torch.dtype | None = None) -> Any:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fields, files = glm_fields(config, folder), original_weight_files(folder)
    return converted_glm(fields, files, dtype, torch.device("cpu")).eval()


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request: pytest.FixtureRequest, shared: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    folder = shared / "golden" / "chatglm2"
    arrays = np.load(folder / "arrays.npz")
    return converted(folder / request.param), {n: torch.tensor(a) for n, a in arrays.items()}


@torch.no_grad()
def test_logits_and_loss_are_the_originals(golden: Any) -> None:
    model, want = golden
    output = model(input_ids=want["input_ids"].long(), labels=want["labels"].long())
    torch.testing.assert_close(output.logits, want["logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(output.loss, want["loss"].float(), atol=1e-4, rtol=0)


@torch.no_grad()
def test_left_padded_rows_are_the_originals(golden: Any) -> None:
    model, want = golden
    mask = want["masked_attention_mask"].long()
    inputs = {name: want[f"masked_{name}"].long() for name in ("input_ids", "position_ids")}
    logits = model(**inputs, attention_mask=mask).logits
    real = mask.bool()
    torch.testing.assert_close(logits[real], want["masked_logits"][real], atol=1e-4, rtol=0)


@torch.no_grad()
def test_greedy_tokens_are_the_originals(golden: Any) -> None:
    model, want = golden
    ids = want["greedy_ids"].long()
    prompt = want["input_ids"].shape[1]
    assert torch.equal(ids[:, :prompt], want["input_ids"][:1].long())
    # Given its own answer, a greedy model predicts that answer.
    predicted = model(input_ids=ids).logits.argmax(-1)
    assert torch.equal(predicted[:, prompt - 1 : -1], ids[:, prompt:])


@torch.no_grad()
def test_weights_come_back_as_they_were(
    make_original: Callable[..., Path], make_glm: Callable[..., Any]
) -> None:
    model, want = converted(make_original()), make_glm()
    for name, tensor in want.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    ids = torch.arange(12)[None]
    assert torch.equal(model(ids).logits, want(ids).logits)


def test_the_dtype_is_the_files_or_the_one_asked_for(
    make_original: Callable[..., Path], tensors: dict[str, torch.Tensor]
) -> None:
    halves = {name: tensor.half() for name, tensor in tensors.items()}
    folder = make_original(halves)
    for wanted, found in ((None, torch.float16), (torch.bfloat16, torch.bfloat16)):
        model = converted(folder, wanted)
        assert {p.dtype for p in model.parameters()} == {found}
        assert model.dtype == model.config.dtype == found
        assert model.model.rotary_emb.inv_freq.dtype == torch.float32


@torch.no_grad()
def test_divided_positions_are_computed(make_original: Callable[..., Path]) -> None:
    plain = converted(make_original(name="plain"))
    stretched = converted(
        make_original(name="32k", rope_ratio=4, _name_or_path="THUDM/chatglm2-6b-32k")
    )
    ids, every_fourth = torch.arange(40, 49)[None], 4 * torch.arange(9)[None]
    want = plain(ids).logits
    torch.testing.assert_close(stretched(ids, position_ids=every_fourth).logits, want)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_one_stored_tensor_lives_at_a_time(
    make_original: Callable[..., Path],
    tensors: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    folder = make_original()
    if name.endswith(".bin"):
        (folder / "model.safetensors").unlink()
        torch.save(tensors, folder / name)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def watched(files: Any) -> Iterator[tuple[str, torch.Tensor]]:
        nonlocal most
        for key, tensor in stored_tensors(files):
            alive.append(weakref.ref(tensor))
            most = max(most, sum(reference() is not None for reference in alive))
            yield key, tensor
            del tensor

    monkeypatch.setattr(_convert, "stored_tensors", watched)
    converted(folder)
    assert len(alive) == len(tensors)
    assert most == 1


LAYER = "transformer.encoder.layers.1"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda t: t.pop("transformer.output_layer.weight"), "lack 1 tensors .*lm_head.weight"),
        (
            lambda t: t.pop(f"{LAYER}.self_attention.query_key_value.bias"),
            "lack 3 tensors .*first model.layers.1.self_attn.k_proj.bias",
        ),
        (
            lambda t: t.update({"transformer.prefix_encoder.embedding.weight": torch.ones(2, 2)}),
            "transformer.prefix_encoder.embedding.weight is no tensor of ChatGLM2",
        ),
        (
            lambda t: t.update(
                {"transformer.encoder.layers.2.input_layernorm.weight": torch.ones(32)}
            ),
            "layers.2.input_layernorm.weight is there, and config.json asks for no such",
        ),
        (
            lambda t: t.update({f"{LAYER}.mlp.dense_4h_to_h.weight": torch.ones(32, 47)}),
            r"dense_4h_to_h.weight has shape \[32, 47\], config.json asks for \[32, 48\]",
        ),
        (
            lambda t: t.update(
                {f"{LAYER}.self_attention.query_key_value.weight": torch.ones(96, 32)}
            ),
            r"query_key_value.weight has shape \[96, 32\], config.json asks for \[64, 32\]",
        ),
        (
            lambda t: t.update({f"{LAYER}.mlp.dense_4h_to_h.weight_scale": torch.ones(32)}),
            "weight_scale is float32: the weights are quantised already.*model.quantize",
        ),
        (
            lambda t: t.update({f"{LAYER}.mlp.dense_4h_to_h.weight": torch.ones(32, 24).char()}),
            "dense_4h_to_h.weight is int8: the weights are quantised already",
        ),
    ],
)
def test_anything_but_the_configs_tensors_is_one_error(
    make_original: Callable[..., Path],
    tensors: dict[str, torch.Tensor],
    change: Callable[[dict[str, torch.Tensor]], Any],
    fault: str,
) -> None:
    change(tensors)
    with pytest.raises(ModelError, match=fault):
        converted(make_original(tensors))
