"""What every part promises, of whatever kind."""

from __future__ import annotations

import functools
import inspect
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import ValidationError

from lorafw.contracts import Component
from lorafw.errors import ConfigError
from lorafw.testing.fresh_import import heavy_imports, import_path
from lorafw.testing.promise import NotPromised, refused

Promise = Callable[..., None]


class ComponentContract:
    """Base of the contracts; each of its methods is one promise.

    A promise takes the part by the name of its kind, and `tmp_path` where it needs a folder.
    """

    kind: ClassVar[str] = "component"

    def __init_subclass__(cls, kind: str = "") -> None:
        """Let the promises of every part take this kind's fixture."""
        super().__init_subclass__()
        if kind:
            cls.kind = kind
            for name, promise in promises(ComponentContract).items():
                setattr(cls, name, _taking(kind, promise))

    def test_its_class_is_imported_without_torch(self, component: Component) -> None:
        heavy = heavy_imports(_importable(component))
        assert not heavy, f"importing the class also imports {', '.join(heavy)}"

    def test_it_describes_itself_in_one_line(self, component: Component) -> None:
        own = vars(type(component)).get("__doc__")
        assert own, "the class has no docstring, so users cannot tell what the part is for"
        line = type(component).describe()
        assert line.strip(), "the first line of the docstring is empty"
        assert "\n" not in line

    def test_every_option_has_a_description(self, component: Component) -> None:
        fields = type(component).model_fields
        silent = [name for name, field in fields.items() if not field.description]
        assert not silent, f"no description: {', '.join(silent)}"

    def test_an_unknown_option_is_a_config_error_with_a_suggestion(
        self, component: Component
    ) -> None:
        options = component.model_dump(mode="json")
        meant = max(options, key=len, default="")
        wrong = f"{meant}_" if meant else "anything"
        with refused(ConfigError, naming=f"'{meant}'" if len(meant) > 1 else wrong):
            type(component).from_mapping({**options, wrong: 1}, where="part")

    def test_it_is_frozen(self, component: Component) -> None:
        name = next(iter(type(component).model_fields), "anything")
        try:
            setattr(component.model_copy(), name, None)
        except ValidationError:
            return
        raise AssertionError(f"{name} could be changed after the part was made")

    def test_it_is_rebuilt_equal_from_its_own_options(self, component: Component) -> None:
        written = json.loads(json.dumps(component.model_dump(mode="json")))
        again = type(component).from_mapping(written, where="part")
        assert again == component, f"{again!r} is not {component!r}"

    def test_it_survives_pickling(self, component: Component) -> None:
        _importable(component)
        again = pickle.loads(pickle.dumps(component))
        assert again == component, f"{again!r} is not {component!r}"


def promises(contract: type[ComponentContract]) -> dict[str, Promise]:
    """The promises of a contract by name, those of every part first."""
    owners = [vars(owner) for owner in reversed(contract.__mro__)]
    names = [name for owner in owners for name in owner if name.startswith("test_")]
    return {name: getattr(contract, name) for name in names}


def _taking(kind: str, promise: Promise) -> Promise:
    """The same promise with its part called by another name: fixtures are found by name."""

    @functools.wraps(promise)
    def renamed(self: ComponentContract, **given: Component) -> None:
        promise(self, given[kind])

    this, part = inspect.signature(promise).parameters.values()
    renamed.__signature__ = inspect.Signature([this, part.replace(name=kind)])  # type: ignore[attr-defined]
    return renamed


def _importable(component: Component) -> str:
    path = import_path(type(component))
    module, _, name = path.partition(":")
    if getattr(sys.modules.get(module), name, None) is not type(component):
        raise NotPromised("its class cannot be imported by name")
    return path


def options_of(component: Component, **changes: Any) -> dict[str, Any]:
    """A part's options with some of them replaced."""
    return {**component.model_dump(), **changes}
