"""Parts are found by name from metadata, and every way to be broken is one line."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import lorafw
from lorafw.assembly.first_party import FIRST_PARTY
from lorafw.assembly.registry import KINDS, Registry
from lorafw.contracts.listener import Listener
from lorafw.errors import PluginError

ROOT = Path(__file__).parents[3]

GOOD = '''
from lorafw.contracts.listener import Listener
class Good(Listener):
    """Hears nothing."""
    def open(self, folder):
        return object()
'''


def fault(registry: Registry, kind: str, name: str) -> str:
    with pytest.raises(PluginError) as caught:
        registry.load(kind, name)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_has_a_group_and_a_contract() -> None:
    assert list(KINDS) == [
        *("dataset", "model", "injector", "trainer", "exporter"),
        *("encoder", "objective", "scenario", "listener", "adapter_format", "metric"),
    ]
    assert KINDS["injector"].group == "lorafw.injectors"
    assert KINDS["injector"].contract == "lorafw.contracts.injector:LoRAInjector"


def test_core_finds_its_own_parts_in_metadata() -> None:
    entry = Registry().find("scenario", "single")
    assert (entry.distribution, entry.version) == ("lorafw", lorafw.__version__)
    assert entry.value == "lorafw.builtin.single:Single"


def test_listing_imports_nothing(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-lazy", {"listeners": "lazy = lorafw_lazy_never:X"}, {})
    registry = Registry()
    assert "lazy" in registry.names("listener")
    assert registry.find("listener", "lazy").summary == "Written by a test"
    assert "lorafw_lazy_never" not in sys.modules


def test_a_part_is_loaded_by_plain_and_qualified_name(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-good", {"listeners": "good = good_plain:Good"}, {"good_plain": GOOD})
    registry = Registry()
    part = registry.load("listener", "good")
    assert issubclass(part, Listener)
    for name in ("lorafw-good/good", "lorafw_good/good", "LoRAfw.Good/good"):
        assert registry.load("listener", name) is part


def test_an_import_path_needs_no_metadata(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-path", {}, {"good_path": GOOD})
    assert Registry().load("listener", "good_path:Good").describe() == "Hears nothing."


def test_an_import_path_reaches_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good_here.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert Registry().load("listener", "good_here:Good").describe() == "Hears nothing."
    assert sys.path[-1] == str(tmp_path)


def test_unknown_name() -> None:
    registry = Registry()
    assert fault(registry, "scenario", "singel") == (
        "no scenario is called 'singel'. Did you mean 'single'?"
    )
    installed = ", ".join(registry.names("scenario"))
    assert fault(registry, "scenario", "zzz") == (
        f"no scenario is called 'zzz'. Installed: {installed}."
    )


def test_unknown_kind() -> None:
    assert fault(Registry(), "injectors", "peft") == (
        "there is no kind of part called 'injectors'. Did you mean 'injector'?"
    )


def test_a_known_part_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIRST_PARTY, ("trainer", "elsewhere"), "lorafw-elsewhere")
    assert fault(Registry(), "trainer", "elsewhere") == (
        "trainer 'elsewhere' is not installed. Run: pip install lorafw-elsewhere"
    )


def test_first_party_is_what_the_plugins_folder_declares() -> None:
    declared = {}
    for path in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        for kind in KINDS.values():
            for name in project["entry-points"].get(kind.group, {}):
                declared[kind.name, name] = project["name"]
    assert declared == FIRST_PARTY


def test_a_broken_plugin_stops_no_other(write_plugin: Callable[..., Path]) -> None:
    write_plugin(
        "lorafw-third", {"listeners": "bad = bad_import:Bad"}, {"bad_import": "import x_x"}
    )
    write_plugin(
        "lorafw-fine", {"listeners": "fine = good_fine:Good"}, {"good_fine": GOOD}, folder="other"
    )
    registry = Registry()
    assert fault(registry, "listener", "bad") == (
        "listener 'bad' from lorafw-third 1.0 failed to import: "
        "ModuleNotFoundError: No module named 'x_x'"
    )
    assert registry.load("listener", "fine").describe() == "Hears nothing."


def test_a_module_without_the_class(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-less", {"listeners": "less = good_less:Gone"}, {"good_less": GOOD})
    assert fault(Registry(), "listener", "less") == (
        "listener 'less' from lorafw-less 1.0 failed to import: "
        "AttributeError: module 'good_less' has no attribute 'Gone'"
    )


def test_two_plugins_with_one_name(write_plugin: Callable[..., Path]) -> None:
    for letter in "ab":
        write_plugin(
            f"lorafw-{letter}",
            {"listeners": f"dup = good_{letter}:Good"},
            {f"good_{letter}": GOOD},
            folder=letter,
        )
    registry = Registry()
    assert fault(registry, "listener", "dup") == (
        "listener 'dup' is declared twice; write one of: lorafw-a/dup, lorafw-b/dup"
    )
    assert registry.load("listener", "lorafw-b/dup").__module__ == "good_b"
    assert {"lorafw-a/dup", "lorafw-b/dup"} <= set(registry.names("listener"))


def test_one_distribution_seen_twice_counts_once(write_plugin: Callable[..., Path]) -> None:
    for folder in ("first", "second"):
        write_plugin(
            "lorafw-twice",
            {"listeners": "twice = good_twice:Good"},
            {"good_twice": GOOD},
            folder=folder,
        )
    registry = Registry()
    assert registry.names("listener").count("twice") == 1
    assert registry.load("listener", "twice").describe() == "Hears nothing."


def test_not_the_right_kind_of_part(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-kind", {"trainers": "kind = good_kind:Good"}, {"good_kind": GOOD})
    assert fault(Registry(), "trainer", "kind") == (
        "trainer 'kind' from lorafw-kind 1.0 is not a Trainer. "
        "See lorafw.contracts.trainer:Trainer."
    )


def test_a_contract_that_has_grown(write_plugin: Callable[..., Path]) -> None:
    old = GOOD.replace("def open", "def listen")
    write_plugin("lorafw-old", {"listeners": "old = good_old:Good"}, {"good_old": old})
    assert fault(Registry(), "listener", "old") == (
        "listener 'old' from lorafw-old 1.0 was written for another version of lorafw: "
        f"it lacks open (this is lorafw {lorafw.__version__})."
    )


@pytest.mark.parametrize("needs", ["<0.1", ">=99", "==0.0.*"])
def test_made_for_another_lorafw(write_plugin: Callable[..., Path], needs: str) -> None:
    write_plugin(
        "lorafw-far",
        {"listeners": "far = far_never:Far"},
        {"far_never": "raise AssertionError"},
        requires=f"lorafw{needs}",
    )
    assert fault(Registry(), "listener", "far") == (
        f"listener 'far' from lorafw-far 1.0 needs lorafw {needs}, this is {lorafw.__version__}. "
        "Run: pip install --upgrade lorafw lorafw-far"
    )


def test_a_requirement_of_an_extra_is_none(write_plugin: Callable[..., Path]) -> None:
    write_plugin(
        "lorafw-extra",
        {"listeners": "extra = good_extra:Good"},
        {"good_extra": GOOD},
        requires='lorafw>=99; extra == "future"',
    )
    assert Registry().load("listener", "extra").describe() == "Hears nothing."


def test_a_command_that_is_none(write_plugin: Callable[..., Path]) -> None:
    write_plugin("lorafw-verb", {"commands": "verb = good_verb:Good"}, {"good_verb": GOOD})
    with pytest.raises(PluginError, match=r"command 'verb' from lorafw-verb 1\.0 is not a click"):
        Registry().load_command("verb")
