"""lorafw: LoRA fine-tuning whose parts can be swapped without changing the result."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorafw.contracts import (
        AdapterFormat,
        Component,
        DatasetAdapter,
        Encoder,
        Exporter,
        Listener,
        LoRAInjector,
        Metric,
        ModelBuilder,
        Objective,
        Scenario,
        Trainer,
        TrainPlan,
    )
    from lorafw.errors import LorafwError
    from lorafw.inference.adapter_set import AdapterSet
    from lorafw.inference.conversation import Conversation
    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.loaded import LoadedModel
    from lorafw.inference.loading import load
    from lorafw.inference.set_loading import load_adapters
    from lorafw.pipeline import run
    from lorafw.planning.planner import plan
    from lorafw.types import (
        AdapterSpec,
        AdapterState,
        Batch,
        Capability,
        ChatExample,
        ChoiceExample,
        Encoded,
        Example,
        LabeledExample,
        Message,
        PreferenceExample,
        PromptExample,
        Split,
        Task,
        TextExample,
    )
    from lorafw.verification.verify import verify

__version__ = "0.1.0"

__all__ = [
    "AdapterFormat",
    "AdapterSet",
    "AdapterSpec",
    "AdapterState",
    "Batch",
    "Capability",
    "ChatExample",
    "ChoiceExample",
    "Component",
    "Conversation",
    "DatasetAdapter",
    "Encoded",
    "Encoder",
    "Example",
    "Exporter",
    "LabeledExample",
    "Listener",
    "LoRAInjector",
    "LoadedModel",
    "LorafwError",
    "Message",
    "Metric",
    "ModelBuilder",
    "Objective",
    "PreferenceExample",
    "PromptExample",
    "Sampling",
    "Scenario",
    "Split",
    "Task",
    "TextExample",
    "TrainPlan",
    "Trainer",
    "load",
    "load_adapters",
    "plan",
    "run",
    "verify",
]

_PLACES = {
    "AdapterSet": "lorafw.inference.adapter_set",
    "Conversation": "lorafw.inference.conversation",
    "LoadedModel": "lorafw.inference.loaded",
    "Sampling": "lorafw.inference.generation.sampling",
    "load": "lorafw.inference.loading",
    "load_adapters": "lorafw.inference.set_loading",
    "plan": "lorafw.planning.planner",
    "run": "lorafw.pipeline",
    "verify": "lorafw.verification.verify",
}
_HOMES = ("lorafw.types", "lorafw.contracts", "lorafw.errors")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import lorafw` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'lorafw' has no attribute {name!r}")
    homes = (_PLACES[name],) if name in _PLACES else _HOMES
    home = next(module for module in map(import_module, homes) if hasattr(module, name))
    return getattr(home, name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted([*__all__, "__version__"])
