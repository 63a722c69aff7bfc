"""Model `auto`: any decoder that transformers' `AutoModelForCausalLM` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.models import folder as folders
from lorafw.models.builder import TransformersBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.types import Tokenizer


class Auto(TransformersBuilder):
    """Any causal language model of transformers, from a folder or the Hugging Face hub."""

    path: str = Field(
        description="Folder in the transformers layout, hub id org/name, or lorafw:demo."
    )
    trust_remote_code: bool = Field(
        False, description="Run the Python files that come with the model; only if you know them."
    )

    def folder(self) -> Path:
        """The folder that `path` names; a hub id is fetched."""
        return folders.resolve(self.path, code=self.trust_remote_code)

    def runs_code(self) -> bool:
        """What `trust_remote_code` says."""
        return self.trust_remote_code

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; an architecture that transformers does not know is refused first."""
        from lorafw.models.loading import load_config

        load_config(self.folder(), trust_remote_code=self.trust_remote_code)
        return super().tokenizer()
