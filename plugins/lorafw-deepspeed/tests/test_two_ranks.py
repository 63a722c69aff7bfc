"""Two ranks train what DDP trains: on half-precision bases at every stage, and from the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from lorafw.testing.forked_ranks import run_on_ranks

pytestmark = pytest.mark.slow  # the contract kit trains on two ranks in fp32

CLOSE = {
    **{("bf16", f"stage-{stage}"): 1e-4 for stage in range(3)},
    ("bf16", "stage-3"): 2e-2,
    ("fp16", "stage-2"): 1e-5,
    ("fp16", "stage-3"): 2e-3,
    ("fp32", "offload-2"): 5e-6,
    ("fp32", "offload-3"): 5e-6,
}
"""Largest difference of a parameter that rounding explains.

Halves are rounded in every layer, and the hooks of stage 3 let gradients that meet, those of the
query, the key and the value, be added in another order.
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What `two_ranks.py` ended with, as `dtype/trainer/name`."""
    folder = tmp_path_factory.mktemp("ranks")
    here, hidden = Path(__file__).parent, {"CUDA_VISIBLE_DEVICES": ""}
    log = folder / "ranks.log"
    run_on_ranks(2, "two_ranks", [str(folder)], log=log, folder=here, environment=hidden)
    return load_file(folder / "trained.safetensors")


def of(trained: dict[str, Tensor], dtype: str, name: str) -> dict[str, Tensor]:
    start = f"{dtype}/{name}/"
    return {key.removeprefix(start): t for key, t in trained.items() if key.startswith(start)}


@pytest.mark.parametrize("case", CLOSE, ids="-".join)
def test_the_adapter_is_that_of_ddp(case: tuple[str, str], trained: dict[str, Tensor]) -> None:
    dtype, name = case
    found, wanted = of(trained, dtype, name), of(trained, dtype, "ddp")
    assert found.keys() == wanted.keys()
    off = {key: (found[key] - wanted[key]).abs() for key in wanted}
    assert float(off.pop("losses").max()) <= max(CLOSE[case], 1e-5)
    assert max(float(each.max()) for each in off.values()) <= CLOSE[case]
    assert max(float(each.mean()) for each in off.values()) <= max(CLOSE[case] / 50, 5e-6)


def test_the_dtype_of_the_base_is_seen(trained: dict[str, Tensor]) -> None:
    halves, whole = of(trained, "bf16", "ddp"), of(trained, "fp32", "ddp")
    assert float((halves["losses"] - whole["losses"]).abs().max()) > 1e-3
