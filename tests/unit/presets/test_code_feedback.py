"""The preset's template for conversations about programs."""

from __future__ import annotations

from typing import Any

from lorafw.assembly.yaml_source import parse_yaml
from lorafw.builtin.chat import Chat
from lorafw.data.inspection.row_view import row_view
from lorafw.presets.catalog import preset_text
from lorafw.types import ChatExample, Message

TALK = ChatExample(
    (
        Message("user", "Sum a list."),
        Message("assistant", "sum(xs)"),
        Message("user", "And of squares?"),
        Message("assistant", "sum(x * x for x in xs)"),
    )
)


def encoder() -> Chat:
    options = dict(parse_yaml(preset_text("code-feedback"), "preset").values["encoder"])
    assert options.pop("use") == "chat"
    return Chat.from_mapping(options, where="encoder")


def test_every_answer_and_its_end_are_trained(chat_tokenizer: Any) -> None:
    begin, end = chat_tokenizer.bos_token or "", chat_tokenizer.eos_token
    view = row_view(TALK, encoder(), chat_tokenizer)
    assert "".join(token.text for token in view.tokens) == (
        f"{begin}### Instruction:\nSum a list.\n\n### Output:\nsum(xs){end}\n\n"
        f"### Instruction:\nAnd of squares?\n\n### Output:\nsum(x * x for x in xs){end}"
    )
    trained = "".join(token.text for token in view.tokens if token.trained)
    assert trained == f"sum(xs){end}sum(x * x for x in xs){end}"
