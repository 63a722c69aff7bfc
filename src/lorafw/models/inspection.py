"""What a model is and what lorafw would do with it, told before any weight is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lorafw.errors import LorafwError
from lorafw.models import folder as folders
from lorafw.models.experts import stacked_experts
from lorafw.models.headers import stored_tensors
from lorafw.models.report import AddedToken, ModelReport, TargetGroup, Vocabulary, Weights
from lorafw.models.vocabulary import GrowingVocabulary
from lorafw.types import Task

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder, Outline

RANKS = (1, 8, 16, 64)
"""Ranks whose trainable parameters are told."""

T = TypeVar("T")


def inspect_model(name: str, builder: ModelBuilder, path: Path) -> ModelReport:
    """Ask a builder all that it can tell without reading weights.

    Args:
        name: of the model component.
        builder: made for `path`.
        path: the model's folder or file.
    """
    asked = _Asked()
    asked.of(builder.preflight)
    outline = asked.of(builder.outline)
    config = asked.of(builder.native_config) or {}
    targets = _targets(outline) if outline else ()
    architectures = config.get("architectures")
    return ModelReport(
        path=str(path),
        model=name,
        family=str(config.get("model_type", "")),
        generation=outline.generation if outline else "",
        architecture=str(architectures[0]) if isinstance(architectures, list) else None,
        sizes=_sizes(config),
        weights=asked.of(lambda: _weights(path)),
        parameters=_parameters(outline) if outline else None,
        tokenizer=asked.of(lambda: _vocabulary(builder, outline)),
        encoder=asked.of(lambda: builder.default_encoder(_task(outline))),
        tasks=tuple(sorted(outline.tasks)) if outline else (),
        targets=targets,
        trainable={rank: sum(group.trainable(rank) for group in targets) for rank in RANKS},
        segments=outline.segments if outline else None,
        added=asked.of(lambda: _added(builder, outline)) or (),
        experts=tuple(stacked_experts(outline.module)) if outline else (),
        refused=tuple(asked.refused),
    )


class _Asked:
    """Asks what may be refused, and remembers each reason once."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def of(self, question: Callable[[], T]) -> T | None:
        """The answer; None where it is an error meant for the user."""
        try:
            return question()
        except LorafwError as error:
            if str(error) not in self.refused:
                self.refused.append(str(error))
            return None


_SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "key_value_heads": ("num_key_value_heads", "n_kv_heads"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions", "max_seq_len"),
}


def _sizes(config: Any) -> dict[str, int]:
    told = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    found = {
        name: next((told[key] for key in keys if isinstance(told.get(key), int)), None)
        for name, keys in _SIZES.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _weights(path: Path) -> Weights:
    if path.is_file():
        return Weights(1, path.stat().st_size)
    pickles = sorted(path.glob("*.bin")) + sorted(path.glob("*.pth"))
    if pickles and not list(path.glob("*.safetensors")):
        return Weights(len(pickles), _bytes(pickles))
    files = folders.weight_files(path)
    numbers: dict[str, int] = {}
    for stored in stored_tensors(files).values():
        numbers[stored.dtype] = numbers.get(stored.dtype, 0) + stored.numbers
    return Weights(len(files), _bytes(files), numbers)


def _bytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _parameters(outline: Outline) -> int:
    return sum(parameter.numel() for parameter in outline.module.parameters())


def _targets(outline: Outline) -> tuple[TargetGroup, ...]:
    from lorafw.models.names import stores_transposed

    counts: dict[tuple[str, int, int], int] = {}
    for name in outline.lora_targets:
        linear = outline.module.get_submodule(name)
        outputs, inputs = linear.get_parameter("weight").shape
        if stores_transposed(linear):
            outputs, inputs = inputs, outputs
        key = name.rpartition(".")[2], inputs, outputs
        counts[key] = counts.get(key, 0) + 1
    return tuple(TargetGroup(name, n, inputs, outs) for (name, inputs, outs), n in counts.items())


def _vocabulary(builder: ModelBuilder, outline: Outline | None) -> Vocabulary:
    from lorafw.models.loading import check_vocabulary

    tokenizer: Any = builder.tokenizer()
    if outline is not None:
        check_vocabulary(outline.module, tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = type(tokenizer).__name__ + (f", {type(backend.model).__name__}" if backend else "")
    marks = {role: str(mark) for role, mark in tokenizer.special_tokens_map.items()}
    return Vocabulary(kind, len(tokenizer), marks, bool(tokenizer.chat_template))


def _added(builder: ModelBuilder, outline: Outline | None) -> tuple[AddedToken, ...]:
    if not isinstance(builder, GrowingVocabulary) or not builder.add_tokens or outline is None:
        return ()
    from lorafw.models.added_tokens import added_ids, is_special

    model: Any = outline.module
    rows, tokens = model.get_input_embeddings().num_embeddings, builder.add_tokens
    ids = zip(tokens, added_ids(builder.tokenizer(), tokens), strict=True)
    return tuple(AddedToken(text, row, is_special(text), row >= rows) for text, row in ids)


def _task(outline: Outline | None) -> Task:
    if outline is None or Task.CAUSAL_LM in outline.tasks:
        return Task.CAUSAL_LM
    return Task.CLASSIFICATION
