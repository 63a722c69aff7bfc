"""A template rendered directly gives what the tokenizer's own method gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.data.rendering import renderer as module
from lorafw.data.rendering.renderer import renderer
from lorafw.testing.toys import toy_tokenizer

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a cat"}]
ALL = (
    "{{ bos_token }}{{ eos_token }}{{ documents }}{{ tools }}{{ tone }}{{ add_generation_prompt }}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
)


@settings(max_examples=20)
@given(said=st.text(), awaiting=st.booleans(), tools=st.sampled_from([None, [{"name": "f"}]]))
def test_the_text_is_that_of_apply_chat_template(
    chat_tokenizer: Any, said: str, awaiting: bool, tools: Any
) -> None:
    turns = [{"role": "user", "content": said}, *TURNS[1:], *TURNS]
    for text in (None, ALL):
        direct = renderer(chat_tokenizer, text, tools, {"tone": "kind"})
        assert direct(turns, awaiting) == chat_tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=awaiting,
            chat_template=text,
            tools=tools,
            tone="kind",
        )


def test_a_tokenizer_that_renders_in_its_own_way_is_asked() -> None:
    tokenizer: Any = toy_tokenizer(chat=True)

    class Louder(type(tokenizer)):  # type: ignore[misc]
        def apply_chat_template(self, conversation: Any, **options: Any) -> str:
            return str(super().apply_chat_template(conversation, **options)).upper()

    quiet = renderer(tokenizer, ALL, None, {})(TURNS, False)
    tokenizer.__class__ = Louder
    assert renderer(tokenizer, ALL, None, {})(TURNS, False) == quiet.upper() != quiet


def test_options_of_the_method_itself_reach_it(chat_tokenizer: Any) -> None:
    open_ended = renderer(chat_tokenizer, ALL, None, {"continue_final_message": True})
    closed = renderer(chat_tokenizer, ALL + "<end>", None, {"continue_final_message": True})
    assert open_ended(TURNS, False) == closed(TURNS, False)


def test_transformers_without_the_compiler_is_asked(
    chat_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = renderer(chat_tokenizer, ALL, None, {})(TURNS, True)
    monkeypatch.setattr(module, "_compiler", lambda: None)
    assert renderer(chat_tokenizer, ALL, None, {})(TURNS, True) == direct


def test_a_template_is_compiled_once(chat_tokenizer: Any) -> None:
    compiled = module._compiler()
    assert compiled is not None
    assert compiled(ALL) is compiled(ALL)
