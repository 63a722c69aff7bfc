"""Updates of experts that are one tensor are the plain reference's, on one rank and on two."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.equivalence import expert_layers, reference
from tests.equivalence.test_same_update import ABSOLUTE, RELATIVE, differences, launch

LIMITS = {"gradient": RELATIVE, "loss": RELATIVE, "norm": RELATIVE, "parameter": ABSOLUTE}


@pytest.fixture(scope="module")
def expected() -> reference.Trace:
    return expert_layers.expected()


@pytest.mark.parametrize("name", ["ddp/custom", "ddp/peft"])
def test_one_rank_gives_the_plain_reference_s_update(
    name: str, tmp_path: Path, expected: reference.Trace
) -> None:
    expert_layers.main(tmp_path, name)
    check(name, tmp_path, expected)


def test_two_ranks_do_though_some_experts_are_sent_nothing(
    tmp_path: Path, expected: reference.Trace
) -> None:
    names = ("ddp/custom", "accelerate-fsdp/custom", "accelerate-fsdp/peft", "deepspeed-3/custom")
    launch(2, tmp_path, *names, worker="expert_layers")
    for name in names:
        check(name, tmp_path, expected)


def check(name: str, output: Path, expected: reference.Trace) -> None:
    case = expert_layers.case_of(*name.split("/"))
    found = differences(load_file(output / f"{case.name}.safetensors"), expected)
    assert all(found[what] <= limit for what, limit in LIMITS.items()), (name, found)
