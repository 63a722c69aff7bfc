from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.encoded.packed import lengths_of
from lorafw.testing.toys import toy_rows
from lorafw.training.batches import BatchPlan
from lorafw.types import Layout
from lorafw.verification.rows import HELD_OUT, Rows, first_steps


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_the_first_steps_have_the_runs_own_rows(
    count: int, batch: int, steps: int, seed: int
) -> None:
    rows = toy_rows(count, seed=1)
    found = first_steps(rows, [], steps=steps, batch=batch, seed=seed).train
    own, taken = (
        BatchPlan(lengths_of(part), batch, 1, Layout.PADDED, seed) for part in (rows, found)
    )
    for step in range(steps):
        assert [found[i] for i in taken.rows_of(step)] == [rows[i] for i in own.rows_of(step)]


def test_held_out_rows_are_measured_and_training_rows_without_them() -> None:
    rows, held_out = toy_rows(30, seed=1), toy_rows(3, seed=2)
    given_some = first_steps(rows, held_out, steps=1, batch=4, seed=0)
    assert list(given_some.held_out) == held_out
    none = first_steps(rows, [], steps=4, batch=4, seed=0)
    assert list(none.held_out) == list(none.train[:HELD_OUT])


def test_they_come_back_from_a_file(tmp_path: Path) -> None:
    rows = first_steps(toy_rows(9), [], steps=1, batch=4, seed=0)
    rows.write(tmp_path / "rows.json")
    assert Rows.read(tmp_path / "rows.json") == rows
