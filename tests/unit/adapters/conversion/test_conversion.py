"""Writing a format: whole or not at all, and never something else than was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.unit.adapters.states import SHAPES, random_adapter
from torch import nn

from lorafw.adapters.conversion.conversion import check_base, largest_change, write_format
from lorafw.builtin.adapter_formats.peft import Peft
from lorafw.contracts import AdapterBase
from lorafw.errors import AdapterError, ExportError, UsageError
from lorafw.types import AdapterState

NOWHERE = AdapterBase()


class Altering(Peft):
    """Writes something else."""

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        tensors = {name: tensor * 1.01 for name, tensor in state.tensors.items()}
        return super().write(replace(state, tensors=tensors), path, base)


def test_what_is_written_is_read_back_and_put_in_place(tmp_path: Path) -> None:
    state = random_adapter()
    written = write_format(state, Peft(), tmp_path / "out", NOWHERE)
    assert written.change == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert largest_change(state, Peft().read(tmp_path / "out", NOWHERE)) == 0


def test_nothing_is_left_of_what_went_wrong(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differs by 2\.0e-02"):
        write_format(random_adapter(), Altering(), tmp_path / "out", NOWHERE)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match=r"out: exists already"):
        write_format(random_adapter(), Peft(), tmp_path / "out", NOWHERE)
    assert (tmp_path / "out").read_text() == "mine"
    with pytest.raises(UsageError, match=r"deeper: there is no such folder"):
        write_format(random_adapter(), Peft(), tmp_path / "deeper" / "out", NOWHERE)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    state = random_adapter()
    name = next(iter(state.tensors))
    state.tensors[name][0, 0] = torch.inf
    with pytest.raises(AdapterError, match=f"{name} holds NaN or infinity"):
        write_format(state, Peft(), tmp_path / "out", NOWHERE)


def test_the_change_is_that_of_the_update_however_it_is_factored() -> None:
    state = random_adapter()
    down, up = state.spec.pair_of("layers.0.q")
    turned = {**state.tensors, down: state.tensors[down] * 8, up: state.tensors[up] / 8}
    assert largest_change(state, replace(state, tensors=turned)) < 1e-12
    other = {**state.tensors, up: state.tensors[up] * 1.5}
    assert largest_change(state, replace(state, tensors=other)) == pytest.approx(0.5)
    louder = replace(state, spec=replace(state.spec, alpha=state.spec.alpha * 3))
    assert largest_change(state, louder) == pytest.approx(2)


ALTERED: dict[str, tuple[Callable[[AdapterState], AdapterState], str]] = {
    "lost": (lambda s: replace(s, tensors={}), "the update of layers.0.q is lost"),
    "added": (
        lambda s: random_adapter(shapes={**SHAPES, "layers.2.q": (6, 5)}),
        "layers.2.q was not adapted",
    ),
    "method": (lambda s: replace(s, spec=replace(s.spec, method="IA3")), "IA3 is read"),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_another_adapter_is_an_error(altered: str) -> None:
    state = random_adapter()
    change, message = ALTERED[altered]
    with pytest.raises(ExportError, match=message):
        largest_change(state, change(state))


def test_whole_modules_must_be_the_same_bits() -> None:
    state = random_adapter(extra={"head.weight": torch.ones(2)}, trained=("head",))
    tensors = {**state.tensors, "head.weight": torch.tensor([1.0, 2.0])}
    with pytest.raises(ExportError, match=r"head\.weight is not what was written"):
        largest_change(state, replace(state, tensors=tensors))


def test_an_adapter_is_compared_with_its_base() -> None:
    module = nn.Module()
    module.layers = nn.ModuleList(nn.ModuleDict({"q": nn.Linear(5, 6)}) for _ in range(2))
    module.layers[0]["up"] = nn.Linear(4, 9)  # type: ignore[index,operator]
    check_base(random_adapter(), module)
    with pytest.raises(AdapterError, match=r"no module layers\.2\.q.*another base"):
        check_base(random_adapter(shapes={"layers.2.q": (6, 5)}), module)
    with pytest.raises(AdapterError, match=r"layers\.0\.q is \[6, 4\], its weight .* \[6, 5\]"):
        check_base(random_adapter(shapes={"layers.0.q": (6, 4)}), module)
