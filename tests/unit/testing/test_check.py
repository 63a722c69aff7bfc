"""Running a contract without pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lorafw.testing
from lorafw.assembly.hooks import Events
from lorafw.assembly.registry import KINDS
from lorafw.builtin.console import Console
from lorafw.builtin.single import Single
from lorafw.contracts import Listener
from lorafw.testing.check import CONTRACTS, check, contract_of
from lorafw.testing.component import ComponentContract, promises
from lorafw.testing.listener import sample_run


def test_every_kind_has_a_contract() -> None:
    assert CONTRACTS.keys() == KINDS.keys()
    for kind in KINDS:
        contract = contract_of(kind)
        assert contract is getattr(lorafw.testing, CONTRACTS[kind])
        assert contract.kind == kind
        assert len(promises(contract)) > len(promises(ComponentContract))


def test_every_promise_is_reported_once_in_order() -> None:
    told: list[tuple[str, str, str]] = []
    assert check("scenario", Single(), lambda *line: told.append(line))
    assert {outcome for _, outcome, _ in told} == {"ok", "not promised"}
    left_out = [detail for _, outcome, detail in told if outcome == "not promised"]
    assert left_out == ["it is for one data set"]
    names = [promise.replace(" ", "_") for promise, _, _ in told]
    assert names == [name.removeprefix("test_") for name in promises(contract_of("scenario"))]
    assert names[0] == "its_class_is_imported_without_torch"


def test_what_is_not_promised_is_no_failure() -> None:
    class Local(Console):
        """A listener that no other process can import."""

    told: list[tuple[str, str, str]] = []
    assert check("listener", Local(), lambda *line: told.append(line))
    skipped = {promise: detail for promise, outcome, detail in told if outcome == "not promised"}
    reason = "its class cannot be imported by name"
    assert skipped == dict.fromkeys(
        ("its class is imported without torch", "it survives pickling"), reason
    )


def test_an_error_of_the_part_is_a_failure_with_its_name() -> None:
    class Raising(Listener):
        """Cannot be opened."""

        def open(self, folder: Path) -> object:
            raise ValueError(f"{folder.name[:13]} is odd")

    told: list[tuple[str, str, str]] = []
    assert not check("listener", Raising(), lambda *line: told.append(line))
    failed = {detail for _, outcome, detail in told if outcome == "failed"}
    assert failed == {"ValueError: lorafw-check- is odd"}


def test_each_promise_gets_an_empty_folder_that_is_removed() -> None:
    folders: list[Path] = []

    class Looking(Console):
        """Looks at its folder."""

        def open(self, folder: Path) -> object:
            folders.append(folder)
            assert not any(folder.iterdir())
            return super().open(folder)

    assert check("listener", Looking(), lambda *_: None)
    assert len(set(folders)) >= 4
    assert not any(folder.exists() for folder in folders)


def test_the_sample_runs_have_every_event_with_its_whole_payload(tmp_path: Path) -> None:
    announced = {name: f for name, f in vars(Events).items() if callable(f)}
    told = sample_run(tmp_path) + sample_run(tmp_path, fails=True)
    assert {event for event, _ in told} == announced.keys()
    for event, payload in told:
        wanted = announced[event].__annotations__.keys() - {"return"}
        assert payload.keys() == wanted, event


@pytest.mark.parametrize("module", ["lorafw.testing", "lorafw.testing.check"])
def test_the_kit_needs_no_pytest(module: str) -> None:
    code = (
        f"import sys; sys.modules['pytest'] = None; import {module}; import lorafw.testing as t;"
        "[getattr(t, name) for name in t.__all__]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_misspelt_contract_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'InjectorContrat'"):
        _ = lorafw.testing.InjectorContrat
