"""Model `auto`: any decoder or text classifier that transformers' own classes know."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lorafw.models import folder as folders
from lorafw.models.builder import TransformersBuilder
from lorafw.types import Task

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.types import Tokenizer


class Auto(TransformersBuilder):
    """Any decoder or text classifier of transformers, from a folder or the Hugging Face hub."""

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CAUSAL_LM, Task.CLASSIFICATION})

    path: str = Field(
        description="Folder in the transformers layout, hub id org/name, or lorafw:demo."
    )
    trust_remote_code: bool = Field(
        False, description="Run the Python files that come with the model; only if you know them."
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any folder with a `config.json`: other models are asked first."""
        return (path / "config.json").is_file()

    def folder(self) -> Path:
        """The folder that `path` names; a hub id is fetched."""
        return folders.resolve(self.path, code=self.trust_remote_code)

    def runs_code(self) -> bool:
        """What `trust_remote_code` says."""
        return self.trust_remote_code

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; an architecture that transformers does not know is refused first.

        Its `model_max_length` is no more than the model has learned positions for.
        """
        from lorafw.models.loading import load_config
        from lorafw.models.positions import learned_positions

        config = load_config(self.folder(), trust_remote_code=self.trust_remote_code)
        tokenizer = super().tokenizer()
        limit = learned_positions(config)
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit or 2**63)
        return tokenizer
