"""Model `minimind`: a MiniMind checkpoint of any generation."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from lorafw.models import folder as folders
from lorafw.models.vocabulary import GrowingVocabulary
from lorafw.types import Task
from lorafw_minimind import files
from lorafw_minimind.architecture import Declared, native_config
from lorafw_minimind.generations import Generation, native_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle, ModelRequest
    from lorafw.contracts.model import Outline
    from lorafw.types import Tokenizer
    from lorafw_minimind._loading import Checkpoint
    from lorafw_minimind.architecture import Architecture


class MiniMind(GrowingVocabulary):
    """A MiniMind model, dense or with experts, of any checkpoint generation."""

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CAUSAL_LM})

    path: str = Field(
        description="A .pth, a folder with config.json and weights, or a hub id org/name."
    )
    tokenizer_path: str | None = Field(
        None, description="Folder of the tokenizer, where it is not beside the weights."
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Dtype of the frozen weights; auto is the files', or fp32 where that is fp16.",
    )
    generation: Literal["auto", "2025-02", "2025-04", "2026"] = Field(
        "auto", description="Generation of the checkpoint; auto tells it from the tensors' names."
    )
    n_heads: int | None = Field(
        None, ge=1, description="Attention heads; else config.json's, the norms' or upstream's 8."
    )
    n_kv_heads: int | None = Field(
        None, ge=1, description="Key-value heads; else what the heads leave of the tensors' sizes."
    )
    rope_theta: float | None = Field(
        None, gt=1, description="Base of the rotary wavelengths; else config.json's, or 1e6."
    )
    norm_eps: float | None = Field(
        None, gt=0, description="Epsilon of the norms; else config.json's, 1e-5, or 1e-6 for 2026."
    )
    num_experts_per_tok: int | None = Field(
        None, ge=1, description="Experts a token takes; else config.json's, 2, or 1 for 2026."
    )
    aux_loss_coef: float | None = Field(
        None,
        ge=0,
        description="Weight of the routers' balance loss, 0 for none; else config.json's, or "
        "upstream's: 0.1, 0.01, 0.0005 by generation.",
    )
    inference_rope_scaling: bool | None = Field(
        None, description="Stretch positions 16 times by YaRN; else as config.json says, or not."
    )
    lora_targets: Literal["square", "all-linear"] = Field(
        "square",
        description="Linears adapted by default: square ones as upstream does, or all of a layer.",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder's config, or the names in a `.pth`, are MiniMind's."""
        return files.looks_like_minimind(path)

    def preflight(self) -> None:
        """Check that the weights and the tokenizer's folder are there."""
        files.locate(self.path)
        self.tokenizer_folder()

    def tokenizer_folder(self) -> Path:
        """The folder the tokenizer is read from."""
        if self.tokenizer_path is not None:
            return folders.resolve(self.tokenizer_path)
        return files.locate(self.path).folder

    def default_encoder(self, task: Task) -> str:  # noqa: ARG002 - there is one task
        """The template the tokenizer was trained with; `prompt` if it is no MiniMind tokenizer."""
        return files.encoder_for(self.tokenizer_folder())

    def tokenizer(self) -> Tokenizer:
        """The tokenizer in `tokenizer_path`, or else beside the weights; `add_tokens` added."""
        from lorafw.models.loading import load_tokenizer

        return self.extended(load_tokenizer(self.tokenizer_folder()))

    def build(self, request: ModelRequest, tokenizer: Tokenizer) -> ModelBundle:
        """Load the weights, frozen, and try them on a few tokens."""
        from lorafw.models.added_tokens import make_room
        from lorafw.models.loading import check_vocabulary, torch_dtype
        from lorafw_minimind._bundle import MiniMindBundle
        from lorafw_minimind._loading import build_network, shaped_network

        checkpoint = self._checkpoint()
        dtype, eos = torch_dtype(self.dtype), tokenizer.eos_token_id
        make = shaped_network if request.device.type == "meta" else build_network
        model = make(checkpoint, dtype, eos=eos, where=self.path)
        check_vocabulary(model, tokenizer)
        rows = make_room(model, tokenizer, self.add_tokens)
        return MiniMindBundle(
            model.to(request.device),
            tokenizer,
            base=files.identity(files.locate(self.path), checkpoint.form),
            form=checkpoint.form,
            targets=self.lora_targets,
            token_rows=rows,
        )

    @property
    def builds_without_weights(self) -> bool:
        """Names and shapes tell all."""
        return True

    def outline(self) -> Outline:
        """The module tree with the checkpoint's generation; every tensor has its place in it."""
        from lorafw.contracts.model import Outline
        from lorafw_minimind._bundle import lora_targets
        from lorafw_minimind._loading import empty_network

        checkpoint = self._checkpoint()
        model = empty_network(checkpoint, where=self.path)
        targets = lora_targets(model, self.lora_targets)
        generation = str(checkpoint.form.generation)
        return Outline(model, targets, self.tasks, segments=True, generation=generation)

    def architecture(self) -> Architecture:
        """What the checkpoint is made of; its weights are not read.

        Raises:
            ModelError: a file is damaged, or does not hold what the options say.
        """
        return self._checkpoint().form

    def native_config(self) -> Mapping[str, object]:
        """The `config.json` of the checkpoint's generation, with what the options say in it."""
        checkpoint, told = self._checkpoint(), files.locate(self.path).config
        stored = {**told, **native_config(checkpoint.form, tied=checkpoint.tied)}
        return self.grown_config(stored)

    def native_state(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """A tensor under the generation's own name, its rows in the generation's order."""
        from lorafw_minimind._permutation import to_neighbours

        form = _architecture(self, files.locate(self.path).stamp)
        rows = to_neighbours(name.removesuffix(".weight"), tensor, form)
        return {native_name(name, form.generation): rows}

    def _checkpoint(self) -> Checkpoint:
        from lorafw_minimind._loading import read_checkpoint

        found = files.locate(self.path)
        generation = None if self.generation == "auto" else Generation(self.generation)
        declared = Declared(self.path, self._options(), found.config)
        return read_checkpoint(found.weights, declared, generation)

    def _options(self) -> dict[str, Any]:
        """The options that say something about the checkpoint, by the names of `config.json`."""
        return {
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "num_experts_per_tok": self.num_experts_per_tok,
            "router_aux_loss_coef": self.aux_loss_coef,
            "inference_rope_scaling": self.inference_rope_scaling,
        }


@functools.lru_cache(maxsize=4)
def _architecture(builder: MiniMind, stamp: tuple[int, ...]) -> Architecture:  # noqa: ARG001
    """Remembered for as long as the files, which `stamp` stands for, are the same."""
    return builder.architecture()
