from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest

from lorafw.builtin.chat import Chat
from lorafw.contracts import ExportRequest
from lorafw.errors import ExportError
from lorafw.types import Message, Tokenizer
from lorafw_gguf._go import go_template, rendered
from lorafw_gguf._templates import jinja_of
from lorafw_gguf._turns import Asking
from lorafw_gguf.ollama import Ollama

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + "
    "'<|end_header_id|>\n\n' + m.content + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
LLAMA2 = (
    "{% set told = messages[0].role == 'system' %}"
    "{% for m in (messages[1:] if told else messages) %}"
    "{% set words = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' + m.content "
    "if told and loop.first else m.content %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + words + ' [/INST]' }}"
    "{% else %}{{ ' ' + words + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TOLD_BY_ITSELF = (
    "{% if messages[0].role != 'system' %}{{ '<|system|>Help.' }}{% endif %}"
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}"
    "{{ eos_token if m.role == 'assistant' }}{% endfor %}"
    "{{ '<|assistant|>' if add_generation_prompt }}"
)
NUMBERED = (
    "{% for m in messages %}{{ 'A: ' if m.role == 'assistant' else loop.index ~ ': ' }}"
    "{{ m.content + eos_token }}{% endfor %}{{ 'A: ' if add_generation_prompt }}"
)
MARKS = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
FORMS = {"chatml": CHATML, "llama 3": LLAMA3, "llama 2": LLAMA2, "with a default": TOLD_BY_ITSELF}
USER, ANSWER, AGAIN = Message("user", "a b"), Message("assistant", "c"), Message("user", "d\ne")
SYSTEM = Message("system", "short")
CONVERSATIONS = [
    [USER],
    [SYSTEM, USER],
    [USER, ANSWER, AGAIN],
    [SYSTEM, AGAIN, ANSWER, USER, ANSWER, AGAIN],
]


@pytest.fixture(scope="module")
def marked(words: Tokenizer) -> Tokenizer:
    """The tokenizer with the special tokens of common chat models."""
    import copy

    from lorafw.models.added_tokens import extend

    tokenizer = copy.deepcopy(words)
    extend(tokenizer, MARKS)
    return tokenizer


@pytest.mark.parametrize("form", FORMS)
def test_templates_in_go_and_in_jinja_write_the_ids_of_training(
    form: str, marked: Tokenizer
) -> None:
    asking = Asking(Chat(template=FORMS[form]), marked)
    turns = asking.turns()
    jinja = jinja2.Template(jinja_of(turns, begins=asking.begins))
    for messages in CONVERSATIONS:
        wanted = asking.ids(messages)
        begin = [marked.bos_token_id] if asking.begins else []
        text = rendered(go_template(turns), messages)
        assert [*begin, *marked.encode(text, add_special_tokens=False)] == wanted
        named = [{"role": message.role, "content": message.content} for message in messages]
        text = jinja.render(messages=named, bos_token="<s>")
        assert marked.encode(text, add_special_tokens=False) == wanted


def test_go_templates_are_rendered_as_ollama_does() -> None:
    by_question = "{{ if .System }}S{{ .System }}{{ end }}Q{{ .Prompt }}A{{ .Response }}E"
    assert rendered(by_question, [SYSTEM, USER]) == "SshortQa bA"
    assert rendered(by_question, [USER, ANSWER, AGAIN]) == "Qa bAcEQd\neA"
    by_message = '{{ range .Messages }}{{ if eq .Role "user" }}Q{{ .Content }}{{ else }}-{{ end }}'
    assert rendered(f"{by_message}{{{{ end }}}}!", [USER, ANSWER, AGAIN]) == "Qa b-Qd\ne!"


def test_the_modelfile_asks_as_in_training(
    small: Callable[..., Path], asked: Callable[..., ExportRequest], tmp_path: Path
) -> None:
    options = {"system": "Be brief.", "num_ctx": 64}
    files = Ollama.from_mapping(options, where="exporters").export(asked(small()), tmp_path)
    assert [file.name for file in files] == ["Modelfile", "model.gguf"]
    assert files[0].read_text() == (
        "FROM ./model.gguf\n"
        'TEMPLATE """{{ if .System }}<|system|>{{ .System }}<|user|>{{ else }}<|user|>{{ end }}'
        '{{ .Prompt }}<|assistant|>{{ .Response }}</s>"""\n'
        'SYSTEM """Be brief."""\n'
        'PARAMETER stop "</s>"\n'
        "PARAMETER num_ctx 64\n"
        "PARAMETER temperature 0\n"
        "PARAMETER repeat_penalty 1\n"
    )


@pytest.mark.parametrize(
    ("encoder", "options", "why"),
    [
        ({"use": "chat", "template": NUMBERED}, {}, "other token ids than training's"),
        ({"use": "chat", "template": CHATML}, {}, "other token ids than training's"),
        ({"use": "alpaca"}, {"system": "Be brief."}, "no place for a system's words"),
    ],
    ids=["numbered", "marks that are no tokens", "no system"],
)
def test_a_template_that_ollama_cannot_follow_is_refused(
    encoder: dict[str, Any],
    options: dict[str, Any],
    why: str,
    small: Callable[..., Path],
    asked: Callable[..., ExportRequest],
    tmp_path: Path,
) -> None:
    request = asked(small(), encoder=encoder)
    with pytest.raises(ExportError, match=why):
        Ollama.from_mapping(options, where="exporters").export(request, tmp_path)
