"""Rows have another address when what they are made from changes, and else the same one."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.cache.conftest import LINES, Remake

from lorafw.builtin.chat import Chat
from lorafw.builtin.files import Files
from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.prompt import Prompt
from lorafw.contracts import DatasetAdapter
from lorafw.data.cache import code_identity
from lorafw.data.cache.faults import NoAddressError
from lorafw.data.cache.key import Recipe
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Example, PromptExample, Split


def flip(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_one_byte_of_a_data_file(recipe: Recipe, file: Path) -> None:
    before = recipe.key()
    flip(file, "cat", "mat")
    assert recipe.key() != before
    flip(file, "mat", "cat")
    assert recipe.key() == before


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"eval_fraction": 0.1}},
        {"dataset": {"fields": {"prompt": "response", "response": "prompt"}}},
        {"encoder": {"max_length": 64}},
        {"encoder": {"separator": " "}},
        {"encoder": {"train_on": "all"}},
        {"split": Split.EVAL},
    ],
    ids=str,
)
def test_any_option(recipe: Recipe, remade: Remake, change: dict[str, Any]) -> None:
    assert remade().key() == recipe.key()
    assert remade(**change).key() != recipe.key()


def test_a_file_may_be_moved_renamed_and_touched(
    recipe: Recipe, remade: Remake, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, elsewhere = recipe.key(), file.parents[1] / "elsewhere"
    os.utime(file, (1, 1))
    assert recipe.key() == before
    elsewhere.mkdir()
    moved = Path(shutil.move(file, elsewhere / "other.jsonl"))
    assert remade(dataset={"path": moved}).key() == before
    monkeypatch.chdir(elsewhere)
    assert remade(dataset={"path": Path("other.jsonl")}).key() == before


def test_the_same_files_in_other_parts_to_play(recipe: Recipe, file: Path) -> None:
    second, third = file.with_name("b.jsonl"), file.with_name("c.jsonl")
    for path, prompt in ((second, "b"), (third, "c")):
        path.write_text(json.dumps({**LINES[0], "prompt": prompt}), encoding="utf-8")
    datasets = [
        Files(path=(file, second), eval_path=third),
        Files(path=file, eval_path=(second, third)),
        Files(path=(second, file), eval_path=third),
        Files(path=(file, second, third)),
    ]
    keys = {replace(recipe, dataset=dataset).key() for dataset in datasets}
    assert len(keys) == len(datasets)


def test_a_pattern_stands_for_the_files_it_finds(recipe: Recipe, file: Path) -> None:
    def key() -> str:
        return replace(recipe, dataset=Files(path=file.parent / "*.jsonl")).key()

    before = key()
    file.with_name("z.jsonl").write_text(json.dumps(LINES[0]), encoding="utf-8")
    assert key() != before


def test_a_text_that_names_a_folder_by_chance_is_still_told_apart(
    recipe: Recipe, remade: Remake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("question", "answer"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    keys = {
        remade(dataset={"fields": {"prompt": name, "response": "response"}}).key()
        for name in ("question", "answer", "prompt")
    }
    assert len(keys) == 3
    assert remade(encoder={"separator": "."}).key() != remade(encoder={"separator": ".."}).key()


def test_one_byte_of_a_template_file(recipe: Recipe, tmp_path: Path) -> None:
    template = tmp_path / "own.jinja"
    template.write_text("{% for m in messages %}{{ m.content }} {% endfor %}", encoding="utf-8")
    chat = replace(recipe, encoder=Chat(template=str(template)))
    before = chat.key()
    copy = shutil.copy(template, tmp_path / "copy.jinja")
    assert replace(recipe, encoder=Chat(template=str(copy))).key() == before
    flip(template, "m.content", "m.role")
    assert replace(recipe, encoder=Chat(template=str(template))).key() != before


def test_the_tokenizer(recipe: Recipe, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "tokenizer"
    toy_tokenizer(chat=True).save_pretrained(folder)

    def key() -> str:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        tokenizer("the cat")
        return replace(recipe, tokenizer=tokenizer).key()

    before = key()
    folder = folder.rename(tmp_path / "renamed")
    assert key() == before
    flip(folder / "tokenizer.json", '"cat"', '"car"')
    changed = key()
    flip(folder / "chat_template.jinja", "content", "comment")
    assert len({before, changed, key()}) == 3


def test_a_tokenizer_without_a_backend_is_known_by_the_files_it_writes(recipe: Recipe) -> None:
    class Slow:
        def __init__(self, word: str, place: str) -> None:
            self.word, self.place = word, place

        def save_pretrained(self, folder: str) -> None:
            about = {"name_or_path": self.place, "eos": 2}
            (Path(folder) / "tokenizer_config.json").write_text(json.dumps(about))
            (Path(folder) / "words.txt").write_text(self.word)

    tokenizers: list[Any] = [Slow("cat", "here"), Slow("cat", "there"), Slow("car", "here")]
    one, same, other = (replace(recipe, tokenizer=tokenizer).key() for tokenizer in tokenizers)
    assert one == same != other


def test_the_code_of_a_part(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "own_encoder.py"
    module.write_text("from lorafw.builtin.prompt import Prompt\nclass Own(Prompt): '''Own.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = replace(recipe, encoder=importlib.import_module("own_encoder").Own())
    before = own.key()
    assert before != recipe.key()
    flip(module, "Own.", "own.")
    code_identity._content.cache_clear()
    assert own.key() != before


def test_the_code_of_a_script_and_of_none(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Prompt):
        """Written where it is used."""

    script = tmp_path / "train.py"
    script.touch()
    Own.__module__ = "__main__"
    own = replace(recipe, encoder=Own())
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
    before = own.key()
    script.write_text("changed = True")
    code_identity._content.cache_clear()
    assert own.key() != before
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with pytest.raises(NoAddressError):
        own.key()


class InMemory(DatasetAdapter):
    """Has no files."""

    words: tuple[str, ...]

    @property
    def produces(self) -> type[Example]:
        return PromptExample

    def load(self, split: Split) -> Sequence[Example]:
        return [PromptExample(word, "cat") for word in self.words]


def test_examples_count_where_there_are_no_files(recipe: Recipe) -> None:
    source = replace(recipe, dataset=InMemory(words=("the",)))
    assert source.key([PromptExample("the", "cat")]) == source.key([PromptExample("the", "cat")])
    assert source.key([PromptExample("the", "cat")]) != source.key([PromptExample("the", "mat")])


def test_what_cannot_be_read_has_no_address(recipe: Recipe, file: Path) -> None:
    file.unlink()
    with pytest.raises(NoAddressError):
        replace(recipe, dataset=Jsonl(path=file)).key()
    odd: Any = PromptExample("the", b"bytes")  # type: ignore[arg-type]
    with pytest.raises(NoAddressError):
        replace(recipe, dataset=InMemory(words=())).key([odd])
