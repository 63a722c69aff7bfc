"""What several tasks are cut into is what each is cut into, added up."""

from __future__ import annotations

import pytest

from lorafw.contracts import TrainPlan
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.packed import lengths_of
from lorafw.planning.portions import Portions, portions
from lorafw.planning.task_portions import task_portions
from lorafw.testing.toys import toy_rows
from lorafw.types import Layout

PARTS = [toy_rows(13, 1), toy_rows(40, 2, longest=90), toy_rows(5, 3)]
EPOCHS = (3, 1, 2)
REST = (Layout.PADDED, 7, 2)


def plan(epochs: int = 9) -> TrainPlan:
    return TrainPlan(epochs=epochs, global_batch_size=4, micro_batch_tokens=120)


@pytest.fixture
def each() -> list[Portions]:
    pairs = zip(PARTS, EPOCHS, strict=True)
    return [portions(lengths_of(part), plan(epochs), *REST) for part, epochs in pairs]


def test_tasks_add_up(each: list[Portions]) -> None:
    found = task_portions(JoinedRows(PARTS), EPOCHS, plan(), *REST)
    assert found.steps == sum(one.steps for one in each) == 12 + 10 + 4
    assert found.tokens == sum(one.tokens for one in each)
    assert found.cells == sum(one.cells for one in each)
    assert found.padding == pytest.approx(1 - found.tokens / found.cells)
    assert found.padding == pytest.approx(found.padding_if_padded)
    passes = sum(one.micro_batches * one.steps for one in each)
    assert found.micro_batches * found.steps == pytest.approx(passes)


def test_the_largest_micro_batch_is_of_the_rows_it_names(each: list[Portions]) -> None:
    rows = JoinedRows(PARTS)
    found = task_portions(rows, EPOCHS, plan(), *REST)
    assert found.largest_cells == max(one.largest_cells for one in each)
    lengths = [len(rows[row].input_ids) for row in found.largest]
    assert max(lengths) * len(lengths) == found.largest_cells


def test_one_task_is_what_its_rows_are() -> None:
    alone = portions(lengths_of(PARTS[1]), plan(1), *REST)
    found = task_portions(JoinedRows(PARTS[1:2]), (1,), plan(), *REST)
    assert (found.steps, found.largest, found.cells) == (alone.steps, alone.largest, alone.cells)
