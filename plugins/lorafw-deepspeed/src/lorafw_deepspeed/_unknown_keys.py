"""Keys of a user's DeepSpeed config that DeepSpeed would pass over without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepspeed.runtime.config import DeepSpeedConfig, DeepSpeedConfigError
from deepspeed.runtime.config_utils import DeepSpeedConfigModel
from pydantic import ValidationError

from lorafw.errors import ConfigError, did_you_mean
from lorafw_deepspeed.decided import PRECISIONS, RULES
from lorafw_deepspeed.user_config import UserConfig, listed, parsed

_NEEDED = {"train_micro_batch_size_per_gpu": 1}
_BLOCKS = {"DeepSpeedZeroConfig": "zero_optimization"}
"""Under which key DeepSpeed's model of a block is read, where the model's name does not tell."""


class _Asked(dict[str, Any]):
    """A config that notes which keys it is asked for; copies note it in the same place."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.keys_asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.keys_asked.add(str(key))
        return super().__contains__(key)

    def keys(self) -> Any:
        return self


def check(path: Path) -> None:
    """Let DeepSpeed read a config, and see that it looks at all of it.

    Raises:
        ConfigError: it does not know a key, or refuses a value; all that it finds is named.
    """
    asked = _Asked(_NEEDED)
    DeepSpeedConfig(asked)
    decided = {*PRECISIONS, *(rule.key.partition(".")[0] for rule in RULES)}
    known = asked.keys_asked | decided
    faults = [_unknown(key, known) for key in parsed(path) if key not in known]
    faults += _refused({**UserConfig.read(path).rest, **_NEEDED})
    if faults:
        raise ConfigError(f"{path} is not right. {listed(faults)}", where="trainer.config")


def _unknown(key: str, known: set[str]) -> str:
    suggestion = did_you_mean(key.rpartition(".")[2], known)
    return f"{key}: DeepSpeed knows no such key. {suggestion}".rstrip()


def _refused(config: Mapping[str, Any]) -> Iterator[str]:
    """What DeepSpeed's own reading of the blocks has against it."""
    try:
        DeepSpeedConfig(dict(config))
    except ValidationError as error:
        yield from (_explained(error.title, fault) for fault in error.errors())
    except (DeepSpeedConfigError, ValueError, AssertionError) as error:
        yield str(error)


def _explained(model: str, fault: Any) -> str:
    place = ".".join([_BLOCKS.get(model, model), *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return _unknown(place, _fields())
    return f"{place}: {fault['msg']}."


def _fields() -> set[str]:
    """Names in DeepSpeed's config models, all blocks taken together."""
    models = DeepSpeedConfigModel.__subclasses__()
    return {alias for m in models for n, f in m.model_fields.items() for alias in (f.alias or n,)}
