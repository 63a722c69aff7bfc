"""What builders of transformers models have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lorafw.contracts.model import ModelBundle, ModelRequest, Outline
from lorafw.errors import ModelError
from lorafw.models import folder as folders
from lorafw.models import quantization
from lorafw.models.headers import stored_tensors
from lorafw.models.quantization import Quantization
from lorafw.models.vocabulary import GrowingVocabulary
from lorafw.types import Capability, Task, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TransformersBuilder(GrowingVocabulary):
    """Builds a model from a folder in the transformers layout; families subclass it.

    A subclass says where the folder is and may refuse what does not belong to its family.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CAUSAL_LM})

    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Dtype of the frozen weights; auto is the one the files have."
    )
    tokenizer_path: str | None = Field(
        None, description="Folder of the tokenizer, where it is not beside the weights."
    )

    quantize: Quantization | None = Field(
        None, description="Hold the weights of the layers in 4 bits or 8, through bitsandbytes."
    )
    double_quant: bool = Field(
        default=False, description="With nf4: quantise its scales too, 0.4 bits less per weight."
    )
    compute_dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="With nf4: dtype of the products; auto is the one of the other weights."
    )

    @model_validator(mode="after")
    def _quantisation_is_one(self) -> Self:
        if self.quantize != "nf4" and (self.double_quant or self.compute_dtype != "auto"):
            raise ValueError("double_quant and compute_dtype are for quantize: nf4")
        return self

    @abstractmethod
    def folder(self) -> Path | None:
        """The local folder of the weights; None if they are in no file.

        Raises:
            ModelError: it is not where the options say.
        """

    @property
    def builds_without_weights(self) -> bool:
        """A folder's config and headers tell all, unless weights are quantised as they are read."""
        return self.quantize is None and self.folder() is not None

    def runs_code(self) -> bool:
        """Whether Python files in the model's folder may be run."""
        return False

    def preflight(self) -> None:
        """Check that the folder, its config, its weights and its tokenizer's folder are there."""
        if folder := self.folder():
            folders.model_type(folder)
            stored_tensors(folders.weight_files(folder))
        self.tokenizer_folder()
        if self.quantize is not None:
            quantization.require()
            self._refuse_quantised_files()

    @property
    def rules_out(self) -> frozenset[Capability]:
        """Quantised weights take no update, and cannot be partitioned over ranks."""
        unable = {Capability.MERGEABLE, Capability.SHARDABLE}
        return frozenset(unable if self.quantize is not None else ())

    def tokenizer_folder(self) -> Path:
        """The folder the tokenizer is read from.

        Raises:
            ModelError: there is none.
        """
        if self.tokenizer_path is not None:
            return folders.resolve(self.tokenizer_path)
        return self._weights_folder()

    def default_encoder(self, task: Task) -> str:
        """`chat` if the tokenizer knows how a conversation is written, else `prompt`.

        For classification it is `text-pair`.
        """
        if task is Task.CLASSIFICATION:
            return "text-pair"
        return "chat" if folders.has_chat_template(self.tokenizer_folder()) else "prompt"

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in `tokenizer_path`, or else beside the weights; `add_tokens` added."""
        from lorafw.models.loading import load_tokenizer

        folder = self.tokenizer_folder()
        return self.extended(load_tokenizer(folder, trust_remote_code=self.runs_code()))

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, frozen, and try them on a few tokens."""
        from lorafw.models.loading import load_model

        folder = self._weights_folder()
        if request.task is Task.CLASSIFICATION:
            return self._classifier(request, tokenizer, folder)
        model = load_model(
            folder,
            dtype=self.dtype,
            trust_remote_code=self.runs_code(),
            quantization=self.quantization_config(),
            device=request.device,
        )
        return self.causal_bundle(model, tokenizer, base=folders.identity(folder))

    def causal_bundle(self, model: Any, tokenizer: Tokenizer, *, base: str) -> ModelBundle:
        """A causal model with its weights, made ready: room for added tokens, then the trials."""
        from lorafw.models.added_tokens import make_room
        from lorafw.models.loading import check_vocabulary
        from lorafw.models.transformers_bundle import TransformersBundle

        check_vocabulary(model, tokenizer)
        rows = make_room(model, tokenizer, self.add_tokens)
        return TransformersBundle(model, tokenizer, base=base, token_rows=rows)

    def _classifier(self, request: ModelRequest, tokenizer: Tokenizer, folder: Path) -> ModelBundle:
        from lorafw.models.added_tokens import make_room
        from lorafw.models.classifier_bundle import ClassifierBundle
        from lorafw.models.classifier_loading import load_classifier
        from lorafw.models.loading import check_vocabulary

        model, heads = load_classifier(
            folder,
            request,
            dtype=self.dtype,
            trust_remote_code=self.runs_code(),
            quantization=self.quantization_config(),
        )
        check_vocabulary(model, tokenizer)
        rows = make_room(model, tokenizer, self.add_tokens)
        base = folders.identity(folder)
        return ClassifierBundle(model, tokenizer, base=base, head_modules=heads, token_rows=rows)

    def outline(self) -> Outline | None:
        """The module tree, from config and headers; None for weights that are in no file."""
        from lorafw.models.outline import outline_of_fields, outline_of_folder

        if (folder := self.folder()) is None:
            return None
        fields = self.stored_config()
        if fields.get("model_type") != folders.model_type(folder):  # it is converted while loading
            return outline_of_fields(fields, folder)
        return outline_of_folder(folder, trust_remote_code=self.runs_code())

    def native_config(self) -> Mapping[str, object]:
        """What `config.json` holds; with `add_tokens`, of the model as it is built."""
        return self.grown_config(self.stored_config())

    def stored_config(self) -> Mapping[str, object]:
        """What `config.json` holds; of a checkpoint that is converted, the config of its form."""
        return folders.read_json(self._weights_folder() / "config.json")

    def quantization_config(self) -> Any:
        """What transformers is told so that it quantises while loading; None to leave weights."""
        if self.quantize is None:
            return None
        from lorafw.models.loading import torch_dtype

        products = self.dtype if self.compute_dtype == "auto" else self.compute_dtype
        stored = self.stored_config().get("dtype") or self.stored_config().get("torch_dtype")
        if products == "auto":
            products = "bf16" if stored == "bfloat16" else "fp32"
        return quantization.bitsandbytes_config(
            self.quantize, double_quant=self.double_quant, compute_dtype=torch_dtype(products)
        )

    def _refuse_quantised_files(self) -> None:
        if "quantization_config" in self.stored_config():
            mend = "Leave model.quantize out, or give the folder of the original weights."
            where = str(self._weights_folder())
            raise ModelError("the weights are quantised already.", where=where, mend=mend)

    def _weights_folder(self) -> Path:
        if folder := self.folder():
            return folder
        raise ModelError("this model's weights are in no folder.", where="model")
