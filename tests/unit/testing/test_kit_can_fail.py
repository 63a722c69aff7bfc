"""The kit itself is tried: it finds every fault that was built in, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.unit.testing.broken import (
    adapter_formats,
    datasets,
    encoders,
    exporters,
    heavy,
    injectors,
    listeners,
    metrics,
    models,
    objectives,
    parts,
    scenarios,
    trainers,
)

from lorafw.contracts import Component
from lorafw.testing.check import FAILED, check
from lorafw.testing.fresh_import import import_path
from lorafw.testing.toys import toy_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def light_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the fresh interpreter of every check, which is tried by a test of its own."""
    monkeypatch.setattr("lorafw.testing.component.heavy_imports", lambda _path: ())


def classes(module: ModuleType) -> list[Any]:
    """The parts of a module that say what they break."""
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Component)]
    return [
        pytest.param(kind, id=kind.__name__)
        for kind in found
        if kind.__module__ == module.__name__ and "breaks" in _own_names(kind)
    ]


def _own_names(kind: type) -> set[str]:
    return {*vars(kind), *vars(kind).get("__annotations__", {})}


def failures(kind: str, component: Any) -> set[str]:
    """The promises that `check` finds broken; each must come with a reason."""
    broken: dict[str, str] = {}

    def report(promise: str, outcome: str, detail: str) -> None:
        if outcome == FAILED:
            broken[promise] = detail

    kept = check(kind, component, report)
    assert kept is (not broken)
    assert all(broken.values())
    return set(broken)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(parts))
def test_faults_of_any_part(kind: Any) -> None:
    part = kind.example() if hasattr(kind, "example") else kind()
    assert failures("listener", part) == set(kind.breaks)


def test_a_part_that_imports_torch() -> None:
    assert failures("listener", heavy.Heavy()) == set(heavy.Heavy.breaks)
    assert not failures("listener", parts.Sound())


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(datasets))
def test_faults_of_datasets(kind: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("".join(f"row {n}\n" for n in range(30)))
    assert failures("dataset", kind(path=tmp_path / "rows.txt")) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(encoders))
def test_faults_of_encoders(kind: Any) -> None:
    assert failures("encoder", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(models))
def test_faults_of_models(kind: Any, tmp_path: Path) -> None:
    builder = kind(path=str(toy_folder(tmp_path / "base")))
    assert failures("model", builder) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(injectors))
def test_faults_of_injectors(kind: Any) -> None:
    assert failures("injector", kind(r=4)) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(objectives))
def test_faults_of_objectives(kind: Any) -> None:
    assert failures("objective", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("fault", trainers.BREAKS)
def test_faults_of_trainers(fault: str) -> None:
    assert failures("trainer", trainers.Faulty(fault=fault)) == set(trainers.BREAKS[fault])


@pytest.mark.usefixtures("light_imports")
def test_a_trainer_that_is_wrong_on_two_ranks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    path = import_path(trainers.Faulty)
    monkeypatch.setattr("lorafw.testing.ranks.registered_name", lambda *_: path)
    monkeypatch.chdir(ROOT)
    assert failures("trainer", trainers.Faulty(fault="unscaled")) == {trainers.RANKS}


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(exporters))
def test_faults_of_exporters(kind: Any) -> None:
    assert failures("exporter", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(scenarios))
def test_faults_of_scenarios(kind: Any) -> None:
    assert failures("scenario", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(listeners))
def test_faults_of_listeners(kind: Any) -> None:
    assert failures("listener", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(adapter_formats))
def test_faults_of_adapter_formats(kind: Any) -> None:
    assert failures("adapter_format", kind()) == set(kind.breaks)


@pytest.mark.usefixtures("light_imports")
@pytest.mark.parametrize("kind", classes(metrics))
def test_faults_of_metrics(kind: Any) -> None:
    assert failures("metric", kind()) == set(kind.breaks)
