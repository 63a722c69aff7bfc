from __future__ import annotations

from typing import TYPE_CHECKING

import lorafw
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def test_the_end_of_a_trained_turn_ends_an_answer(tmp_path: Path) -> None:
    toy_llama().save_pretrained(tmp_path)
    tokenizer = toy_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end>"]})  # type: ignore[attr-defined]
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m.role == 'user' %}<s>{% endif %}{{ m.content }}<end>"
        "{% endfor %}{% if add_generation_prompt %}{% endif %}"
    )
    end = tokenizer.encode("<end>", add_special_tokens=False)
    assert lorafw.load(tmp_path, device="cpu").stop_ids == (2, *end)


def test_without_marks_of_its_own_an_answer_ends_at_eos(tmp_path: Path) -> None:
    assert lorafw.load(toy_folder(tmp_path), device="cpu").stop_ids == (2,)
