"""A small data set, and what it is encoded with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import PrivateAttr

from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.prompt import Prompt
from lorafw.data.cache.key import Recipe
from lorafw.testing.toys import WORDS, toy_tokenizer
from lorafw.types import Example, Split

LINES = [{"prompt": WORDS[at % 17], "response": WORDS[at % 5]} for at in range(30)]


class Counted(Jsonl):
    """Counts how often it is read."""

    _loads: list[Split] = PrivateAttr(default_factory=list)

    @property
    def loads(self) -> list[Split]:
        return self._loads

    def load(self, split: Split) -> Sequence[Example]:
        self._loads.append(split)
        return super().load(split)


Remake = Callable[..., Recipe]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of rows."""
    path = tmp_path / "data" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, LINES)), encoding="utf-8")
    return path


@pytest.fixture
def recipe(file: Path) -> Recipe:
    """What a split's rows are made from."""
    return Recipe(Counted(path=file), Prompt(), toy_tokenizer(), Split.TRAIN)


@pytest.fixture
def remade(recipe: Recipe) -> Remake:
    """The recipe anew, with other options of the dataset, the encoder or itself."""

    def remake(
        dataset: dict[str, Any] | None = None, encoder: dict[str, Any] | None = None, **others: Any
    ) -> Recipe:
        return replace(
            recipe,
            dataset=Counted(**{"path": recipe.dataset.path, **(dataset or {})}),  # type: ignore[attr-defined]
            encoder=Prompt(**(encoder or {})),
            **others,
        )

    return remake
