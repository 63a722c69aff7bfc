"""Model `llama`: a folder of the Llama family, or random weights from a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw.models.builder import TransformersBuilder
from lorafw_llama.generation import generation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import ModelBundle, ModelRequest, Outline
    from lorafw.types import Tokenizer


class Llama(TransformersBuilder):
    """A Llama model from a folder, or with random weights from a config."""

    path: str | None = Field(
        None, description="Folder in the transformers layout, hub id org/name, or lorafw:demo."
    )
    config: dict[str, Any] | str | None = Field(
        None,
        description="For random weights instead of a path: LlamaConfig fields, or a config.json.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.config is None):
            raise ValueError("set either path, or config for random weights")
        if self.config is not None and self.tokenizer_path is None:
            raise ValueError("random weights have no tokenizer of their own: set tokenizer_path")
        if self.config is not None and self.quantize is not None:
            raise ValueError("random weights are not quantised: leave quantize out")
        return self

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder of model type `llama`."""
        return (path / "config.json").is_file() and folders.model_type(path) == "llama"

    def outline(self) -> Outline | None:
        """The module tree, and which Llama it is."""
        found = super().outline()
        return found and replace(found, generation=generation(self._fields()))

    def folder(self) -> Path | None:
        """The folder that `path` names, a hub id fetched; None for random weights."""
        return None if self.path is None else folders.resolve(self.path)

    def preflight(self) -> None:
        """Check the files, and that they are of this family."""
        super().preflight()
        self._refuse_others()

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; a config of random weights that cannot work is refused first."""
        tokenizer = super().tokenizer()
        if self.config is not None:
            self._llama_config(tokenizer)
        return tokenizer

    @property
    def builds_without_weights(self) -> bool:
        """A config is enough."""
        return self.quantize is None

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, or draw them from `request.seed`; frozen either way."""
        self._refuse_others()
        if self.config is None:
            return super().build(request, tokenizer)
        from lorafw.models.loading import torch_dtype
        from lorafw_llama._random import content_identity, random_llama, shaped_llama

        config, dtype = self._llama_config(tokenizer), torch_dtype(self.dtype)
        if request.device.type == "meta":
            return self.causal_bundle(shaped_llama(config, dtype), tokenizer, base="")
        model = random_llama(config, request.seed, dtype)
        base = content_identity(model)
        return self.causal_bundle(model.to(request.device), tokenizer, base=base)

    def stored_config(self) -> Mapping[str, object]:
        """What `config.json` holds, or would hold for random weights."""
        if self.config is None:
            return super().stored_config()
        fields: dict[str, object] = self._llama_config(super().tokenizer()).to_dict()
        return {**fields, "architectures": ["LlamaForCausalLM"]}

    def _fields(self) -> dict[str, Any]:
        """What is known of the model's config without transformers."""
        if isinstance(self.config, dict):
            return {"model_type": "llama", **self.config}
        if self.config is not None:
            return folders.read_json(Path(self.config).expanduser())
        return dict(super().stored_config())

    def _refuse_others(self) -> None:
        family = self._fields().get("model_type")
        if family != "llama":
            fault = f"this is a model of type {family!r}, not a Llama."
            where = self.path or "model.config"
            raise ModelError(fault, where=where, mend="Use model auto with its path.")

    def _llama_config(self, tokenizer: Tokenizer) -> Any:
        from lorafw_llama._random import llama_config

        return llama_config(self._fields(), tokenizer, only_known=isinstance(self.config, dict))
