"""Trained rows of a vocabulary get the plain reference's update, sharded weights or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.equivalence import token_rows
from tests.equivalence.test_same_update import ABSOLUTE, RELATIVE, differences, launch

from lorafw.types import token_rows_name

LIMITS = {"gradient": RELATIVE, "loss": RELATIVE, "norm": RELATIVE, "parameter": ABSOLUTE}


def check(engine: str, output: Path) -> None:
    for name, (tied, _) in token_rows.cases(engine).items():
        seen = load_file(output / f"{name}.safetensors")
        found = differences(seen, token_rows.expected(tied=tied))
        assert all(found[what] <= limit for what, limit in LIMITS.items()), (name, found)


def test_one_rank_gives_the_plain_reference_s_update(tmp_path: Path) -> None:
    token_rows.main(tmp_path, "ddp")
    check("ddp", tmp_path)


def test_two_ranks_do_with_whole_weights_and_with_sharded_ones(tmp_path: Path) -> None:
    engines = ("ddp", "accelerate-fsdp", "deepspeed-3")
    launch(2, tmp_path, *engines, worker="token_rows")
    for engine in engines:
        check(engine, tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_the_reference_trains_every_row(tied: bool) -> None:
    first = token_rows.expected(tied=tied).gradients[0]
    for module in token_rows.rows_of(tied=tied):
        assert all(row.norm() > 1e-4 for row in first[token_rows_name(module)])
