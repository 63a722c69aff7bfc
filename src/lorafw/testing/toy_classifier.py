"""A tiny text classifier: a BERT of random weights, and rows that have a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.testing.toys import toy_rows, toy_tokenizer
from lorafw.types import Encoded, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import ModelBundle

CLASSES = ("feline", "avian", "neither")


def toy_pair_tokenizer() -> Tokenizer:
    """The toy tokenizer in BERT's manner: `<s> first </s>`, or `<s> first </s> second </s>`."""
    from tokenizers.processors import TemplateProcessing

    tokenizer: Any = toy_tokenizer()
    tokenizer.cls_token, tokenizer.sep_token = "<s>", "</s>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)],
    )
    made: Tokenizer = tokenizer
    return made


def toy_bert(seed: int = 0, classes: Sequence[str] = CLASSES, **config: Any) -> Any:
    """A two-layer BERT with a head for some classes and random fp32 weights.

    Args:
        seed: of the weights.
        classes: their names.
        config: `BertConfig` fields that replace the toy's.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    values = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "pad_token_id": 3,
        "initializer_range": 0.2,
        "id2label": dict(enumerate(classes)),
        "label2id": {name: index for index, name in enumerate(classes)},
        **config,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BertForSequenceClassification(BertConfig(**values))


def toy_classifier(dtype: str = "fp32", seed: int = 0) -> ModelBundle:
    """The toy BERT as injectors, objectives and trainers are given it.

    Args:
        dtype: of the frozen weights, `fp32` or `bf16`.
        seed: of the weights.
    """
    import torch

    from lorafw.models.classifier_bundle import ClassifierBundle

    model = toy_bert(seed).to({"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    base = f"toy-bert-{seed}"
    return ClassifierBundle(model, toy_pair_tokenizer(), base=base, head_modules=("classifier",))


def with_classes(rows: Sequence[Encoded]) -> list[Encoded]:
    """The same tokens, each row with a class."""
    return [Encoded(row.input_ids, [sum(row.input_ids) % len(CLASSES)]) for row in rows]


def toy_class_rows(count: int, seed: int = 0, *, longest: int = 40) -> list[Encoded]:
    """Ragged rows of random tokens with a class each."""
    return with_classes(toy_rows(count, seed, longest=longest))
