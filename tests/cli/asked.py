"""Tiny models to ask by the command line: a base that talks, adapters of it, and a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from click.testing import CliRunner, Result

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.cli.main import main
from lorafw.models import folder as folders
from lorafw.testing.toy_classifier import toy_bert, toy_pair_tokenizer
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

if TYPE_CHECKING:
    from pathlib import Path

TARGET = "model.layers.0.self_attn.q_proj"


class Models(NamedTuple):
    """Folders of models."""

    base: Path
    adapter: Path
    other: Path
    single: Path
    classifier: Path
    stranger: Path


def make_models(folder: Path) -> Models:
    """A base with a chat template, adapters of it (one takes single prompts), and others."""
    base = folder / "base"
    toy_llama().save_pretrained(base)
    toy_tokenizer(chat=True).save_pretrained(base)
    adapters = [
        trained_adapter(folder / "chatty", base, 0, use="chat"),
        trained_adapter(folder / "other", base, 1, use="chat"),
        trained_adapter(folder / "single", base, 2, use="alpaca"),
    ]
    classifier = folder / "classifier"
    toy_bert().save_pretrained(classifier)
    toy_pair_tokenizer().save_pretrained(classifier)
    stranger = folder / "stranger"
    toy_llama(seed=1).save_pretrained(stranger)
    toy_tokenizer(chat=True).save_pretrained(stranger)
    return Models(base, *adapters, classifier, stranger)


def trained_adapter(folder: Path, base: Path, seed: int, **encoder: str) -> Path:
    """A folder with an adapter whose effect shows, as if trained with an encoder."""
    chance = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(size, generator=chance) for name, size in _sizes().items()}
    state = AdapterState(AdapterSpec(rank=4, alpha=8.0, targets=(TARGET,)), tensors)
    recipe = {
        "base": folders.identity(base),
        "model": {"use": "auto", "path": str(base)},
        "encoder": encoder,
        "injector": {"use": "custom"},
    }
    folder.mkdir(parents=True)
    write_adapter(folder, state, base_path=str(base), recipe=recipe)
    return folder


def _sizes() -> dict[str, tuple[int, int]]:
    return dict(zip(canonical_pair(TARGET), ((4, 32), (32, 4)), strict=True))


def lorafw(*words: object, stdin: str | bytes | None = None) -> Result:
    """`lorafw` with these words."""
    return CliRunner().invoke(main, list(map(str, words)), input=stdin)


def told(*words: object, stdin: str | bytes | None = None) -> str:
    """What it prints, and nothing went wrong."""
    result = lorafw(*words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout
