"""What goes wrong on one of two ranks ends, or mends, the training of both in the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.training.faulty_engines import BAD_ROW
from tests.unit.training.on_engine import trained

from lorafw.testing.forked_ranks import run_on_ranks
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toy_training import SEED
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained

Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    folder = tmp_path_factory.mktemp("ranks")
    module = "tests.unit.training.guards.two_ranks"
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    run_on_ranks(2, module, [str(folder)], log=folder / "log", environment=hidden)
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    return first, second


def furthest(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    pairs = ((a, b) for name in wanted for a, b in zip(found[name], wanted[name], strict=True))
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("case", ["memory", "memory behind"])
def test_one_rank_cuts_smaller_and_the_update_is_the_same(
    ranks: tuple[Found, Found], case: str
) -> None:
    first, second = ranks
    assert first[case]["values"] == second[case]["values"]
    assert furthest(first[case]["values"], first["plain"]["values"]) <= 5e-6
    (notice,) = first[case]["notices"]  # in the second step the ranks agree
    assert "Memory ran out: micro-batches have at most" in notice


def test_both_ranks_name_the_row_and_what_one_of_them_changed(ranks: tuple[Found, Found]) -> None:
    for found in ranks:
        assert f"because of row {BAD_ROW + 1}." in found["nan"]["error"]
        assert "the gradient norm of step 2 is inf" in found["steep"]["error"]
        assert "are frozen: model.norm.weight." in found["careless"]["error"]


def test_both_ranks_leave_the_same_step_out(ranks: tuple[Found, Found]) -> None:
    first, second = ranks
    assert first["skip"]["values"] == second["skip"]["values"]
    assert first["skip"]["skipped"] == second["skip"]["skipped"] == 1
    assert [notice for notice in first["skip"]["notices"] if f"row {BAD_ROW + 1}" in notice]


def test_fp16_on_two_ranks_is_fp16_on_one(ranks: tuple[Found, Found]) -> None:
    model = ToyInjector(r=4).inject(toy_bundle("fp16"))
    as_if_trained(model, SEED)
    alone = trained(model=model)
    first, second = ranks
    assert first["fp16"]["values"] == second["fp16"]["values"]
    assert all("overflowed fp16" in notice for notice in first["fp16"]["notices"])
    assert first["fp16"]["losses"] == pytest.approx(alone.figures("loss"), abs=2e-3)
