"""What an adapter learned to read is known by content, and another one is noticed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.inference.provenance import provenance, template_hash, tokenizer_hash
from lorafw.testing.toys import toy_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tokenizer() -> Any:
    return copy.deepcopy(toy_tokenizer())


def test_both_hashes_say_what_they_are(tokenizer: Any) -> None:
    assert all(v.startswith("sha256:") for v in provenance(tokenizer, Prompt()).values())
    assert provenance(tokenizer, Prompt()).keys() == {"tokenizer", "template"}


def test_a_tokenizer_saved_and_read_again_is_the_same(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    before = tokenizer_hash(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    again: Any = AutoTokenizer.from_pretrained(tmp_path)
    again(["a", "a b"], padding=True, truncation=True, max_length=2)
    assert tokenizer_hash(again) == before


def test_a_tokenizer_with_one_more_token_is_another(tokenizer: Any) -> None:
    before = tokenizer_hash(tokenizer)
    tokenizer.add_tokens(["<new>"])
    assert tokenizer_hash(tokenizer) != before


class InPython:
    """A tokenizer without a backend, as some remote ones are."""

    chat_template = None
    special_tokens_map = {"eos_token": "</s>"}  # noqa: RUF012 - as transformers has it

    def __init__(self, **more: int) -> None:
        self._vocabulary = {"a": 0, "b": 1, **more}

    def get_vocab(self) -> dict[str, int]:
        return self._vocabulary


def test_one_written_in_python_is_known_by_its_vocabulary() -> None:
    one, same, other = (tokenizer_hash(t) for t in (InPython(), InPython(), InPython(c=2)))  # type: ignore[arg-type]
    assert one == same
    assert one != other


def test_a_template_is_its_text_wherever_the_file_lies(tokenizer: Any, tmp_path: Path) -> None:
    files = [tmp_path / "one.jinja", tmp_path / "other.jinja"]
    for file in files:
        file.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    one, same = (template_hash(Chat(template=str(file)), tokenizer) for file in files)
    assert one == same
    files[1].write_text("{% for m in messages %}{{ m.content }}.{% endfor %}")
    assert template_hash(Chat(template=str(files[1])), tokenizer) != one


def test_lengths_are_no_part_of_a_template_but_options_and_the_chat_template_are(
    tokenizer: Any,
) -> None:
    before = template_hash(Prompt(), tokenizer)
    assert template_hash(Prompt(max_length=99, truncate="right"), tokenizer) == before
    assert template_hash(Prompt(separator="\t"), tokenizer) != before
    tokenizer.chat_template = "{{ messages }}"
    assert template_hash(Prompt(), tokenizer) != before
