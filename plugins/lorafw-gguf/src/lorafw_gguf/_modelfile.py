"""A Modelfile whose prompts have the token ids of training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_files import write_bytes
from lorafw.errors import ExportError
from lorafw.types import Message
from lorafw_gguf._asking import encoder_of, end_mark, marks_of
from lorafw_gguf._go import go_template, rendered
from lorafw_gguf._merged_file import write_merged
from lorafw_gguf._reading import keys_of, opened
from lorafw_gguf._tokenizer import tokenizer_of
from lorafw_gguf._turns import Asking, NotTurnsError, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lorafw.contracts.exporter import ExportRequest
    from lorafw.types import Tokenizer
    from lorafw_gguf.ollama import Ollama

_MEND = "Use exporter gguf; llama.cpp renders the template itself."
_QUESTIONS = (
    "What is 12 plus 345?",
    "Write two lines:\none\ntwo",
    "Wie heißt das? 你好 🙂",
)
_SYSTEM, _ANSWER = "Be short.", "It is 7, isn't it?"


def write_ollama(request: ExportRequest, folder: Path, options: Ollama, file: str) -> None:
    """Write the model's file and the Modelfile beside it.

    Raises:
        ExportError: as the exporter's `export` does.
    """
    tokenizer, encoder = request.model.bundle.tokenizer, encoder_of(request)
    asking, turn = Asking(encoder, tokenizer), end_mark(encoder, tokenizer)
    turns, template = _in_go(asking, options)
    marks = replace(marks_of(tokenizer, turn), adds_begin=asking.begins, adds_end=False)
    write_merged(request, folder / file, options.dtype, marks=marks)
    reader = opened(folder / file)
    _compare(asking, turns, template, tokenizer_of(reader))
    keys = keys_of(reader)
    limit = int(keys[f"{keys['general.architecture']}.context_length"])
    end = "" if turn is None else tokenizer.decode([turn])
    text = _modelfile(options, file, template, stop=end, context=options.num_ctx or limit)
    write_bytes(folder / "Modelfile", text.encode())


def check_template(request: ExportRequest, options: Ollama) -> None:
    """Raise ExportError if the template of training cannot be written in Go."""
    _in_go(Asking(encoder_of(request), request.model.bundle.tokenizer), options)


def _in_go(asking: Asking, options: Ollama) -> tuple[Turns, str]:
    try:
        turns = asking.turns()
        template = go_template(turns)
    except NotTurnsError as error:
        fault = f"the template of training cannot be written as Ollama's: {error}."
        raise ExportError(fault, mend=_MEND) from None
    if options.system and turns.system is None:
        fault = "the template of training has no place for a system's words."
        raise ExportError(fault, where="exporters.ollama.system", mend="Leave it out.")
    if options.system and '"""' in options.system:
        raise ExportError('a Modelfile has no place for """.', where="exporters.ollama.system")
    return turns, template


def _compare(asking: Asking, turns: Turns, template: str, tokenizer: Tokenizer) -> None:
    """Compare what the file's tokenizer makes of Ollama's prompts with the prompts of training."""
    begin = [tokenizer.bos_token_id] if asking.begins else []
    for messages in _conversations(turns):
        text = rendered(template, messages)
        found = [*begin, *tokenizer.encode(text, add_special_tokens=False)]
        if found != asking.ids(messages):
            kind = ", ".join(message.role for message in messages)
            fault = f"Ollama's prompt has other token ids than training's (messages: {kind})."
            raise ExportError(fault, mend=_MEND)


def _conversations(turns: Turns) -> Iterator[Sequence[Message]]:
    """Conversations of every shape that the template has a place for."""
    questions = [Message("user", question) for question in _QUESTIONS]
    answer, system = Message("assistant", _ANSWER), Message("system", _SYSTEM)
    shapes: list[list[Message]] = [[question] for question in questions]
    if turns.answered is not None:
        shapes.append([questions[0], answer, questions[1]])
        shapes.append([questions[1], answer, questions[2], answer, questions[0]])
    yield from shapes
    if turns.system:
        yield from ([system, *shape] for shape in shapes)


def _modelfile(options: Ollama, file: str, template: str, *, stop: str, context: int) -> str:
    lines = [f"FROM ./{file}", f'TEMPLATE """{template}"""']
    if options.system:
        lines.append(f'SYSTEM """{options.system}"""')
    if stop:
        lines.append(f'PARAMETER stop "{stop}"')
    lines.append(f"PARAMETER num_ctx {context}")
    lines.append(f"PARAMETER temperature {options.temperature:g}")
    lines.append("PARAMETER repeat_penalty 1")
    return "\n".join(lines) + "\n"
