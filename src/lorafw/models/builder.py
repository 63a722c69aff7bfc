"""What builders of transformers models have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lorafw.contracts.model import ModelBuilder, ModelBundle, ModelRequest
from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw.types import Task, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TransformersBuilder(ModelBuilder):
    """Builds a model from a folder in the transformers layout; families subclass it.

    A subclass says where the folder is and may refuse what does not belong to its family.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CAUSAL_LM})

    dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Dtype of the frozen weights; auto is the one the files have."
    )
    tokenizer_path: str | None = Field(
        None, description="Folder of the tokenizer, where it is not beside the weights."
    )

    @abstractmethod
    def folder(self) -> Path | None:
        """The local folder of the weights; None if they are in no file.

        Raises:
            ModelError: it is not where the options say.
        """

    def runs_code(self) -> bool:
        """Whether Python files in the model's folder may be run."""
        return False

    def preflight(self) -> None:
        """Check that the folder, its config, its weights and its tokenizer's folder are there."""
        if folder := self.folder():
            folders.model_type(folder)
            folders.weight_files(folder)
        self.tokenizer_folder()

    def tokenizer_folder(self) -> Path:
        """The folder the tokenizer is read from.

        Raises:
            ModelError: there is none.
        """
        if self.tokenizer_path is not None:
            return folders.resolve(self.tokenizer_path)
        return self._weights_folder()

    def default_encoder(self, task: Task) -> str:  # noqa: ARG002 - there is one task so far
        """`chat` if the tokenizer knows how a conversation is written, else `prompt`."""
        return "chat" if folders.has_chat_template(self.tokenizer_folder()) else "prompt"

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in `tokenizer_path`, or else the one beside the weights."""
        from lorafw.models.loading import load_tokenizer

        return load_tokenizer(self.tokenizer_folder(), trust_remote_code=self.runs_code())

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, frozen, and try them on a few tokens."""
        from lorafw.models.loading import check_vocabulary, load_model
        from lorafw.models.transformers_bundle import TransformersBundle

        folder = self._weights_folder()
        model = load_model(folder, dtype=self.dtype, trust_remote_code=self.runs_code())
        check_vocabulary(model, tokenizer)
        base = folders.identity(folder)
        return TransformersBundle(model.to(request.device), tokenizer, base=base)

    def native_config(self) -> Mapping[str, object]:
        """What `config.json` holds."""
        return folders.read_json(self._weights_folder() / "config.json")

    def _weights_folder(self) -> Path:
        if folder := self.folder():
            return folder
        raise ModelError("this model's weights are in no folder.", where="model")
