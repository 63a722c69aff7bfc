"""With FSDP2 every rank holds a piece of every parameter, and what comes out is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorafw.adapters.layout.peft_layout import read_adapter
from lorafw.testing.engine import CLOSE, largest_difference
from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.testing.reference import train_plainly
from lorafw.testing.toy_training import started, train
from lorafw_accelerate.trainer import AccelerateTrainer

SHARDED = ("sharded", "kept-after-forward")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the two ranks of `sharded_ranks.py` left; they look at their pieces themselves."""
    folder = tmp_path_factory.mktemp("ranks")
    here, hidden = Path(__file__).parent, {"CUDA_VISIBLE_DEVICES": ""}
    log = folder / "ranks.log"
    run_on_ranks(2, "sharded_ranks", [str(folder)], log=log, folder=here, environment=hidden)
    return folder


@pytest.mark.parametrize("way", SHARDED)
def test_two_fits_and_all_evaluations_are_those_of_whole_parameters(seen: Path, way: str) -> None:
    """One engine opens where another was closed, on the same module."""
    found, wanted = (load_file(seen / f"{name}.safetensors") for name in (way, "whole"))
    told = {name for name in wanted if name.endswith("/told")}
    moved = wanted["first/lm_head.weight"] - wanted["second/lm_head.weight"]
    assert moved.abs().max() > 1e-3
    for name in wanted.keys() - told:
        torch.testing.assert_close(found[name], wanted[name], atol=CLOSE, rtol=0, msg=name)


@pytest.mark.parametrize("way", SHARDED)
def test_the_adapter_is_whole_when_it_is_read_back(seen: Path, way: str) -> None:
    found, wanted = read_adapter(seen / way), read_adapter(seen / "whole")
    assert found.spec == wanted.spec
    assert all(tensor.abs().max() > 0 for tensor in found.tensors.values())
    assert largest_difference(found.tensors, wanted.tensors) <= CLOSE


def test_the_user_is_told_that_accelerate_itself_shards_nothing_on_a_cpu(seen: Path) -> None:
    for way, times in {"whole": 0, **dict.fromkeys(SHARDED, 1)}.items():
        found = load_file(seen / f"{way}.safetensors")
        assert [int(found[f"{fit}/told"]) for fit in ("first", "second")] == [times, times], way


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize(
    "options", [{}, {"reshard_after_forward": False}, {"cpu_offload": True}], ids=str
)
def test_on_a_gpu_the_update_is_that_of_a_plain_loop(options: dict[str, bool]) -> None:
    with started(AccelerateTrainer(fsdp=True, **options)) as running:
        assert running.world.device.type == "cuda"
        found = train(running)
    assert not [payload for event, payload in found.events if event == "notice"]
    values = {name: value.cpu() for name, value in found.values.items()}
    assert largest_difference(values, train_plainly().values) <= CLOSE


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
@pytest.mark.parametrize("options", [{}, {"cpu_offload": True}], ids=str)
def test_on_two_gpus_accelerate_shards_by_itself(options: dict[str, bool], tmp_path: Path) -> None:
    from lorafw.testing.ranks import train_on_ranks

    trainer = AccelerateTrainer(fsdp=True, **options)
    values, _ = train_on_ranks(2, "accelerate", trainer, tmp_path)
    assert largest_difference(values, train_plainly().values) <= CLOSE
