"""Model `glm`: GLM-4 folders, and original ChatGLM2, ChatGLM3 and GLM-4-9B checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw.models import quantization
from lorafw.models.builder import TransformersBuilder
from lorafw_glm.chatglm_config import glm_fields
from lorafw_glm.checkpoint import original_weight_files
from lorafw_glm.tokenizer_format import is_tiktoken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import device

    from lorafw.contracts import ModelBundle, ModelRequest
    from lorafw.types import Task, Tokenizer

ORIGINAL = "chatglm"
"""The model type of checkpoints that were published with code of their own."""

_TRANSFORMERS = ("glm", "glm4")


class Glm(TransformersBuilder):
    """A GLM-4 model, or an original ChatGLM2, ChatGLM3 or GLM-4-9B, without remote code."""

    path: str = Field(description="Folder of the model in either layout, or hub id org/name.")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder of model type `chatglm`, `glm` or `glm4`."""
        families = {ORIGINAL, *_TRANSFORMERS}
        return (path / "config.json").is_file() and folders.model_type(path) in families

    def folder(self) -> Path:
        """The folder that `path` names; of a hub id the safetensors files are fetched."""
        return folders.resolve(self.path)

    def is_original(self) -> bool:
        """Whether the checkpoint has the original names and needs converting.

        Raises:
            ModelError: it is of another family.
        """
        family = folders.model_type(self.folder())
        if family in {ORIGINAL, *_TRANSFORMERS}:
            return family == ORIGINAL
        fault = f"this is a model of type {family!r}, not a GLM."
        raise ModelError(fault, where=self.path, mend="Use model auto with its path.")

    def preflight(self) -> None:
        """Check the files, that they are of this family, and that Glm can express the config."""
        if not self.is_original():
            super().preflight()
            return
        self.stored_config()
        original_weight_files(self.folder())
        self.tokenizer_folder()
        if self.quantize is not None:
            quantization.require()

    def default_encoder(self, task: Task) -> str:
        """`chat` if the tokenizer knows how a conversation is written, else `glm`."""
        if not self._has_original_tokenizer():
            return super().default_encoder(task)
        folder = self.tokenizer_folder()
        templated = is_tiktoken(folder / "tokenizer.model") and folders.has_chat_template(folder)
        return "chat" if templated else "glm"

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; an original `tokenizer.model` is read without its code."""
        if not self._has_original_tokenizer():
            return super().tokenizer()
        from lorafw_glm.tokenizer import original_tokenizer

        return self.extended(original_tokenizer(self.tokenizer_folder()))

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, converted if they are original; frozen, and tried on a few tokens."""
        if not self.is_original():
            return super().build(request, tokenizer)
        files = original_weight_files(self.folder())
        model = self._converted(files, request.device)
        base = folders.content_identity(super().stored_config(), files)
        return self.causal_bundle(model, tokenizer, base=base)

    def stored_config(self) -> Mapping[str, object]:
        """What `config.json` holds; of an original checkpoint, the config of its conversion.

        So a merged export of either is a folder that transformers loads without remote code.
        """
        config = super().stored_config()
        return glm_fields(config, self.folder()) if self.is_original() else config

    def _converted(self, files: Sequence[Path], device: device) -> Any:
        from lorafw.models.loading import torch_dtype
        from lorafw_glm._convert import converted_glm, quantised_glm

        fields, dtype = self.stored_config(), torch_dtype(self.dtype)
        if self.quantize is None:
            return converted_glm(fields, files, dtype, device)
        config = self.quantization_config()
        return quantised_glm(fields, files, dtype, config=config, device=device)

    def _has_original_tokenizer(self) -> bool:
        folder = self.tokenizer_folder()
        return (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").exists()
