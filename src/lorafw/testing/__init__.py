"""The contract kit: promises every part must keep, and toys to try them on.

A third party writes, and pytest runs one test for each promise of the kind::

    from lorafw.testing import InjectorContract

    class TestMyInjector(InjectorContract):
        @pytest.fixture
        def injector(self):
            return MyInjector(r=4)

The fixture is named after the kind. `lorafw plugins check` runs the same promises without pytest.
"""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorafw.testing.adapter_format import AdapterFormatContract
    from lorafw.testing.component import ComponentContract
    from lorafw.testing.dataset import DatasetContract
    from lorafw.testing.encoder import EncoderContract
    from lorafw.testing.engine import EngineContract
    from lorafw.testing.exporter import ExporterContract
    from lorafw.testing.injector import InjectorContract
    from lorafw.testing.listener import ListenerContract
    from lorafw.testing.metric import MetricContract
    from lorafw.testing.model import ModelContract
    from lorafw.testing.objective import ObjectiveContract
    from lorafw.testing.promise import NotPromised
    from lorafw.testing.scenario import ScenarioContract
    from lorafw.testing.trainer import TrainerContract

__all__ = [
    "AdapterFormatContract",
    "ComponentContract",
    "DatasetContract",
    "EncoderContract",
    "EngineContract",
    "ExporterContract",
    "InjectorContract",
    "ListenerContract",
    "MetricContract",
    "ModelContract",
    "NotPromised",
    "ObjectiveContract",
    "ScenarioContract",
    "TrainerContract",
]


def __getattr__(name: str) -> Any:
    """Import a contract when it is first asked for: pytest imports this package at every start."""
    if name not in __all__:
        raise AttributeError(f"module 'lorafw.testing' has no attribute {name!r}")
    words = re.findall("[A-Z][a-z]+", name.removesuffix("Contract"))
    home = "promise" if name == "NotPromised" else "_".join(words).lower()
    return getattr(import_module(f"lorafw.testing.{home}"), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return __all__
